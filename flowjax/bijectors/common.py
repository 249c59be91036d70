"""What every part shares: types wide enough for log_det, checks of what came, frozen leaves."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowjax.types import FROZEN, Array, Bijector, FlowjaxError, Params, PRNGKey


def as_float(x: Any) -> Array:
    """Returns `x` as an array of float32 at least (bfloat16, float16 and integers are widened)."""
    x = jnp.asarray(x)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def log_det_dtype() -> Any:
    """Returns the type of every log_det: float64 where x64 is on, else float32."""
    return jnp.result_type(float)


def total(values: Array) -> Array:
    """Returns the sum over the last axis, added up in the log_det's type."""
    return jnp.sum(values, axis=-1, dtype=log_det_dtype())


def constant_log_det(x: Array, value: Array | float = 0.0) -> Array:
    """Returns a log_det that is the same for every row, in the shape of `x`'s leading axes."""
    return jnp.broadcast_to(jnp.asarray(value, log_det_dtype()), x.shape[:-1])


def product(x: Array, matrix: Array) -> Array:
    """Returns `x @ matrix` in the full precision of its type, on every device.

    Maps that must invert use this; GPUs and TPUs would otherwise round the factors. Conditioners
    do not: a coupling computes the same net both ways.
    """
    return jnp.matmul(x, matrix, precision="highest")


def init_part(part: Bijector, key: PRNGKey, x: Array, context: Array | None) -> Params:
    """Returns `part.init(key, x, context)`; a part of a user's own may take no context."""
    return part.init(key, x) if context is None else part.init(key, x, context)


def bounded(raw: Array) -> Array:
    """Returns the log-scale in (-2, 2) that a raw number stands for; 0 stands for 0."""
    return 2 * jnp.tanh(raw / 2)


def alike(x: Array, *others: Any) -> Array:
    """Returns `x` as one that differs from device to device where any of the others do.

    Inside of `jax.shard_map` that is part of a type, and a scan wants its carry to come out of a
    turn with the type it went in with: it cannot begin with replicated rows where the parameters
    or the context are sharded.
    """
    axes = (
        frozenset[Any]()
        .union(*(jax.typeof(leaf).manual_axis_type.varying for leaf in jax.tree.leaves(others)))
        .difference(jax.typeof(x).manual_axis_type.varying)
    )
    return jax.lax.pcast(x, tuple(axes), to="varying") if axes else x


def check_dim(name: str, x: Any, dim: int) -> None:
    """Raises FlowjaxError unless the last axis of `x` has size `dim`."""
    shape = jnp.shape(x)
    if not shape or shape[-1] != dim:
        raise FlowjaxError(f"{name}: expected (n, {dim}), got {shape}")


def check_batch(name: str, x: Any) -> Array:
    """Returns `x` as a floating (n, dim) array, n >= 1; raises FlowjaxError if it is not one.

    Outside of jit the values are looked at too: NaN or infinity is an error that names its first
    row and column. Inside of jit they cannot be, and the caller's non-finite guard has to see it.
    """
    shape = jnp.shape(x)
    if len(shape) != 2 or shape[0] < 1 or shape[1] < 1:
        raise FlowjaxError(f"{name}: expected (n, dim) with n >= 1 and dim >= 1, got {shape}")
    x = as_float(x)
    if not isinstance(x, jax.core.Tracer):
        check_finite(name, np.asarray(x))
    return x


def check_finite(name: str, x: np.ndarray) -> None:
    """Raises FlowjaxError naming the first row and column of `x` (n, dim) that is not finite."""
    if np.isfinite(x).all():
        return
    bad = np.argwhere(~np.isfinite(x))
    row, column = (int(i) for i in bad[0])
    raise FlowjaxError(
        f"{name}: expected finite numbers, got {x[row, column]} at row {row}, column {column} "
        f"({len(bad)} such entries)"
    )


def frozen(params: Params) -> Params:
    """Returns the leaves under `"frozen"`, with no gradient flowing into them."""
    return jax.lax.stop_gradient(params[FROZEN])
