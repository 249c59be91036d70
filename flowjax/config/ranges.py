"""Ranges of the numbers in configs, which are checked when a config is made."""

from __future__ import annotations

import math
import typing
from typing import Any, NamedTuple

from flowjax.errors import check_choice, check_integer, check_number


class Range(NamedTuple):
    """Valid numbers of a field, as in `Annotated[float, Range(above=0)]`.

    Infinity and NaN are never valid. None is valid if the type of the field has it.

    Example:
        >>> str(Range(0, below=1))
        'at least 0, below 1'
    """

    least: float = -math.inf
    most: float = math.inf
    above: float = -math.inf
    below: float = math.inf

    def check(self, name: str, value: Any, *, integer: bool) -> None:
        """Raises FlowjaxError if the value is out of range.

        Args:
            name: name of the field in the error.
            value: value of the field.
            integer: True if the field is an integer.
        """
        if integer:
            most = None if math.isinf(self.most) else int(self.most)
            check_integer(name, value, int(self.least), most)
        else:
            check_number(name, value, self.least, self.most, above=self.above, below=self.below)

    def __str__(self) -> str:
        words = ("at least", self.least), ("at most", self.most)
        limits = (*words, ("above", self.above), ("below", self.below))
        given = [(word, limit) for word, limit in limits if not math.isinf(limit)]
        return ", ".join(f"{word} {limit:{',' if limit >= 1e6 else 'g'}}" for word, limit in given)


class Choice(tuple[str, ...]):
    """Valid texts of a field, as in `Annotated[str, Choice(["float32", "bfloat16"])]`."""

    def check(self, name: str, value: Any, *, integer: bool = False) -> None:
        """Raises FlowjaxError if the value is not among the texts."""
        check_choice(name, value, self)

    def __str__(self) -> str:
        return "|".join(self)


SEED = Range(0, 2**32 - 1)


class Checked:
    """Base of a config, whose fields are checked when it is made.

    The class attribute `TABLE` is the name of the table in error messages.
    """

    TABLE = ""

    def __post_init__(self) -> None:
        """Raises FlowjaxError with the first field that is out of range."""
        check_fields(self, f"{self.TABLE}." if self.TABLE else "")


def check_fields(config: Any, prefix: str) -> None:
    """Raises FlowjaxError if a field with a `Range` or a `Choice` has another value.

    Args:
        config: dataclass instance.
        prefix: text before the name of a field in the error.

    Example:
        >>> import dataclasses
        >>> from typing import Annotated
        >>> made = dataclasses.make_dataclass("Made", [("n", Annotated[int, Range(1)])])
        >>> check_fields(made(0), "--")
        Traceback (most recent call last):
            ...
        flowjax.errors.FlowjaxError: --n: expected an integer of at least 1, got 0
    """
    for name, (kind, rules) in rules_of(type(config)).items():
        value = getattr(config, name)
        for rule in rules:
            if value is not None:
                rule.check(prefix + name, value, integer=kind is int)


def rules_of(kind: type) -> dict[str, tuple[type, list[Range | Choice]]]:
    """Returns the type (without None) and the rules of each field that has rules."""
    found = {}
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        if typing.get_origin(hint) is typing.Annotated:
            base, *extras = typing.get_args(hint)
            kinds = [part for part in typing.get_args(base) or (base,) if part is not type(None)]
            if rules := [extra for extra in extras if isinstance(extra, (Range, Choice))]:
                found[name] = (kinds[0], rules)
    return found
