"""Optimizers of the training loop: Adam with clipping, frozen leaves and logged learning rate."""

from __future__ import annotations

import functools
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax

from flowjax.errors import FlowjaxError, check_number
from flowjax.training.adapted import lenient
from flowjax.types import Params, trainable_mask


def global_norm(tree: Any) -> jax.Array:
    """Returns the Euclidean norm of all numbers of a pytree, without storing their squares.

    Args:
        tree: pytree of floating-point arrays.

    Returns:
        A scalar.

    Example:
        >>> float(global_norm({"a": jnp.array([3.0]), "b": jnp.array([[0.0, 4.0]])}))
        5.0
    """
    exact = jax.lax.Precision.HIGHEST  # the default of a TPU would round the factors
    return jnp.sqrt(sum(jnp.vdot(x, x, precision=exact) for x in jax.tree.leaves(tree)))


def clip_by_global_norm(limit: float) -> optax.GradientTransformationExtraArgs:
    """Returns `optax.clip_by_global_norm` that reuses the norm that the loop computed.

    The transformation must be the first in a chain, because the `grad_norm` passed to `update` is
    the norm of the unchanged gradients.

    Args:
        limit: largest global norm; larger gradients are scaled down to this norm.

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

    init = lambda params: optax.EmptyState()  # noqa: E731
    return optax.GradientTransformationExtraArgs(init, cast(Any, update))


def scale_by_rate(learning_rate: optax.ScalarOrSchedule) -> optax.GradientTransformation:
    """Returns `optax.scale_by_learning_rate` whose state holds the last learning rate.

    The training loop reads the rate from any optimizer state that contains this transformation
    and adds it to the metrics.

    Args:
        learning_rate: learning rate, a number or a schedule.

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


def default_optimizer(
    learning_rate: float | optax.Schedule = 1e-3,
    *,
    weight_decay: float = 0.0,
    clip_norm: float | None = 1.0,
) -> optax.GradientTransformation:
    """Returns the default optimizer of `fit`: clipping by global norm, then Adam or AdamW.

    Args:
        learning_rate: learning rate, a number or a schedule.
        weight_decay: decoupled weight decay, not applied to leaves under `"frozen"`; 0 means Adam.
        clip_norm: largest global norm of the gradients; None means no clipping.

    Returns:
        An optax gradient transformation; its state holds the learning rate for the metrics.

    Raises:
        FlowjaxError: The learning rate or `clip_norm` is not a positive number, or `weight_decay`
            is negative.

    Example:
        >>> import jax.numpy as jnp
        >>> params, optimizer = jnp.zeros(2), default_optimizer(1e-3)
        >>> step, _ = optimizer.update(jnp.array([3.0, -4.0]), optimizer.init(params), params)
        >>> step.round(6).tolist()
        [-0.0010000000474974513, 0.0010000000474974513]
    """
    if not callable(learning_rate):
        check_number("learning_rate", learning_rate, above=0)
    check_number("weight_decay", weight_decay, 0)
    if clip_norm is not None:
        check_number("clip_norm", clip_norm, above=0)
    parts = [optax.scale_by_adam()]
    if clip_norm is not None:
        parts.insert(0, clip_by_global_norm(clip_norm))
    if weight_decay:
        parts.append(optax.add_decayed_weights(weight_decay, trainable_mask))
    return optax.chain(*parts, scale_by_rate(learning_rate))


def optimizer_from(optimizer: Any) -> optax.GradientTransformation:
    """Returns the optimizer that the argument `optimizer` of `fit` stands for.

    Args:
        optimizer: optax transformation; learning rate or schedule of `default_optimizer`; or None.

    Returns:
        An optax transformation.

    Raises:
        FlowjaxError: `optimizer` is of another type, or the learning rate is not positive.

    Example:
        >>> import jax.numpy as jnp
        >>> state = optimizer_from(0.01).init(jnp.zeros(2))
        >>> round(float(state[-1].hyperparams["learning_rate"]), 6)
        0.01
    """
    if optimizer is None:
        return default_optimizer()
    if hasattr(optimizer, "init") and hasattr(optimizer, "update"):
        return optimizer
    if isinstance(optimizer, (int, float, np.generic, np.ndarray, jax.Array)):
        return default_optimizer(check_number("optimizer", optimizer, above=0))
    try:
        rate = jax.eval_shape(optimizer, jnp.zeros((), jnp.int32))
    except Exception:  # not a schedule
        rate = None
    if getattr(rate, "shape", None) != ():
        raise FlowjaxError(
            "optimizer: expected an optax transformation, such as optax.adam(1e-3), a learning "
            f"rate or a schedule, got {optimizer!r}"
        )
    return default_optimizer(optimizer)


def freeze(
    optimizer: optax.GradientTransformation, params: Params
) -> optax.GradientTransformation:
    """Returns an optimizer that does not change the leaves under a key `"frozen"`.

    Frozen leaves have no moments and no weight decay, and the optimizer does not see them.

    Args:
        optimizer: optax transformation for the other leaves.
        params: parameters.

    Returns:
        An optax gradient transformation; `optimizer` itself if no leaf is frozen.

    Example:
        >>> import jax.numpy as jnp
        >>> params = {"frozen": jnp.ones(1), "bias": jnp.ones(1)}
        >>> optimizer = freeze(optax.adamw(0.1, weight_decay=0.5), params)
        >>> gradient = jax.tree.map(jnp.zeros_like, params)
        >>> step, _ = optimizer.update(gradient, optimizer.init(params), params)
        >>> float(step["frozen"][0]), round(float(step["bias"][0]), 3)
        (0.0, -0.05)
    """
    mask = trainable_mask(params)
    if all(jax.tree.leaves(mask)):
        return optimizer
    inner = lenient(optimizer)

    def trained(tree: Any) -> Any:
        return jax.tree.map(lambda t, x: x if t else optax.MaskedNode(), mask, tree)

    def whole(part: Any, rest: Any) -> Any:
        return jax.tree.map(lambda t, x, y: x if t else y, mask, part, rest)

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None, **extra: Any
    ) -> tuple[optax.Updates, Any]:
        for name in {"grad", "value_fn", "obj_fn", "grad_fn"} & extra.keys():
            extra[name] = _restricted(name, extra[name], trained, lambda p: whole(p, params))
        rest = None if params is None else trained(params)
        found, state = inner.update(trained(updates), state, rest, **extra)
        return whole(found, jax.tree.map(jnp.zeros_like, updates)), state

    init = cast(Any, lambda params: inner.init(trained(params)))
    return optax.GradientTransformationExtraArgs(init, update)


def _restricted(name: str, extra: Any, trained: Any, whole: Any) -> Any:
    """Returns an extra argument of `update` for the trained leaves only."""
    if name == "grad":
        return trained(extra)
    if name == "grad_fn":
        return lambda params, *rest: trained(extra(whole(params), *rest))
    if name == "value_fn":  # keeps the signature of `extra`, which line searches read
        return functools.wraps(extra)(lambda params, **rest: extra(whole(params), **rest))
    return lambda params: extra(whole(params))
