"""Optax parts that the training loop works with, and BERT-flow's released optimizer."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from flowjax.types import Params, trainable_mask


def global_norm(tree: Any) -> jax.Array:
    """Returns the Euclidean norm of all numbers of a pytree, without writing down their squares.

    Args:
        tree: floating-point arrays.

    Returns:
        A scalar.

    Example:
        >>> float(global_norm({"a": jnp.array([3.0]), "b": jnp.array([[0.0, 4.0]])}))
        5.0
    """
    exact = jax.lax.Precision.HIGHEST  # a TPU's default would round the factors
    return jnp.sqrt(sum(jnp.vdot(x, x, precision=exact) for x in jax.tree.leaves(tree)))


def clip_by_global_norm(limit: float) -> optax.GradientTransformationExtraArgs:
    """Returns `optax.clip_by_global_norm` that takes over the norm which the loop has found.

    Args:
        limit: gradients of a larger norm are scaled down to it. Comes first in a chain, where
            `update`'s `grad_norm`, if given, is still the norm of what it sees.

    Returns:
        An optax gradient transformation without state.

    Example:
        >>> clip = clip_by_global_norm(2.5)
        >>> clip.update(jnp.array([3.0, 4.0]), clip.init(None))[0].tolist()
        [1.5, 2.0]
    """

    def update(
        updates: optax.Updates,
        state: optax.EmptyState,
        params: optax.Params | None = None,
        *,
        grad_norm: jax.Array | None = None,
        **extra: Any,
    ) -> tuple[optax.Updates, optax.EmptyState]:
        norm = global_norm(updates) if grad_norm is None else grad_norm
        factor = limit / jnp.maximum(norm, limit)
        return jax.tree.map(lambda g: g * factor.astype(g.dtype), updates), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


def scale_by_rate(learning_rate: optax.ScalarOrSchedule) -> optax.GradientTransformation:
    """Returns `optax.scale_by_learning_rate` whose state holds the rate of the last step.

    The training loop finds it there, whatever is chained around, and puts it in the metrics.

    Args:
        learning_rate: a number or a schedule.

    Returns:
        An optax gradient transformation.

    Example:
        >>> scale = scale_by_rate(optax.linear_schedule(0.0, 1.0, 10))
        >>> state = scale.init(jnp.ones(1))
        >>> for _ in range(3):
        ...     step, state = scale.update(jnp.ones(1), state)
        >>> round(float(step[0]), 6), round(float(state.hyperparams["learning_rate"]), 6)
        (-0.2, 0.2)
    """
    scale = optax.inject_hyperparams(optax.scale_by_learning_rate, static_args="flip_sign")
    return scale(learning_rate=learning_rate)


class UncorrectedMoments(NamedTuple):
    """First and second moments of the gradients, as they are."""

    mu: Any
    nu: Any


def scale_by_uncorrected_adam(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-6
) -> optax.GradientTransformation:
    """Returns the scaling `mu / (sqrt(nu) + eps)`, with both moments starting at zero.

    `optax.scale_by_adam` divides them by `1 - b**t` first. Without that, the step t is larger by
    `(1 - b1**t) / sqrt(1 - b2**t)`: 3.2 times at t = 1, 6.5 times around t = 13.

    Args:
        b1: decay of the first moment.
        b2: decay of the second moment.
        eps: added to the root.

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
        zeros = jax.tree.map(jnp.zeros_like, params)
        return UncorrectedMoments(zeros, zeros)

    def update(
        updates: optax.Updates, state: UncorrectedMoments, params: optax.Params | None = None
    ) -> tuple[optax.Updates, UncorrectedMoments]:
        mu = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, updates)
        nu = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, state.nu, updates)
        steps = jax.tree.map(lambda m, v: m / (jnp.sqrt(v) + eps), mu, nu)
        return steps, UncorrectedMoments(mu, nu)

    return optax.GradientTransformation(init, update)  # type: ignore[arg-type]


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
    """Returns BERT's AdamWeightDecay as BERT-flow's released code runs it on the flow.

    Gradients clipped to a global norm, then `p -= lr * (mu / (sqrt(nu) + eps) + decay * p)`,
    with no bias correction and the decay on every variable.

    Args:
        learning_rate: a number or a schedule; the code's is constant, 1e-3 on the target set.
        b1: decay of the first moment.
        b2: decay of the second moment.
        eps: added to the root.
        weight_decay: decoupled, not part of the moments.
        clip_norm: global norm the gradients are clipped to; None does not clip.
        gradient_scale: multiplies the gradients before anything else, as if the loss were in other
            units: `1 / (dim ln 2)` takes those of nats a row to bits per dimension, and
            `2 / (dim ln 2)` to the code's loss, which adds up the means of a pair's two sides. It
            decides when gradients are clipped, and what eps weighs.
        mask: a pytree of bools, or a function of the params, that says what decays, such as
            `flowjax.types.trainable_mask`; None decays all.

    Returns:
        An optax gradient transformation; `update` needs the params.

    References:
        BERT, https://arxiv.org/abs/1810.04805; BERT-flow, https://arxiv.org/abs/2011.05864.

    Example:
        >>> import jax.numpy as jnp
        >>> params, optimizer = jnp.array([1.0]), adam_uncorrected(0.001)
        >>> step, _ = optimizer.update(jnp.array([0.5]), optimizer.init(params), params)
        >>> round(float(step[0]), 6)  # -0.001 * (3.162 + 0.01)
        -0.003172
    """
    clip = (
        optax.identity() if clip_norm is None else clip_by_global_norm(clip_norm / gradient_scale)
    )
    return optax.chain(
        clip,  # first, and so in the loss's own units: the loop knows the norm in those
        optax.scale(gradient_scale),
        scale_by_uncorrected_adam(b1, b2, eps),
        optax.add_decayed_weights(weight_decay, mask),
        scale_by_rate(learning_rate),
    )


def default_optimizer(
    learning_rate: float | optax.Schedule = 1e-3,
    *,
    weight_decay: float = 0.0,
    clip_norm: float | None = 1.0,
) -> optax.GradientTransformation:
    """Returns Adam (AdamW with decay) behind clipping by global norm: what `fit` uses.

    Args:
        learning_rate: a number or a schedule.
        weight_decay: decoupled; not of leaves under `"frozen"`.
        clip_norm: the largest global norm of a gradient; None does not clip.

    Returns:
        An optax gradient transformation, whose state tells the loop the rate.

    Example:
        >>> import jax.numpy as jnp
        >>> params, optimizer = jnp.zeros(2), default_optimizer(1e-3)
        >>> step, _ = optimizer.update(jnp.array([3.0, -4.0]), optimizer.init(params), params)
        >>> step.round(6).tolist()
        [-0.0010000000474974513, 0.0010000000474974513]
    """
    parts = [optax.scale_by_adam()]
    if clip_norm:
        parts.insert(0, clip_by_global_norm(clip_norm))
    if weight_decay:
        parts.append(optax.add_decayed_weights(weight_decay, trainable_mask))
    return optax.chain(*parts, scale_by_rate(learning_rate))


def freeze(
    optimizer: optax.GradientTransformation, params: Params
) -> optax.GradientTransformation:
    """Returns an optimizer that leaves the leaves under a key `"frozen"` alone.

    They get no moments and no decay; without any such leaf it is the optimizer itself.

    Example:
        >>> import jax.numpy as jnp
        >>> params = {"frozen": jnp.ones(1), "bias": jnp.ones(1)}
        >>> optimizer = freeze(optax.adamw(0.1, weight_decay=0.5), params)
        >>> gradient = jax.tree.map(jnp.zeros_like, params)
        >>> step, _ = optimizer.update(gradient, optimizer.init(params), params)
        >>> float(step["frozen"][0]), round(float(step["bias"][0]), 3)
        (0.0, -0.05)
    """
    labels = jax.tree.map(lambda t: "trained" if t else "frozen", trainable_mask(params))
    if all(label == "trained" for label in jax.tree.leaves(labels)):
        return optimizer
    return optax.partition({"trained": optimizer, "frozen": optax.set_to_zero()}, labels)
