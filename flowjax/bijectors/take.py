"""Permutation of columns as a primitive of JAX: linear, and its transpose is a permutation.

The gradient of plain indexing is a scatter-add, which XLA runs slowly. `jax.custom_vjp` does not
support forward mode. A primitive has both modes, and is one equation in a traced program.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from flowjax.types import Array

_permute = Primitive("permute_columns")
_permute.def_impl(jax.jit(_permute.bind))
_permute.def_abstract_eval(lambda x, there, back: x)


def take_columns(
    x: Array, order: np.ndarray | Array, inverse: np.ndarray | Array | None = None
) -> Array:
    """Returns `x[..., order]` for a permutation `order`; the gradient is a permutation as well.

    Forward and reverse mode work, to any order of differentiation. On a TPU, the permutation is a
    product with a one-hot matrix at full precision, which gives the same finite numbers; a row
    with an entry that is not finite has no finite entry there.

    Args:
        x: input, shape (..., dim).
        order: permutation of 0 .. dim - 1, shape (dim,).
        inverse: the inverse permutation; None means `argsort(order)` of a NumPy array.

    Returns:
        The permuted input, shape (..., dim).

    Example:
        >>> import jax.numpy as jnp, numpy as np
        >>> take_columns(jnp.array([10.0, 20.0, 30.0]), np.array([2, 0, 1])).tolist()
        [30.0, 10.0, 20.0]
    """
    inverse = np.argsort(order) if inverse is None else inverse
    pair = (jnp.asarray(columns, jnp.int32) for columns in (order, inverse))
    y: Array = _permute.bind(jnp.asarray(x), *pair)
    return y


def _index(x: Array, there: Array, back: Array) -> Array:
    # One index per entry, because XLA stores `x[..., there]` in column-major order, which is slow
    # (see benchmarks/flows.md).
    indices = jnp.broadcast_to(there, x.shape)
    return jnp.take_along_axis(x, indices, axis=-1, mode="promise_in_bounds")


def _product(x: Array, there: Array, back: Array) -> Array:
    # A TPU gathers entry by entry (see benchmarks/compiled.md). Each sum has one term, so that
    # the results have the same bits. An infinite entry makes its whole row NaN.
    one_hot = jnp.arange(x.shape[-1])[:, None] == there[..., None, :]
    if there.ndim == 1:
        return jnp.matmul(x, one_hot.astype(x.dtype), precision="highest")
    return jnp.matmul(x[..., None, :], one_hot.astype(x.dtype), precision="highest")[..., 0, :]


def _jvp(primals: Any, tangents: Any) -> tuple[Any, Any]:
    x, there, back = primals
    dx = tangents[0]
    dy = dx if isinstance(dx, ad.Zero) else _permute.bind(dx, there, back)
    return _permute.bind(x, there, back), dy


def _transpose(ct: Any, x: Any, there: Array, back: Array) -> tuple[Any, None, None]:
    return ct if isinstance(ct, ad.Zero) else _permute.bind(ct, back, there), None, None


def _batch(args: Any, dims: Any) -> tuple[Array, int]:
    size = next(a.shape[d] for a, d in zip(args, dims, strict=True) if d is not None)
    x, *orders = (
        jnp.broadcast_to(a, (size, *a.shape)) if d is None else jnp.moveaxis(a, d, 0)
        for a, d in zip(args, dims, strict=True)
    )
    if dims[1] is dims[2] is None:
        return _permute.bind(x, *args[1:]), 0
    # The axes of x that the orders lack come after the batch axis.
    axes = range(1, 1 + x.ndim - orders[0].ndim)
    return _permute.bind(x, *(jnp.expand_dims(order, tuple(axes)) for order in orders)), 0


ad.primitive_jvps[_permute] = _jvp
ad.primitive_transposes[_permute] = _transpose
batching.primitive_batchers[_permute] = _batch
mlir.register_lowering(_permute, mlir.lower_fun(_index, multiple_results=False))
mlir.register_lowering(_permute, mlir.lower_fun(_product, multiple_results=False), platform="tpu")
