"""Config files: TOML to frozen dataclasses and back, with names and types checked."""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from flowjax.errors import FlowjaxError
from flowjax.flows.recipe import check_renamed

T = TypeVar("T")
# Text for None in a file; TOML has no null, and a field that is left out takes its default.
NONE = "none"


def read_config(path: str | Path, kind: type[T]) -> T:
    """Reads a TOML file into a config dataclass; missing fields keep their defaults.

    Args:
        path: the file.
        kind: `FitConfig`, `PretrainConfig`, ...

    Returns:
        The config of the class `kind`.

    Raises:
        FlowjaxError: No such file, not TOML, an unknown table or field, or a value of a wrong
            type.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise FlowjaxError(f"{path}: expected a config in TOML, got no such file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FlowjaxError(f"{path}: expected a config in TOML: {error}") from None
    return _fill(kind(), values, str(path), "")


def write_config(config: Any, path: str | Path, head: str = "") -> None:
    """Writes a config as TOML, after the lines of `head` as comments.

    A field that is None is left out if None is its default, and is written as "none" otherwise.
    """
    import tomli_w

    comment = "".join(f"# {line}\n" for line in head.splitlines())
    text = comment + tomli_w.dumps(_values(config))
    Path(path).write_text(text, "utf-8")


def _values(config: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            values[field.name] = _values(value)
        elif value is not None:
            values[field.name] = value
        elif field.default is not None:
            values[field.name] = NONE
    return values


def _fill(config: T, values: Mapping[str, Any], file: str, table: str) -> T:
    """Returns `config` with these values; the other fields keep the values of `config`."""
    hints = typing.get_type_hints(type(config))
    filled: dict[str, Any] = {}
    for name, value in values.items():
        where = f"{file}: {table}{name}"
        if name not in hints:
            check_renamed(name, f"{file}: {table}")
            kind = "field" if table else "table"
            raise FlowjaxError(f"{where}: expected a {kind} among {', '.join(hints)}")
        if dataclasses.is_dataclass(hints[name]):
            if not isinstance(value, Mapping):
                raise FlowjaxError(f"{where}: expected a table [{name}], got {value!r}")
            filled[name] = _fill(getattr(config, name), value, file, f"{table}{name}.")
        else:
            filled[name] = _check(value, hints[name], where)
    try:
        return dataclasses.replace(config, **filled)  # type: ignore[type-var]
    except FlowjaxError as error:  # a value out of range
        raise FlowjaxError(f"{file}: {error}") from None


def _check(value: Any, wanted: Any, where: str) -> Any:
    """Returns a field's value; raises FlowjaxError if it has none of the wanted types."""
    union = typing.get_origin(wanted) in (typing.Union, types.UnionType)
    kinds = typing.get_args(wanted) if union else (wanted,)
    allowed = [kind for kind in kinds if kind is not type(None)]
    words = [word for kind in allowed if is_literal(kind) for word in typing.get_args(kind)]
    may_be_none = len(allowed) < len(kinds) and str not in allowed and NONE not in words
    if value == NONE and may_be_none:
        return None
    if float in allowed and type(value) is int:
        value = float(value)
    if type(value) not in allowed and value not in words:
        names = [kind.__name__ for kind in allowed if not is_literal(kind)]
        expected = " or ".join([*names, *words])
        expected += f' or "{NONE}"' if may_be_none else ""
        raise FlowjaxError(f"{where}: expected {expected}, got {value!r}")
    return value


def is_literal(kind: Any) -> bool:
    """Returns True for a `typing.Literal`."""
    return typing.get_origin(kind) is typing.Literal
