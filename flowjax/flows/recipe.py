"""Registry of the recipes; each flow stores the name and the options of its recipe."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec

from flowjax.errors import FlowjaxError, check_choice, check_integer
from flowjax.types import Flow, Recipe

P = ParamSpec("P")

# Options that may be smaller than 1.
LEAST = {"seed": 0, "hidden_layers": 0}

RECIPES: dict[str, Callable[..., Flow]] = {}


def recipe(function: Callable[P, Flow]) -> Callable[P, Flow]:
    """Registers a function `(dim, **options) -> Flow` under its name in `RECIPES`.

    The decorated function sets `flow.recipe` to its name and options, including the defaults.

    Example:
        >>> from flowjax import flows
        >>> flow = flows.realnvp(4, depth=2)
        >>> flow.recipe.name, flow.recipe.options["depth"], flow.recipe.options["width"]
        ('realnvp', 2, 64)
    """
    name = function.__name__

    @functools.wraps(function)
    def recorded(*args: Any, **kwargs: Any) -> Flow:
        known = options_of(name)
        for key, value in kwargs.items():
            if key == "dim" or (key in known and _is_integer(known[key], value)):
                kwargs[key] = check_integer(key, value, least=LEAST.get(key, 1))
        dim = [check_integer("dim", value, least=1) for value in args[:1]]
        call: Any = function
        flow = call(*dim, *args[1:], **kwargs)
        kwargs.pop("dim", None)
        defaults = {key: option.default for key, option in known.items()}
        return flow._replace(recipe=Recipe(name, defaults | kwargs))

    RECIPES[name] = recorded
    return recorded


def _is_integer(option: inspect.Parameter, value: Any) -> bool:
    """Returns True if the value of an option must be an integer."""
    return option.annotation == "int" or (option.annotation == "int | None" and value is not None)


def options_of(name: str) -> dict[str, inspect.Parameter]:
    """Returns the keyword arguments of a recipe.

    Raises:
        FlowjaxError: The name is unknown; the message lists the known names.

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
        name: key of `RECIPES`.
        dim: dimension of the data vectors.
        **options: keyword arguments of the recipe.

    Returns:
        A `Flow`.

    Raises:
        FlowjaxError: The name or an option is unknown (the message lists the known names), or an
            option is out of range.

    Example:
        >>> from flowjax import flows
        >>> make("glow", 8, levels=1, width=4).dim
        8
        >>> make("standardize", 8, levles=1)
        Traceback (most recent call last):
            ...
        flowjax.errors.FlowjaxError: standardize: expected one of moments, base, got 'levles'
    """
    known = options_of(name)
    for option in options:
        if option not in known:
            raise FlowjaxError(f"{name}: expected one of {', '.join(known)}, got {option!r}")
    return RECIPES[name](dim, **options)
