"""Fixed permutations of the coordinates, which are compile-time constants."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from flowjax.bijectors.common import as_float, check_batch, constant_log_det
from flowjax.bijectors.take import take_columns
from flowjax.errors import check_choice, check_integer
from flowjax.types import Array, Bijector, Params, PRNGKey

MASKS = ("half", "checkerboard")
PERIOD = 32  # number of permutations in the sequence of one seed


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


def permutation(
    *, seed: int = 0, index: int | Array = 0, mask: Literal["half", "checkerboard"] = "half"
) -> Bijector:
    """Returns a fixed random permutation of the coordinates, with log_det 0.

    The permutation is number `index` of a sequence that `seed` determines. If permutation number i
    precedes coupling number i, each coupling transforms the coordinates that the fewest couplings
    before transformed, and otherwise about as many from one half as from the other half. Two
    couplings therefore transform every coordinate (three in an odd dimension). A single
    permutation, used before every coupling, needs up to four couplings. `Bijector.constants`
    returns the permutation.

    Args:
        seed: integer seed of the sequence of permutations.
        index: number of the permutation, 0 or larger: an integer, or the argument of the function
            given to `repeat`. The sequence repeats itself after 32 permutations.
        mask: pattern of the coordinates that the couplings transform, see `coupling`.

    Returns:
        A bijector on `(n, dim)` without parameters.

    Raises:
        FlowjaxError: `seed` or `index` is not an integer of at least 0, or `mask` is unknown.

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
    seed = check_integer("seed", seed)
    check_choice("mask", mask, MASKS)
    traced = isinstance(index, Tracer)
    number: Any = index if traced else check_integer("index", index)
    number = number % PERIOD

    def move(x: Array, back: bool) -> Array:
        orders, inverses = _orders(x.shape[-1], seed, mask)
        # A constant on the device: NumPy arrays cannot be indexed with a traced integer.
        pair = [(jnp.asarray(a) if traced else a)[number] for a in (orders, inverses)]
        return take_columns(x, *(pair[::-1] if back else pair))

    line = f"permutation(seed={seed}"
    line += "" if traced or number == 0 else f", index={number}"
    line += ")" if mask == "half" else f", {mask})"
    part = _fixed(lambda x: move(x, False), lambda z: move(z, True), line)
    return part._replace(constants=lambda dim: (_orders(dim, seed, mask)[0][number],))


def _transformed(dim: int, mask: str) -> np.ndarray:
    """Returns a mask, shape (dim,), of the positions that a coupling transforms."""
    positions = np.arange(dim)
    return positions >= dim - dim // 2 if mask == "half" else positions % 2 == 1


@lru_cache(maxsize=64)
def _orders(dim: int, seed: int, mask: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the sequence of permutations and of their inverses, shape (PERIOD, dim) each."""
    rng, last = np.random.default_rng(seed), _transformed(dim, mask)
    count = np.zeros(dim, int)  # number of couplings that transformed the coordinate at a position
    rank = np.zeros(dim, int)  # random rank of a position in its half
    orders = np.empty((PERIOD, dim), np.int32)
    for order in orders:
        shuffled = rng.permutation(dim)
        for part in (last, ~last):
            members = shuffled[part[shuffled]]
            rank[members] = np.arange(len(members))
        # The last coupling before a `split` leaves a coordinate that no coupling has transformed
        # at position 0. The next coupling, after the split, transforms this coordinate.
        rank[0] = -1
        places = np.lexsort((last, rank, count))
        chosen, rest = np.split(places, [last.sum()])
        order[last] = chosen
        # The chosen positions get the coordinates that were not chosen and not transformed before,
        # so that repeating one permutation brings every coordinate to the transformed half.
        order[places[~last[places]]] = rest[np.argsort(last[rest], kind="stable")]
        count = count[order] + last
    return orders, np.argsort(orders, axis=1).astype(np.int32)


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


def exchange(mask: Literal["half", "checkerboard"]) -> Bijector:
    """Returns the reversal in even dimensions, and a cyclic shift in odd dimensions.

    Repeated reversals never bring the middle coordinate of an odd dimension to the positions that
    a coupling transforms. The shift brings each coordinate there within three repetitions.

    Args:
        mask: pattern of the coordinates that the couplings transform.

    Returns:
        A bijector on `(n, dim)` without parameters.

    Example:
        >>> import jax.numpy as jnp
        >>> exchange("half").forward({}, jnp.arange(5.0)[None])[0].tolist()
        [[2.0, 3.0, 4.0, 0.0, 1.0]]
    """

    def move(x: Array, sign: int) -> Array:
        dim = x.shape[-1]
        if dim % 2 == 0:
            return x[..., ::-1]
        return jnp.roll(x, sign * (-(dim // 2) if mask == "half" else 1), axis=-1)

    line = "reverse (cyclic shift in odd dimensions)"
    return _fixed(lambda x: move(x, 1), lambda z: move(z, -1), line)


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
