"""Evaluation of many examples in blocks that fit into the cache of a CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from flowjax.types import Array, Params

# Size (rows x columns) of a block, 2 MiB of float32; see "Blocks" in benchmarks/flows.md.
BLOCK = 1 << 19


def in_blocks(
    f: Callable[[Params, Array, Any], tuple[Array, Array]],
    params: Params,
    x: Array,
    context: Array | None,
) -> tuple[Array, Array]:
    """Returns `f(params, x, context)`, evaluated block by block if that is faster.

    Blocks are used on a CPU, inside of jit, if `x` has at least two blocks. Outside of jit, each
    call would compile the loop again. A program that is compiled for another platform has no
    blocks.

    Args:
        f: function `(params, x, context) -> (z, log_det)` that maps each example independently.
        params: parameters of `f`.
        x: examples, shape (n, dim); other shapes are evaluated at once.
        context: conditioning vectors, shape (n, width) or (width,), or None.

    Example:
        >>> double = lambda params, x, context: (params * x, jnp.zeros(len(x)))
        >>> in_blocks(double, 2.0, jnp.ones((3, 2)), None)[0].shape
        (3, 2)
    """
    traced = isinstance(x, Tracer) and jax.default_backend() == "cpu"
    size = 1 << (max(1, BLOCK // x.shape[-1]).bit_length() - 1)  # a power of two
    if not (traced and x.ndim == 2 and isinstance(x.shape[0], int) and len(x) >= 2 * size):
        return f(params, x, context)
    n, blocks = len(x), len(x) // size
    size = -(-n // blocks)

    def cut(a: Array) -> Array:  # repeats the last example to fill the last block
        padded = jnp.pad(a, ((0, blocks * size - n), (0, 0)), mode="edge")
        return padded.reshape(blocks, size, a.shape[1])

    def blocked(params: Params, x: Array, context: Array | None) -> tuple[Array, Array]:
        def call(block: Any) -> tuple[Array, Array]:
            return f(params, block[0], block[1] if len(block) == 2 else context)

        each = context is not None and context.ndim == 2
        parts = (cut(x), cut(context)) if each and context is not None else (cut(x),)
        done = jax.lax.map(call, parts)
        z, log_det = (a.reshape(-1, *a.shape[2:])[:n] for a in done)
        return z, log_det

    z, log_det = jax.lax.platform_dependent(params, x, context, cpu=blocked, default=f)
    return z, log_det
