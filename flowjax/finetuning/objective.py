"""Objectives of the fine-tuning by name, and the loss of the training loop made of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from flowjax.parallel import devices
from flowjax.training import Loss
from flowjax.training.optimizers import clip_by_global_norm, scale_by_rate
from flowjax.training.schedules import make_schedule

Array = jax.Array
Gather = Callable[[Array], Array]
LossOfBatch = Callable[[Any, Any, Array | None], tuple[Array, dict[str, Array]]]


class Objective(NamedTuple):
    """Objective of the fine-tuning.

    Attributes:
        loss: `loss(params, batch, key)`, a pure function that returns the mean loss of the batch
            and metrics. `params` is `{"encoder": ..., "head": ...}`; `key` is the key of the
            dropout, or None.
        head: parameters of the head at the start of the run, which are not a part of the encoder.
    """

    loss: LossOfBatch
    head: dict[str, Array]


def training_loss(objective: Objective, *, dropout: bool) -> Loss:
    """Returns the loss function of `training.train` for an objective.

    Every device has its own dropout noise, so a run with dropout depends on the number of devices.

    Args:
        objective: objective of one device.
        dropout: False trains without dropout.
    """

    def loss(params: Any, _: Any, batch: Any, key: Array) -> tuple[Array, dict[str, Array]]:
        noise = jax.random.fold_in(key, devices.index()) if dropout else None
        return objective.loss(params, batch, noise)

    return loss


def make_optimizer(
    learning_rate: float,
    *,
    steps: int,
    warmup_steps: int,
    weight_decay: float,
    clip_norm: float | None,
) -> optax.GradientTransformation:
    """Returns AdamW with a linear warm-up and a linear decay to 0 at the last step.

    The weight decay omits biases and the scales of the layer normalisation.
    """
    schedule = make_schedule(
        "trapezoid",
        learning_rate,
        steps=steps,
        warmup_steps=warmup_steps,
        decay_steps=steps - warmup_steps,
    )

    def matrices(params: Any) -> Any:
        return jax.tree.map(lambda x: x.ndim > 1, params)

    return optax.chain(
        *([clip_by_global_norm(clip_norm)] if clip_norm is not None else []),
        optax.scale_by_adam(),
        optax.add_decayed_weights(weight_decay, matrices),
        scale_by_rate(schedule),
    )


def unit(vectors: Array) -> Array:
    """Returns vectors of length 1; the gradient at a vector of zeros is finite."""
    squares = jnp.sum(jnp.square(vectors), axis=-1, keepdims=True)
    return vectors * jax.lax.rsqrt(jnp.maximum(squares, 1e-24))
