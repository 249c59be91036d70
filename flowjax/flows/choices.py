"""What a recipe's words stand for: kinds of coupling, kinds of mixing between couplings."""

from __future__ import annotations

from collections.abc import Callable

from flowjax.bijectors import (
    additive_coupling,
    affine_coupling,
    linear_lu,
    permutation,
    reverse,
    spline_coupling,
)
from flowjax.types import Bijector, FlowjaxError

COUPLINGS: dict[str, Callable[..., Bijector]] = {
    "additive": additive_coupling,
    "affine": affine_coupling,
    "spline": spline_coupling,
}


def mixing(kind: str, seed: int) -> list[Bijector]:
    """Returns what mixes the coordinates between couplings, as no bijector or one.

    Example:
        >>> [part.layers for part in mixing("random", seed=2)], mixing("none", seed=2)
        ([('permutation(seed=2)',)], [])
    """
    kinds: dict[str, Callable[[], list[Bijector]]] = {
        "random": lambda: [permutation(seed=seed)],
        "reverse": lambda: [reverse()],
        "lu": lambda: [linear_lu(seed=seed)],
        "none": lambda: [],
    }
    if kind not in kinds:
        raise FlowjaxError(f"permutation: expected one of {', '.join(kinds)}, got {kind!r}")
    return kinds[kind]()


def coupling_named(kind: str) -> Callable[..., Bijector]:
    """Returns the function of a coupling's name.

    Example:
        >>> coupling_named("affine").__name__
        'affine_coupling'
    """
    if kind not in COUPLINGS:
        raise FlowjaxError(f"coupling: expected one of {', '.join(COUPLINGS)}, got {kind!r}")
    return COUPLINGS[kind]
