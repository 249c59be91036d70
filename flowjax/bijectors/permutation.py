"""Fixed permutations of the coordinates, which are compile-time constants."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from flowjax.bijectors.common import as_float, check_batch, constant_log_det
from flowjax.types import Array, Bijector, Params, PRNGKey


def take_columns(x: Array, order: np.ndarray) -> Array:
    """Returns `x[..., order]` for a permutation `order`; the gradient is a gather as well.

    The gradient of plain indexing is a scatter-add, which XLA runs slowly on a CPU. Forward and
    reverse mode work, to any order of differentiation.

    Args:
        x: input, shape (..., dim).
        order: permutation of 0 .. dim - 1, shape (dim,), known at compile time.

    Returns:
        The permuted input, shape (..., dim).

    Example:
        >>> import jax.numpy as jnp, numpy as np
        >>> take_columns(jnp.array([10.0, 20.0, 30.0]), np.array([2, 0, 1])).tolist()
        [30.0, 10.0, 20.0]
    """
    return _gather(tuple(int(i) for i in order))(x)


@lru_cache(maxsize=256)
def _gather(order: tuple[int, ...]) -> Callable[[Array], Array]:
    there = np.array(order, np.int32)
    back = np.argsort(there).astype(np.int32)

    def pick(x: Array, columns: np.ndarray) -> Array:
        # One index per entry, because XLA stores `x[..., columns]` in column-major order, which is
        # slow (see benchmarks/flows.md).
        indices = jnp.broadcast_to(columns, x.shape)
        return jnp.take_along_axis(x, indices, axis=-1, mode="promise_in_bounds")

    # jax.custom_vjp does not support forward mode; custom_linear_solve does.
    def gather(x: Array) -> Array:
        return jax.lax.custom_linear_solve(
            lambda y: pick(y, back), x, lambda _, b: pick(b, there), lambda _, b: pick(b, back)
        )

    return gather


def _fixed(apply: Callable[[Array], Array], undo: Callable[[Array], Array], line: str) -> Bijector:
    """Returns the bijector of a volume-preserving transformation without parameters."""

    def init(key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        check_batch("x", x)
        return {}

    def forward(params: Params, x: Array, context: Array | None = None) -> tuple[Array, Array]:
        x = as_float(x)
        return apply(x), constant_log_det(x)

    def inverse(params: Params, z: Array, context: Array | None = None) -> tuple[Array, Array]:
        z = as_float(z)
        return undo(z), constant_log_det(z)

    return Bijector(init, forward, inverse, (line,))


def permutation(*, seed: int = 0) -> Bijector:
    """Returns a fixed random permutation of the coordinates, with log_det 0.

    The permutation is `numpy.random.default_rng(seed).permutation(dim)`, and
    `Bijector.constants` returns it.

    Args:
        seed: integer seed of the permutation.

    Returns:
        A bijector on `(n, dim)` without parameters.

    References:
        Glow, https://arxiv.org/abs/1807.03039, section 6, compares fixed permutations with the 1x1
        convolution; BERT-flow, https://arxiv.org/abs/2011.05864, uses fixed permutations.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> layer, x = permutation(seed=3), jnp.arange(4.0)[None]
        >>> params = layer.init(jax.random.key(0), x)
        >>> z, log_det = layer.forward(params, x)
        >>> sorted(z[0].tolist()), log_det.tolist(), layer.inverse(params, z)[0].tolist()
        ([0.0, 1.0, 2.0, 3.0], [0.0], [[0.0, 1.0, 2.0, 3.0]])
    """

    def order(dim: int) -> np.ndarray:
        return np.random.default_rng(seed).permutation(dim)

    part = _fixed(
        lambda x: take_columns(x, order(x.shape[-1])),
        lambda z: take_columns(z, np.argsort(order(z.shape[-1]))),
        f"permutation(seed={seed})",
    )
    return part._replace(constants=lambda dim: (order(dim),))


def reverse() -> Bijector:
    """Returns the reversal of the coordinates, `z = x[..., ::-1]`, with log_det 0.

    Returns:
        A bijector on `(n, dim)` without parameters, its own inverse.

    References:
        RealNVP, https://arxiv.org/abs/1605.08803. BERT-flow's released code also reverses the
        coordinates, although its paper describes random permutations.

    Example:
        >>> import jax.numpy as jnp
        >>> reverse().forward({}, jnp.array([[1.0, 2.0, 3.0]]))[0].tolist()
        [[3.0, 2.0, 1.0]]
    """
    return _fixed(lambda x: x[..., ::-1], lambda z: z[..., ::-1], "reverse")


def identity() -> Bijector:
    """Returns the identity, `z = x`, with log_det 0.

    Returns:
        A bijector on `(n, dim)` without parameters.

    Example:
        >>> import jax.numpy as jnp
        >>> identity().forward({}, jnp.array([[1.0, 2.0]]))[0].tolist()
        [[1.0, 2.0]]
    """
    return _fixed(lambda x: x, lambda z: z, "identity")
