"""Config of a flow, derived from the signatures and docstrings of the recipes."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import operator
import typing
from typing import TYPE_CHECKING, Annotated, Any

import docstring_parser

from flowjax.config.files import is_literal
from flowjax.flows import RECIPES

# Types of values that a TOML file and a flag can have.
SIMPLE = (bool, int, float, str)


@dataclasses.dataclass(frozen=True)
class _FlowName:
    """Settings of the flow; an option has the default of the recipes that use it."""

    name: Annotated[str, "--flow"] = "glow"
    """Recipe: glow, glow_as_released, realnvp, neural_spline, maf, iaf, elementwise_spline,
    whitening, standardize, whitening_glow or identity."""

    def options(self) -> dict[str, Any]:
        """Returns the keyword arguments of the recipe: the fields that are set."""
        values = dataclasses.asdict(self)
        del values["name"]
        return {k: v for k, v in values.items() if v is not None}


def _option_fields() -> list[tuple[str, Any, Any]]:
    """Returns a field per recipe option whose value can stand in a TOML file."""
    found: dict[str, tuple[str, Any, Any]] = {}
    for function in RECIPES.values():
        hints = typing.get_type_hints(function)
        documented = docstring_parser.parse(function.__doc__ or "").params
        texts = {param.arg_name: param.description for param in documented}
        for name in inspect.signature(function).parameters:
            hint = hints[name]
            kinds = (hint,) if is_literal(hint) else typing.get_args(hint) or (hint,)
            simple = [kind for kind in kinds if kind in SIMPLE or is_literal(kind)]
            if simple and name not in ("dim", *found):
                kind = functools.reduce(operator.or_, [*simple, type(None)])
                text = " ".join((texts.get(name) or "").split())
                text = text[:1].upper() + text[1:]
                field = dataclasses.field(default=None, metadata={"help": text})
                found[name] = (name, kind, field)
    return list(found.values())


if TYPE_CHECKING:
    FlowConfig = _FlowName
else:  # the options are declared once, in the signatures of the recipes
    FlowConfig = dataclasses.make_dataclass(
        "FlowConfig", _option_fields(), bases=(_FlowName,), frozen=True
    )
    FlowConfig.__doc__ = _FlowName.__doc__
