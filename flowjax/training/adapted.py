"""Optax optimizers in a form that the training loop can run, save and restore."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax

from flowjax.errors import FlowjaxError


def adapted(optimizer: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """Returns an optimizer whose state consists of arrays with constant shapes and dtypes.

    The loop on the device requires constant types, and checkpoints require arrays of numbers. Key
    arrays in the state of the optimizer, as in `optax.add_noise`, become arrays of integers.

    Args:
        optimizer: optax transformation.

    Returns:
        An optax gradient transformation. Its functions raise FlowjaxError if a function of
        `optimizer` fails, or if the structure or the shapes of the state change in an update.

    Example:
        >>> noise = adapted(optax.add_noise(0.1, 0.5, jax.random.key(0)))
        >>> state = noise.init(jnp.zeros(2))
        >>> state.rng_key.dtype, noise.update(jnp.ones(2), state)[1].rng_key.shape
        (dtype('uint32'), (2,))
    """
    inner = lenient(optimizer)

    def init(params: optax.Params) -> Any:
        with _explained("init"):
            return jax.tree.map(_numbers, inner.init(params))

    def update(grads: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        with _explained("update"):
            keys = _key_types(inner, grads if params is None else params)
            updates, new = inner.update(grads, _typed(state, keys), params, **extra)
            new = jax.tree.map(_numbers, new)
            _check_form(state, new)
        return updates, jax.tree.map(lambda new, old: new.astype(old.dtype), new, state)

    return optax.GradientTransformationExtraArgs(init, cast(Any, update))


def lenient(optimizer: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """Returns an optimizer whose `update` ignores extra arguments that it does not accept.

    `optax.with_extra_args_support` does this for transformations without extra arguments only, but
    `optax.contrib.sam` accepts only some.

    Example:
        >>> scale = lenient(optax.scale(-0.5))
        >>> scale.update(jnp.ones(1), scale.init(None), any_name=1)[0].tolist()
        [-0.5]
    """
    inner = optax.with_extra_args_support(optimizer)
    named = inspect.signature(inner.update).parameters
    if any(p.kind is p.VAR_KEYWORD for p in named.values()):
        return inner

    def update(grads: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        extra = {name: value for name, value in extra.items() if name in named}
        updated: tuple[Any, Any] = inner.update(grads, state, params, **extra)
        return updated

    return optax.GradientTransformationExtraArgs(inner.init, cast(Any, update))


def extra_arguments(
    value: Any, grads: Any, norm: Any, value_fn: Callable[[Any], Any]
) -> dict[str, Any]:
    """Returns the extra arguments of `update` for the optimizers of optax that need them.

    Args:
        value: loss of the batch.
        grads: gradients.
        norm: global norm of the gradients.
        value_fn: function from params to the loss of the same batch.

    Example:
        >>> sorted(extra_arguments(1.0, 2.0, 2.0, lambda params: params**2))
        ['grad', 'grad_fn', 'grad_norm', 'obj_fn', 'value', 'value_fn']
    """

    def of_params(
        params: Any, grad_norm: Any = None, obj_fn: Any = None, grad_fn: Any = None
    ) -> Any:
        # Line searches of optax refuse extra arguments that `value_fn` does not accept.
        return value_fn(params)

    return {
        "value": value,
        "grad": grads,
        "grad_norm": norm,
        "value_fn": of_params,  # line searches, such as `optax.lbfgs`
        "obj_fn": value_fn,  # `optax.contrib.sophia`
        "grad_fn": lambda params, *_: jax.grad(value_fn)(params),  # `optax.contrib.sam`
    }


def _numbers(x: Any) -> jax.Array:
    """Returns a leaf of a state as an array of numbers that is not weakly typed."""
    if _is_key(x):
        return jax.random.key_data(x)
    if not isinstance(x, (jax.Array, np.ndarray, np.generic, bool, int, float, complex)):
        raise TypeError(f"its state contains {type(x).__name__}, expected arrays")
    return jnp.asarray(x, jnp.result_type(x))


def _is_key(x: Any) -> bool:
    return isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def _key_types(inner: optax.GradientTransformation, params: Any) -> list[str | None]:
    """Returns the type of each key array among the leaves of the state, and None for others."""
    found: list[str | None] = []

    def init(params: Any) -> None:
        leaves = jax.tree.leaves(inner.init(params))
        found.extend(str(jax.random.key_impl(x)) if _is_key(x) else None for x in leaves)

    jax.eval_shape(init, params)
    return found


def _typed(state: Any, keys: list[str | None]) -> Any:
    """Returns the state of the wrapped optimizer, with its key arrays."""
    pairs = zip(jax.tree.leaves(state), keys, strict=True)
    leaves = [jax.random.wrap_key_data(x, impl=k) if k else x for x, k in pairs]
    return jax.tree.unflatten(jax.tree.structure(state), leaves)


def _check_form(old: Any, new: Any) -> None:
    before: Any = jax.tree.structure(old)
    if before != jax.tree.structure(new):
        raise TypeError("the structure of its state changes")
    for (path, a), b in zip(jax.tree.leaves_with_path(old), jax.tree.leaves(new), strict=True):
        if a.shape != b.shape:
            where = jax.tree_util.keystr(path)
            raise TypeError(f"its state{where} changes from shape {a.shape} to {b.shape}")


@contextmanager
def _explained(part: str) -> Iterator[None]:
    try:
        yield
    except FlowjaxError:
        raise
    except Exception as error:  # optimizers raise any type
        text = " ".join(str(error).split())[:300]
        raise FlowjaxError(
            f"optimizer: expected an optax transformation that can update the parameters of the "
            f"flow, got an error in its {part}: {type(error).__name__}: {text}"
        ) from error
