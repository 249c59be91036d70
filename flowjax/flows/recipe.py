"""Registry of the recipes; each flow stores the name and the options of its recipe."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec

from flowjax.errors import FlowjaxError, check_choice, check_integer
from flowjax.types import Flow, Recipe

P = ParamSpec("P")

# Options that may be smaller than 1.
LEAST = {"seed": 0, "hidden_layers": 0}

# Options of earlier releases: the present name, and the values for the earlier values.
RENAMED = {
    "whiten_latents": ("latent_power", "1 for true, none for false"),
    "beta": ("power", "the same number"),
}

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
            if key not in known:
                check_renamed(key, f"{name}: ")
            elif known[key].annotation == "Power" and isinstance(value, str) and value == "none":
                kwargs[key] = None
            if key == "dim" or (key in known and _is_integer(known[key], value)):
                kwargs[key] = check_integer(key, value, least=LEAST.get(key, 1))
        dim = [check_integer("dim", value, least=1) for value in args[:1]]
        call: Any = function
        flow = call(*dim, *args[1:], **kwargs)
        kwargs.pop("dim", None)
        defaults = {key: option.default for key, option in known.items()}
        named: Flow = flow._replace(recipe=Recipe(name, defaults | kwargs))
        return named

    RECIPES[name] = recorded
    return recorded


def _is_integer(option: inspect.Parameter, value: Any) -> bool:
    """Returns True if the value of an option must be an integer."""
    return option.annotation == "int" or (option.annotation == "int | None" and value is not None)


def check_renamed(option: str, where: str) -> None:
    """Raises FlowjaxError if an option has the name of an option of an earlier release.

    Args:
        option: name of an unknown option.
        where: text before the name in the error.

    Example:
        >>> check_renamed("beta", "whitening: ")
        Traceback (most recent call last):
            ...
        flowjax.errors.FlowjaxError: whitening: beta: expected the new name power (the same number)
    """
    if option in RENAMED:
        new, values = RENAMED[option]
        raise FlowjaxError(f"{where}{option}: expected the new name {new} ({values})")


def translated(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options of a recipe, given the options in a folder of an earlier release.

    Args:
        name: name of the recipe.
        options: saved options, possibly with earlier names.

    Example:
        >>> translated("glow", {"whiten_latents": False}), translated("whitening", {"beta": 0.5})
        ({'latent_power': None}, {'power': 0.5})
    """
    found = dict(options)
    if "beta" in found:
        found["power"] = found.pop("beta")
    if name == "glow" and "latent_power" not in found:
        found["latent_power"] = 1.0 if found.pop("whiten_latents", True) else None
    return found


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
            options |= {k: p for k, p in forwarded.items() if k not in ("init", *options)}
        elif key != "dim":
            options[key] = parameter
    return options


def make(name: str, dim: int, **options: object) -> Flow:
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
            check_renamed(option, f"{name}: ")
            raise FlowjaxError(f"{name}: expected one of {', '.join(known)}, got {option!r}")
    return RECIPES[name](dim, **options)
