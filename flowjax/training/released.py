"""Adam without bias correction, the optimizer of BERT-flow's released code."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax

from flowjax.errors import check_number
from flowjax.training.optimizers import clip_by_global_norm, scale_by_rate


class UncorrectedMoments(NamedTuple):
    """First and second moments of the gradients, without bias correction."""

    mu: Any
    nu: Any


def scale_by_uncorrected_adam(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-6
) -> optax.GradientTransformation:
    """Returns the scaling `mu / (sqrt(nu) + eps)`, with both moments starting at zero.

    `optax.scale_by_adam` first divides the moments by `1 - b1**t` and `1 - b2**t`. Without this
    correction, the update at step t is larger by the factor `(1 - b1**t) / sqrt(1 - b2**t)`:
    3.2 at t = 1, 6.5 around t = 13.

    Args:
        b1: decay rate of the first moment.
        b2: decay rate of the second moment.
        eps: constant added to the square root.

    Returns:
        An optax gradient transformation.

    Example:
        >>> import jax.numpy as jnp
        >>> scale = scale_by_uncorrected_adam()
        >>> step, _ = scale.update(jnp.array([2.0]), scale.init(jnp.zeros(1)))
        >>> round(float(step[0]), 3)  # 0.1 / sqrt(0.001)
        3.162
    """

    def init(params: optax.Params) -> UncorrectedMoments:
        # Two copies, because the loop donates the buffers of its state.
        return UncorrectedMoments(*(jax.tree.map(jnp.zeros_like, params) for _ in range(2)))

    def update(
        updates: optax.Updates, state: UncorrectedMoments, params: optax.Params | None = None
    ) -> tuple[optax.Updates, UncorrectedMoments]:
        mu = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, updates)
        nu = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, state.nu, updates)
        steps = jax.tree.map(lambda m, v: m / (jnp.sqrt(v) + eps), mu, nu)
        return steps, UncorrectedMoments(mu, nu)

    return optax.GradientTransformation(init, cast(Any, update))


def adam_uncorrected(
    learning_rate: optax.ScalarOrSchedule,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-6,
    weight_decay: float = 0.01,
    clip_norm: float | None = 1.0,
    gradient_scale: float = 1.0,
    mask: Any = None,
) -> optax.GradientTransformation:
    """Returns BERT's AdamWeightDecay, which BERT-flow's released code uses to train the flow.

    Gradients are clipped to a global norm; then `p -= lr * (mu / (sqrt(nu) + eps) + decay * p)`,
    without bias correction and with weight decay on every parameter.

    Args:
        learning_rate: learning rate, a number or a schedule; constant in the released code, 1e-3
            for flows fitted on the target data set.
        b1: decay rate of the first moment.
        b2: decay rate of the second moment.
        eps: constant added to the square root.
        weight_decay: decoupled weight decay.
        clip_norm: largest global norm of the scaled gradients; None means no clipping.
        gradient_scale: factor of the gradients, applied before clipping, to optimize a loss in
            another unit. For a loss in nats per example, `1 / (dim ln 2)` gives bits per
            dimension, and `2 / (dim ln 2)` gives the loss of the released code, which adds the
            means over the two sides of a sentence pair. The unit matters for `clip_norm` and
            `eps`.
        mask: pytree of bools, or function of the params that returns one, such as
            `flowjax.types.trainable_mask`: True for the leaves that decay. None means all leaves.

    Returns:
        An optax gradient transformation; its `update` requires the params.

    Raises:
        FlowjaxError: A number is out of range.

    References:
        BERT, https://arxiv.org/abs/1810.04805; BERT-flow, https://arxiv.org/abs/2011.05864.

    Example:
        >>> import jax.numpy as jnp
        >>> params, optimizer = jnp.array([1.0]), adam_uncorrected(0.001)
        >>> step, _ = optimizer.update(jnp.array([0.5]), optimizer.init(params), params)
        >>> round(float(step[0]), 6)  # -0.001 * (3.162 + 0.01)
        -0.003172
    """
    if not callable(learning_rate):
        check_number("learning_rate", learning_rate, above=0)
    check_number("weight_decay", weight_decay, 0)
    check_number("gradient_scale", gradient_scale, above=0)
    if clip_norm is not None:
        check_number("clip_norm", clip_norm, above=0)
    clip = optax.identity()
    if clip_norm is not None:
        clip = clip_by_global_norm(clip_norm / gradient_scale)
    return optax.chain(
        clip,  # first, because the loop passes the norm of the unscaled gradients
        optax.scale(gradient_scale),
        scale_by_uncorrected_adam(b1, b2, eps),
        optax.add_decayed_weights(weight_decay, mask),
        scale_by_rate(learning_rate),
    )
