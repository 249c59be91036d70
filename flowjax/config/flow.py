"""Config of a flow, derived from the signatures and docstrings of the recipes."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import operator
import typing
from typing import TYPE_CHECKING, Annotated, Any, Literal

import docstring_parser

from flowjax.config.files import is_literal
from flowjax.flows import RECIPES

# Types of values that a TOML file and a flag can have.
SIMPLE = (bool, int, float, str)


@dataclasses.dataclass(frozen=True)
class _FlowName:
    """Settings of the flow. Each option lists its recipes, with the default values."""

    name: Annotated[str, "--flow"] = "auto"
    """Recipe: auto, glow, glow_as_released, realnvp, neural_spline, maf, iaf, elementwise_spline,
    whitening, standardize, whitening_glow, center, all_but_the_top or identity. auto fits glow,
    and selects plain, centred, standardized, whitened or glow vectors without labels."""

    def options(self) -> dict[str, Any]:
        """Returns the keyword arguments of the recipe: the fields that are set."""
        values = dataclasses.asdict(self)
        del values["name"]
        return {k: v for k, v in values.items() if v is not None}


def _option_fields() -> list[tuple[str, Any, Any]]:
    """Returns a field per recipe option whose value can stand in a TOML file."""
    kinds: dict[str, list[Any]] = {}
    texts: dict[str, dict[str, list[str]]] = {}
    for recipe, function in RECIPES.items():
        hints = typing.get_type_hints(function)
        documented = docstring_parser.parse(function.__doc__ or "").params
        described = {param.arg_name: param.description for param in documented}
        for name, parameter in inspect.signature(function).parameters.items():
            hint = hints[name]
            parts = (hint,) if is_literal(hint) else typing.get_args(hint) or (hint,)
            simple = [kind for kind in parts if kind in SIMPLE or is_literal(kind)]
            if simple and name != "dim":
                kinds.setdefault(name, []).extend(simple)
                text = " ".join((described.get(name) or "").split()).rstrip(".")
                texts.setdefault(name, {}).setdefault(text, []).append(
                    recipe + _default(parameter.default)
                )
    return [
        (
            name,
            _union(parts),
            dataclasses.field(default=None, metadata={"help": _help(texts[name])}),
        )
        for name, parts in kinds.items()
    ]


def _union(kinds: list[Any]) -> Any:
    """Returns the union of types and None, with one `Literal` of all words."""
    words = [word for kind in kinds if is_literal(kind) for word in typing.get_args(kind)]
    others = [kind for kind in dict.fromkeys(kinds) if not is_literal(kind)]
    literal = [Literal[tuple(dict.fromkeys(words))]] if words else []
    return functools.reduce(operator.or_, [*literal, *others, type(None)])


def _default(value: Any) -> str:
    """Returns the default value of a recipe's option for the help text."""
    simple = isinstance(value, SIMPLE)
    return f" {str(value).lower() if isinstance(value, bool) else value}" if simple else ""


def _help(texts: dict[str, list[str]]) -> str:
    """Returns the help text of an option from its texts, each with its recipes and defaults."""
    return " ".join(
        f"{text[:1].upper()}{text[1:]} ({', '.join(recipes)})." for text, recipes in texts.items()
    )


if TYPE_CHECKING:
    FlowConfig = _FlowName
else:  # the options are declared once, in the signatures of the recipes
    FlowConfig = dataclasses.make_dataclass(
        "FlowConfig", _option_fields(), bases=(_FlowName,), frozen=True
    )
    FlowConfig.__doc__, FlowConfig.__module__ = _FlowName.__doc__, __name__
