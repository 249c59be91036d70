"""Helpers of all bijectors: dtypes of log_det, checks of inputs, frozen parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from flowjax.bijectors.products import exact_dot
from flowjax.errors import FlowjaxError, check_that
from flowjax.types import FROZEN, Array, Bijector, Params


def as_float(x: Any) -> Array:
    """Returns `x` as an array of at least float32; converts bfloat16, float16 and integers."""
    x = jnp.asarray(x)
    wide: Array = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return wide


def log_det_dtype() -> Any:
    """Returns the dtype of every log_det: float64 if x64 is enabled, else float32."""
    return jnp.result_type(float)


def params_dtype(params: Params) -> Any:
    """Returns the dtype of parameters: the narrowest, because sums such as log_det are wider.

    Example:
        >>> params_dtype({"mean": jnp.zeros(2)}).name
        'float32'
    """
    dtypes = [leaf.dtype for leaf in jax.tree.leaves(params)]
    return min(dtypes, key=lambda dtype: dtype.itemsize, default=jnp.dtype(jnp.float32))


def total(values: Array) -> Array:
    """Returns the sum over the last axis, in the dtype of log_det."""
    return jnp.sum(values, axis=-1, dtype=log_det_dtype())


def constant_log_det(x: Array, value: Array | float = 0.0) -> Array:
    """Returns an array with the same log_det for every row, shape `x.shape[:-1]`."""
    return jnp.broadcast_to(jnp.asarray(value, log_det_dtype()), x.shape[:-1])


def product(x: Array, matrix: Array) -> Array:
    """Returns `x @ matrix` in the full precision of its dtype, on every device.

    By default, GPUs and TPUs round the factors, so that an inverse product would not undo a
    forward product. Conditioners do not need this function, because both directions of a coupling
    evaluate the same network.
    """
    if x.dtype == matrix.dtype == jnp.float32 and matrix.ndim == 2 and x.ndim > 0:
        return exact_dot(alike(x, matrix), alike(matrix, x))
    return jnp.matmul(x, matrix, precision="highest")


def check_bijector(name: str, part: Any) -> Bijector:
    """Returns `part`, a `Bijector`, whose functions all accept a context.

    The functions of a hand-written bijector that does not use a context may omit this argument.

    Raises:
        FlowjaxError: `part` is not a `Bijector`.
    """
    if isinstance(part, Bijector):
        init, forward, inverse = map(_with_context, part[:3])
        same = (init, forward, inverse) == part[:3]
        return part if same else part._replace(init=init, forward=forward, inverse=inverse)
    got = f"a {type(part).__name__}"
    if isinstance(part, (list, tuple)) and not hasattr(part, "_fields"):
        got += "; write `chain(*parts)` for a list of bijectors"
    elif isinstance(getattr(part, "bijector", None), Bijector):
        got += "; use its attribute `bijector`"
    elif callable(part):
        got += f"; call it: `{getattr(part, '__name__', 'function')}()`"
    raise FlowjaxError(f"{name}: expected a Bijector, got {got}")


def _with_context(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns `function(first, x, context=None)`, which ignores a context that it cannot get."""
    try:
        signature = inspect.signature(function)
        signature.bind(None, None, None)
    except ValueError:  # no signature
        return function
    except TypeError:
        if "context" in signature.parameters:  # keyword-only
            return lambda first, x, context=None: function(first, x, context=context)
        return lambda first, x, context=None: function(first, x)
    return function


def bounded(raw: Array, bound: float = 2.0) -> Array:
    """Returns log-scales in (-bound, bound) from raw network outputs; 0 maps to 0."""
    return bound * jnp.tanh(raw / bound)


def alike(x: Array, *others: Any) -> Array:
    """Returns `x`, marked as varying over each mesh axis over which any leaf of `others` varies.

    Inside of `jax.shard_map`, the varying axes are part of an array's type. The carry of a scan
    must keep its type, so its initial value must vary over the same axes as the parameters and the
    context.
    """
    axes = (
        frozenset[Any]()
        .union(*(jax.typeof(leaf).manual_axis_type.varying for leaf in jax.tree.leaves(others)))
        .difference(jax.typeof(x).manual_axis_type.varying)
    )
    return jax.lax.pcast(x, tuple(axes), to="varying") if axes else x


def check_dim(name: str, x: Any, dim: int) -> Array:
    """Returns `as_float(x)`; raises FlowjaxError unless its last axis has size `dim`."""
    shape = jnp.shape(x)
    check_that(shape[-1:] == (dim,), name, f"(n, {dim})", shape)
    return as_float(x)


def check_batch(name: str, x: Any, least: int = 1) -> Array:
    """Returns `x` as a floating-point array (n, dim) with n >= 1 and dim >= `least`.

    Inside of jit, values cannot be checked; the training loop then detects a loss that is not
    finite.

    Raises:
        FlowjaxError: The shape is wrong or, outside of jit, a value is NaN or infinite.
    """
    shape = jnp.shape(x)
    valid = len(shape) == 2 and shape[0] >= 1 and shape[1] >= least
    check_that(valid, name, f"(n, dim) with n >= 1 and dim >= {least}", shape)
    values = as_float(x)
    if not isinstance(values, Tracer):
        check_finite(name, np.asarray(values))
    return values


def check_finite(name: str, x: np.ndarray) -> None:
    """Raises FlowjaxError if an entry of `x` (n, dim) is not finite; names the first entry."""
    if np.isfinite(x).all():
        return
    bad = np.argwhere(~np.isfinite(x))
    row, column = (int(i) for i in bad[0])
    raise FlowjaxError(
        f"{name}: expected finite numbers, got {x[row, column]} at row {row}, column {column} "
        f"({len(bad)} such entries)"
    )


def frozen(params: Params) -> Params:
    """Returns the parameters under `"frozen"`, without gradients."""
    return jax.lax.stop_gradient(params[FROZEN])
