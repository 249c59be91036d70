"""Fixed reorderings of the coordinates: compile-time constants, never parameters or products."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from flowjax.bijectors.common import as_float, check_batch, constant_log_det
from flowjax.types import Array, Bijector, Params, PRNGKey


def take_columns(x: Array, order: np.ndarray) -> Array:
    """Returns `x[..., order]` for a permutation `order`; its gradient gathers by the inverse.

    The gradient of plain indexing is a scatter-add, which XLA runs slowly on a CPU; a permutation
    needs none. Both modes of differentiation work, to any order.

    Args:
        x: `(..., dim)`.
        order: `(dim,)` integers, a permutation of 0 .. dim - 1, known at compile time.

    Returns:
        `(..., dim)`.

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
        # `x[..., columns]` would be laid out column by column, which costs a step of Glow half of
        # its time; an index for every number keeps the rows together
        indices = jnp.broadcast_to(columns, x.shape)
        return jnp.take_along_axis(x, indices, axis=-1, mode="promise_in_bounds")

    # A linear solve whose solver is known: unlike `jax.custom_vjp`, forward mode works as well.
    def gather(x: Array) -> Array:
        return jax.lax.custom_linear_solve(
            lambda y: pick(y, back), x, lambda _, b: pick(b, there), lambda _, b: pick(b, back)
        )

    return gather


def _fixed(move: Callable[[Array], Array], back: Callable[[Array], Array], line: str) -> Bijector:
    """Returns the bijector of a volume-preserving map without parameters."""

    def init(key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        check_batch("x", x)
        return {}

    def forward(params: Params, x: Array, context: Array | None = None) -> tuple[Array, Array]:
        x = as_float(x)
        return move(x), constant_log_det(x)

    def inverse(params: Params, z: Array, context: Array | None = None) -> tuple[Array, Array]:
        z = as_float(z)
        return back(z), constant_log_det(z)

    return Bijector(init, forward, inverse, (line,))


def permutation(*, seed: int = 0) -> Bijector:
    """Returns the fixed random reordering of the coordinates that `seed` and the dim give.

    The order is `numpy.random.default_rng(seed).permutation(dim)`, so a saved flow needs only the
    seed. log_det is 0.

    Args:
        seed: which reordering.

    Returns:
        A bijector on `(n, dim)` without parameters.

    References:
        Glow's ablation, https://arxiv.org/abs/1807.03039, section 6; BERT-flow,
        https://arxiv.org/abs/2011.05864, which uses it in place of the 1x1 convolution.

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
        NICE and RealNVP, https://arxiv.org/abs/1605.08803; what BERT-flow's released code does
        where its paper says "random permutation".

    Example:
        >>> import jax.numpy as jnp
        >>> reverse().forward({}, jnp.array([[1.0, 2.0, 3.0]]))[0].tolist()
        [[3.0, 2.0, 1.0]]
    """
    return _fixed(lambda x: x[..., ::-1], lambda z: z[..., ::-1], "reverse")


def identity() -> Bijector:
    """Returns the map that changes nothing, `z = x`, with log_det 0.

    Returns:
        A bijector on `(n, dim)` without parameters.

    Example:
        >>> import jax.numpy as jnp
        >>> identity().forward({}, jnp.array([[1.0, 2.0]]))[0].tolist()
        [[1.0, 2.0]]
    """
    return _fixed(lambda x: x, lambda z: z, "identity")
