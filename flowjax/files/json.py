"""Reader of JSON metadata files. All damage raises `FlowjaxError` with the name of the file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from flowjax.errors import FlowjaxError

T = TypeVar("T")

_REQUIRED: Any = object()
# Description of each type in error messages.
_TYPES: dict[type, str] = {
    bool: "true or false",
    dict: "a JSON object",
    float: "a finite number",
    int: "an integer",
    list: "a list",
    str: "text",
}


def parse_json(text: str | bytes, name: str | Path) -> Any:
    """Returns the value of a JSON text.

    Args:
        text: JSON; bytes are UTF-8, with or without a byte order mark.
        name: name of the file, and of the line if there is one, in error messages.

    Raises:
        FlowjaxError: The text is not UTF-8 or not JSON, or its values are nested too deeply.

    Example:
        >>> parse_json('{"dim": 3', "config.json")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        flowjax.errors.FlowjaxError: config.json: expected JSON, got: Expecting ',' delimiter: ...
    """
    try:
        return json.loads(text.decode("utf-8-sig") if isinstance(text, bytes) else text)
    except RecursionError:
        raise FlowjaxError(f"{name}: expected JSON, got values nested too deeply") from None
    except ValueError as error:  # also UnicodeDecodeError, and integers of more than 4300 digits
        raise FlowjaxError(f"{name}: expected JSON, got: {error}") from None


def parse_object(text: str | bytes, name: str | Path) -> dict[str, Any]:
    """Returns the object of a JSON text; see `parse_json`.

    Raises:
        FlowjaxError: The text is not JSON, or its value is not an object.

    Example:
        >>> parse_object('{"dim": 3}', "config.json")
        {'dim': 3}
    """
    return typed(parse_json(text, name), dict, name)


def read_object(path: str | Path) -> dict[str, Any]:
    """Returns the object of a JSON file.

    Raises:
        FlowjaxError: The file cannot be read, is not JSON, or holds no object.
    """
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise FlowjaxError(f"{path}: expected a readable file, got: {error.strerror}") from None
    return parse_object(text, path)


def field(
    values: Mapping[str, Any], key: str, kind: type[T], name: str | Path, default: Any = _REQUIRED
) -> T:
    """Returns the value of one field of a JSON object, if it has the expected type.

    Args:
        values: object of `read_object`.
        key: name of the field.
        kind: expected type: bool, dict, float, int, list or str. `float` accepts integers.
        name: name of the file in error messages.
        default: returned if the field is missing or null; a field without a default is required.

    Raises:
        FlowjaxError: The field is missing, or its value has another type.

    Example:
        >>> field({"dim": 3}, "dim", int, "config.json")
        3
        >>> field({"dim": "3"}, "dim", int, "config.json")
        Traceback (most recent call last):
            ...
        flowjax.errors.FlowjaxError: config.json: dim: expected an integer, got '3'
    """
    value = values.get(key)
    if value is None and default is not _REQUIRED:
        result: T = default
        return result
    if key not in values:
        raise FlowjaxError(f"{name}: expected the field {key}, got none")
    return typed(value, kind, f"{name}: {key}")


def typed(value: Any, kind: type[T], name: str | Path) -> T:
    """Returns a value of JSON if it has the expected type; see `field`.

    Raises:
        FlowjaxError: The value has another type; the message quotes at most 60 characters.

    Example:
        >>> typed(2, float, "epsilon")
        2.0
    """
    found: Any = value
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is float and number:
        try:
            found = float(value)
        except OverflowError:  # an integer of more than 308 digits
            found = math.inf
    expected: Any = kind
    valid = isinstance(found, expected) and (kind is bool or not isinstance(value, bool))
    if not valid or (kind is float and not math.isfinite(found)):
        got = type(value).__name__ if isinstance(value, (dict, list)) else repr(found)[:60]
        raise FlowjaxError(f"{name}: expected {_TYPES[kind]}, got {got}")
    return cast(T, found)


def inner_path(value: Any, name: str | Path) -> str:
    """Returns a path in a JSON file, if it does not leave the folder of the file.

    Raises:
        FlowjaxError: The value is not a relative path without `..`.

    Example:
        >>> inner_path("../secret", "path")
        Traceback (most recent call last):
            ...
        flowjax.errors.FlowjaxError: path: expected a path inside of its folder, got '../secret'
    """
    path = typed(value, str, name)
    if Path(path).is_absolute() or ".." in Path(path).parts or "\0" in path:
        raise FlowjaxError(f"{name}: expected a path inside of its folder, got {path[:80]!r}")
    return path
