"""Registry of the recipes: each flow remembers the name and options that built it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec

from flowjax.errors import FlowjaxError, check_choice
from flowjax.types import Flow, Recipe

P = ParamSpec("P")

RECIPES: dict[str, Callable[..., Flow]] = {}


def recipe(function: Callable[P, Flow]) -> Callable[P, Flow]:
    """Registers a function `(dim, **options) -> Flow` under its name in `RECIPES`.

    The flows that the decorated function returns have `flow.recipe`, with all of their options.

    Example:
        >>> from flowjax import flows
        >>> flow = flows.realnvp(4, depth=2)
        >>> flow.recipe.name, flow.recipe.options["depth"], flow.recipe.options["width"]
        ('realnvp', 2, 64)
    """
    name = function.__name__

    @functools.wraps(function)
    def recorded(*args: P.args, **kwargs: P.kwargs) -> Flow:
        flow = function(*args, **kwargs)
        defaults = {key: option.default for key, option in options_of(name).items()}
        return flow._replace(recipe=Recipe(name, defaults | kwargs))

    RECIPES[name] = recorded
    return recorded


def options_of(name: str) -> dict[str, inspect.Parameter]:
    """Returns the keyword arguments of a recipe.

    Raises:
        FlowjaxError: Unknown name; the text lists the known names.

    Example:
        >>> from flowjax import flows
        >>> list(options_of("standardize"))
        ['moments', 'base']
    """
    check_choice("flow", name, RECIPES)
    options: dict[str, inspect.Parameter] = {}
    for key, parameter in inspect.signature(RECIPES[name]).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:  # `glow_options` of `whitening_glow`
            forwarded = options_of(key.removesuffix("_options"))
            options |= {k: p for k, p in forwarded.items() if k not in ("init", "whiten_latents")}
        elif key != "dim":
            options[key] = parameter
    return options


def make(name: str, dim: int, **options: Any) -> Flow:
    """Returns the flow of a recipe, given its name and options, for example from a config file.

    Args:
        name: a key of `RECIPES`.
        dim: size of a data vector.
        **options: keyword arguments of that recipe.

    Returns:
        A `Flow`.

    Raises:
        FlowjaxError: Unknown name or option (the text lists the known ones), or an option out of
            range.

    Example:
        >>> from flowjax import flows
        >>> make("glow", 8, levels=1, width=4).dim
        8
        >>> make("standardize", 8, levles=1)
        Traceback (most recent call last):
            ...
        flowjax.errors.FlowjaxError: standardize: no option 'levles'; it has moments, base
    """
    known = options_of(name)
    for option in options:
        if option not in known:
            raise FlowjaxError(f"{name}: no option {option!r}; it has {', '.join(known)}")
    return RECIPES[name](dim, **options)
