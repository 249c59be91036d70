"""Named options of the recipes: kinds of couplings, and of mixing between couplings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypedDict, get_args

from flowjax.bijectors import (
    Conditioner,
    additive_coupling,
    affine_coupling,
    linear_lu,
    permutation,
    spline_coupling,
)
from flowjax.bijectors.made import MaskedNet
from flowjax.bijectors.permutation import exchange
from flowjax.errors import FlowjaxError, check_choice
from flowjax.types import Base, Bijector

Coupling = Literal["additive", "affine", "spline"]
Mixing = Literal["random", "reverse", "lu", "none"]
Mask = Literal["half", "checkerboard"]
# A uniform base needs a bijector with bounded latents, so it is not an option of the recipes.
BaseName = Literal["normal", "student_t", "diagonal", "mixture", "conditional"]
# Exponent of the standard deviations of the latents; "none" is None in a config file.
Power = float | Literal["none"] | None

FlowName = Literal[
    "auto",
    "all_but_the_top",
    "center",
    "elementwise_spline",
    "glow",
    "glow_as_released",
    "iaf",
    "identity",
    "maf",
    "neural_spline",
    "realnvp",
    "standardize",
    "whitening",
    "whitening_glow",
]
"""Name of a recipe, or "auto"."""
Transform = Literal["affine", "spline"]
"""Transformation of each coordinate in an autoregressive layer."""
Reordering = Literal["reverse", "random", "lu"]
"""Change of the order of the coordinates before an autoregressive layer."""


class GlowOptions(TypedDict, total=False):
    """Keyword arguments of `glow` that `whitening_glow` passes on."""

    levels: int | None
    depth: int
    width: int
    hidden_layers: int
    coupling: Coupling
    permutation: Mixing
    mask: Mask
    conditional_split: bool
    conditioner: Conditioner | None
    base: BaseName | Base
    seed: int
    unroll: int | None
    checkpoint: bool


class MafOptions(TypedDict, total=False):
    """Keyword arguments of `maf`, which are also those of `iaf`."""

    depth: int
    width: int
    hidden_layers: int
    transform: Transform
    bins: int
    bound: float
    permutation: Reordering
    conditioner: MaskedNet | None
    base: BaseName | Base
    latent_power: Power
    seed: int
    unroll: int | None
    checkpoint: bool


COUPLINGS: dict[str, Callable[..., Bijector]] = {
    "additive": additive_coupling,
    "affine": affine_coupling,
    "spline": spline_coupling,
}


def check_coupled(dim: int) -> int:
    """Returns `dim`; raises FlowjaxError if it is 1, because couplings need two parts.

    Example:
        >>> check_coupled(1)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        flowjax.errors.FlowjaxError: dim: expected an integer of at least 2, got 1; use ...
    """
    if dim == 1:
        raise FlowjaxError(
            "dim: expected an integer of at least 2, got 1; use flows.elementwise_spline or "
            "flows.maf for scalars"
        )
    return dim


def mixing(kind: str, seed: int, mask: Mask = "half") -> Callable[[Any], list[Bijector]]:
    """Returns the function from the number of a step to its mixing layer.

    Args:
        kind: "random", a fixed permutation that differs between steps; "reverse"; "lu", a learned
            linear layer; or "none".
        seed: integer seed of the permutations or of the initial linear layer.
        mask: pattern of the coordinates that the couplings transform.

    Returns:
        A function `index -> [bijector]`; `index -> []` for "none".

    Raises:
        FlowjaxError: The kind is unknown.

    Example:
        >>> mixing("random", seed=2)(1)[0].layers, mixing("none", seed=2)(1)
        (('permutation(seed=2, index=1)',), [])
    """
    kinds: dict[str, Callable[[Any], list[Bijector]]] = {
        "random": lambda i: [permutation(seed=seed, index=i, mask=mask)],
        "reverse": lambda i: [exchange(mask)],
        "lu": lambda i: [linear_lu(seed=seed)],
        "none": lambda i: [],
    }
    check_choice("permutation", kind, kinds)
    check_choice("mask", mask, get_args(Mask))
    return kinds[kind]


def log_scale_bound(layers: int) -> float:
    """Returns the limit of the log-scale of each affine layer, given the number of layers.

    The scales of all layers multiply. With a limit of 2 in each of 32 layers, the composition
    amplifies rounding errors so much that it cannot be inverted in float32 away from the data.

    Example:
        >>> log_scale_bound(8), log_scale_bound(64)
        (2.0, 0.25)
    """
    return min(2.0, 16 / max(1, layers))


def coupling_named(kind: str, layers: int = 1) -> Callable[..., Bijector]:
    """Returns the coupling function with a given name.

    Args:
        kind: "additive", "affine" or "spline".
        layers: number of couplings of the flow, which limits their log-scales.

    Raises:
        FlowjaxError: The name is unknown.

    Example:
        >>> coupling_named("affine", layers=64)(mask="checkerboard").layers
        ('affine_coupling[bound=0.25](mlp(width=64, depth=2), checkerboard)',)
    """
    check_choice("coupling", kind, COUPLINGS)
    if kind == "affine":
        return partial(affine_coupling, bound=log_scale_bound(layers))
    return COUPLINGS[kind]
