"""Training loss, optimizer and held-out metrics of a pretraining run."""

from __future__ import annotations

from typing import Any

import jax
import optax

from flowjax.config import PretrainConfig
from flowjax.parallel import devices
from flowjax.pretraining.masked_lm import MaskedLM, Masking, masked_lm_loss
from flowjax.pretraining.packed import PackedRows
from flowjax.pretraining.preparation import Inputs
from flowjax.training import Loss, evaluate
from flowjax.training.optimizers import clip_by_global_norm, scale_by_rate
from flowjax.training.schedules import make_schedule

Array = jax.Array


def make_loss(model: MaskedLM, masking: Masking) -> Loss:
    """Returns the loss function of `training.train`.

    The masks depend only on the seed, the step and the row index, so that they are the same on any
    number of devices.
    """

    def loss(params: Any, _: Any, batch: Any, key: Array) -> tuple[Array, dict[str, Array]]:
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, batch["rows"])
        return masked_lm_loss(model, params, batch["ids"], keys, masking, train=True)

    return loss


def make_optimizer(config: PretrainConfig) -> optax.GradientTransformation:
    """Returns AdamW with gradient clipping; weight decay omits biases and LayerNorm scales."""
    train = config.train
    schedule = make_schedule(
        "trapezoid",
        train.learning_rate,
        steps=train.steps,
        warmup_steps=train.warmup_steps,
        decay_steps=train.decay_steps,
    )

    def matrices(params: Any) -> Any:
        return jax.tree.map(lambda x: x.ndim > 1, params)

    return optax.chain(
        clip_by_global_norm(train.clip_norm),
        optax.scale_by_adam(b2=0.98, eps=1e-6),
        optax.add_decayed_weights(train.weight_decay, matrices),
        scale_by_rate(schedule),
    )


def heldout_metrics(inputs: Inputs, params: Any, *, limit: int) -> dict[str, float]:
    """Returns the loss and the accuracy on the held-out text, with the same masks at every call.

    Args:
        inputs: inputs of the run.
        params: variables of the model, possibly replicated over devices.
        limit: largest number of rows used.

    Returns:
        `{"heldout_loss", "heldout_accuracy"}`: nats per masked token and a fraction; `{}` without
        held-out text.
    """
    if inputs.heldout is None:
        return {}

    def loss(params: Any, _: Any, batch: Any, key: Array) -> tuple[Array, dict[str, Array]]:
        keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), batch["rows"])
        return masked_lm_loss(inputs.model, params, batch["ids"], keys, inputs.masking)

    rows = PackedRows(inputs.heldout[:limit])
    metrics = evaluate(loss, devices.to_host(params), rows, batch_size=64)
    return {f"heldout_{name}": value for name, value in metrics.items()}
