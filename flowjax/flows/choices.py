"""Named options of the recipes: kinds of couplings, and of mixing between couplings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from flowjax.bijectors import (
    additive_coupling,
    affine_coupling,
    linear_lu,
    permutation,
    reverse,
    spline_coupling,
)
from flowjax.errors import check_choice
from flowjax.types import Bijector

Coupling = Literal["additive", "affine", "spline"]
Mixing = Literal["random", "reverse", "lu", "none"]
Mask = Literal["half", "checkerboard"]
BaseName = Literal["normal", "student_t", "conditional"]

COUPLINGS: dict[str, Callable[..., Bijector]] = {
    "additive": additive_coupling,
    "affine": affine_coupling,
    "spline": spline_coupling,
}


def mixing(kind: str, seed: int) -> list[Bijector]:
    """Returns a list with the bijector that mixes the coordinates, or an empty list for "none".

    Args:
        kind: "random", a fixed permutation; "reverse"; "lu", a learned linear layer; or "none".
        seed: integer seed of the permutation or of the initial linear layer.

    Raises:
        FlowjaxError: The kind is unknown.

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
    check_choice("permutation", kind, kinds)
    return kinds[kind]()


def coupling_named(kind: str) -> Callable[..., Bijector]:
    """Returns the coupling function with a given name.

    Raises:
        FlowjaxError: The name is unknown.

    Example:
        >>> coupling_named("affine").__name__
        'affine_coupling'
    """
    check_choice("coupling", kind, COUPLINGS)
    return COUPLINGS[kind]
