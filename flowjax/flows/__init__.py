"""Flows: recipes that return a `Flow` (`flowjax.types`), and `make`, which finds one by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from flowjax.flows.base import Base, conditional_normal, normal, student_t
from flowjax.flows.build import bits_per_dim, build
from flowjax.flows.closed_form import none, standardize, whitening, whitening_glow
from flowjax.flows.couplings import neural_spline, realnvp
from flowjax.flows.glow import glow, glow_as_released
from flowjax.types import Flow, FlowjaxError, describe

__all__ = [
    "RECIPES",
    "Base",
    "bits_per_dim",
    "build",
    "conditional_normal",
    "describe",
    "glow",
    "glow_as_released",
    "make",
    "neural_spline",
    "none",
    "normal",
    "realnvp",
    "standardize",
    "student_t",
    "whitening",
    "whitening_glow",
]

RECIPES: dict[str, Callable[..., Flow]] = {
    "glow": glow,
    "glow_as_released": glow_as_released,
    "realnvp": realnvp,
    "neural_spline": neural_spline,
    "whitening": whitening,
    "standardize": standardize,
    "whitening_glow": whitening_glow,
    "none": none,
}


def make(name: str, dim: int, **options: Any) -> Flow:
    """Returns the flow of a recipe's name and options, as a config file gives them.

    Args:
        name: a key of `RECIPES`.
        dim: size of a data vector.
        **options: keyword arguments of that recipe.

    Returns:
        A `Flow`.

    Raises:
        FlowjaxError: an unknown name or option (the text lists the known ones), or an option
            out of range.

    Example:
        >>> make("glow", 8, levels=1, width=4).dim
        8
        >>> make("glow", 8, levles=1)
        Traceback (most recent call last):
            ...
        flowjax.errors.FlowjaxError: glow: no option 'levles'; it has levels, depth, width, \
hidden_layers, coupling, permutation, mask, conditional_split, conditioner, base, whiten_latents, \
seed, unroll, checkpoint
    """
    if name not in RECIPES:
        raise FlowjaxError(f"flow: expected one of {', '.join(RECIPES)}, got {name!r}")
    known = [key for key in inspect.signature(RECIPES[name]).parameters if key != "dim"]
    for option in options:
        if option not in known:
            raise FlowjaxError(f"{name}: no option {option!r}; it has {', '.join(known)}")
    return RECIPES[name](dim, **options)
