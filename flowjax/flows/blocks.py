"""Rows in blocks that stay in a CPU's cache: for evaluating, not for training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from flowjax.types import Array, Params

# Numbers of a block, 2 MiB in float32: every layer then finds in the cache what the one before it
# wrote. Smaller blocks leave too little for several cores to share (benchmarks/flows.md).
BLOCK = 1 << 19

Rows = Callable[[Params, Array, Any], tuple[Array, Array]]


def in_blocks(f: Rows) -> Rows:
    """Returns `f` that works through many rows block by block, where that is faster.

    That is on a CPU, inside of jit, from two blocks of 2 MiB on. The numbers are the same to
    rounding, and memory no longer grows with the rows times the layers. Derivatives are those of
    `f` itself, on all rows at once: a block's share of the parameters' gradients would have to be
    added up in memory, which costs wide nets more than it saves.

    Args:
        f: `f(params, x, context) -> (z, log_det)`, row by row; x is `(n, dim)`, the context
            `(n, width)`, `(width,)` or None.

    Returns:
        A function of the same arguments.

    Example:
        >>> import jax.numpy as jnp
        >>> double = in_blocks(lambda params, x, context: (params * x, jnp.zeros(len(x))))
        >>> double(2.0, jnp.ones((3, 2)), None)[0].shape
        (3, 2)
    """

    @jax.custom_jvp
    def blocked(params: Params, x: Array, context: Any) -> tuple[Array, Array]:
        n = len(x)
        count = n // _rows(x)
        rows = -(-n // count)

        def cut(a: Array) -> Array:  # the last rows are repeated to fill the last block
            padded = jnp.pad(a, ((0, count * rows - n), (0, 0)), mode="edge")
            return padded.reshape(count, rows, a.shape[1])

        if context is not None and jnp.ndim(context) == 2:
            cuts = (cut(x), cut(context))
            done = jax.lax.map(lambda block: f(params, *block), cuts)
        else:
            done = jax.lax.map(lambda block: f(params, block, context), cut(x))
        return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:])[:n], done)

    def derivative(primals: tuple, tangents: tuple) -> Any:
        leaves, structure = jax.tree.flatten(primals)
        moves = jax.tree.leaves(tangents)
        moving = [i for i, move in enumerate(moves) if not isinstance(move, SymbolicZero)]

        def whole(*values: Array) -> tuple[Array, Array]:
            filled = list(leaves)
            for i, value in zip(moving, values, strict=True):
                filled[i] = value
            return f(*jax.tree.unflatten(structure, filled))

        return jax.jvp(whole, [leaves[i] for i in moving], [moves[i] for i in moving])

    blocked.defjvp(derivative, symbolic_zeros=True)

    def run(params: Params, x: Array, context: Any = None) -> tuple[Array, Array]:
        # Outside of jit the loop over blocks would be compiled anew in every call.
        traced = isinstance(x, jax.core.Tracer) and jax.default_backend() == "cpu"
        many = x.ndim == 2 and isinstance(x.shape[0], int) and len(x) >= 2 * _rows(x)
        if traced and many and not _closes_over_traced(f, params, x, context):
            return blocked(params, x, context)
        return f(params, x, context)

    return run


def _rows(x: Array) -> int:
    """Rows of a block: a power of two."""
    return 1 << (max(1, BLOCK // x.shape[1]).bit_length() - 1)


def _closes_over_traced(f: Rows, params: Params, x: Array, context: Any) -> bool:
    """Whether `f` reads values besides its arguments that a derivative may be asked for.

    `jax.custom_jvp` cannot have those; only a part of a user's own would.
    """
    return bool(jax.closure_convert(f, params, x, context)[1])
