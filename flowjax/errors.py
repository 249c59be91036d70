"""Exception class of user errors, checks that raise it, and warnings of the user."""

from __future__ import annotations

import difflib
import math
import operator
import os
import sys
import warnings
from collections.abc import Iterable
from typing import Any


class FlowjaxError(ValueError):
    """Error in a user's input. The message has the form `name: expected X, got Y`."""


def check_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Raises FlowjaxError if `value` is not among the choices; the message lists the choices.

    Example:
        >>> check_choice("mask", "hlf", ("half", "checkerboard"))
        Traceback (most recent call last):
            ...
        flowjax.errors.FlowjaxError: mask: expected one of half, checkerboard, got 'hlf'
    """
    choices = list(choices)
    if value not in choices:
        known = ", ".join(map(str, choices))
        raise FlowjaxError(f"{name}: expected one of {known}, got {value!r}")


def check_names(where: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raises FlowjaxError if the name of a keyword argument is unknown.

    Args:
        where: name of the function in the error.
        given: given names.
        known: valid names, for example the keys of a `TypedDict`.

    Example:
        >>> check_names("fit", ["sed"], ["key", "seed"])
        Traceback (most recent call last):
            ...
        flowjax.errors.FlowjaxError: fit: expected a known argument, such as seed, got 'sed'
    """
    known = list(known)
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            expected = f"a known argument, such as {close[0]}" if close else ""
            expected = expected or f"one of {', '.join(known)}"
            raise FlowjaxError(f"{where}: expected {expected}, got {name!r}")


def check_that(valid: bool, name: str, expected: str, got: object) -> None:
    """Raises FlowjaxError with the message `name: expected X, got Y` if `valid` is False.

    Example:
        >>> check_that(1 > 2, "beta", "a number in [0, 1]", 2)
        Traceback (most recent call last):
            ...
        flowjax.errors.FlowjaxError: beta: expected a number in [0, 1], got 2
    """
    if not valid:
        raise FlowjaxError(f"{name}: expected {expected}, got {got!r}")


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool) or getattr(getattr(value, "dtype", None), "kind", None) == "b"


def check_integer(name: str, value: Any, least: int = 0, most: int | None = None) -> int:
    """Returns `value` as an `int`; integers of NumPy and JAX are valid, bools are not.

    Args:
        name: name of the argument in the error.
        value: value to check.
        least: smallest valid value.
        most: largest valid value; None means no limit.

    Raises:
        FlowjaxError: `value` is not an integer, or it is out of range.

    Example:
        >>> import numpy as np
        >>> check_integer("depth", np.int64(3), least=1)
        3
        >>> check_integer("depth", 2.5, least=1)
        Traceback (most recent call last):
            ...
        flowjax.errors.FlowjaxError: depth: expected an integer of at least 1, got 2.5
    """
    try:
        number = None if _is_bool(value) else operator.index(value)
    except TypeError:  # also a traced integer of JAX
        number = None
    if number is None or number < least or (most is not None and number > most):
        expected = f"an integer {'of at least' if most is None else 'from'} {least}"
        expected += "" if most is None else f" to {most}"
        raise FlowjaxError(f"{name}: expected {expected}, got {value!r}")
    return number


def check_number(
    name: str,
    value: Any,
    least: float = -math.inf,
    most: float = math.inf,
    *,
    above: float = -math.inf,
    below: float = math.inf,
) -> float:
    """Returns `value` as a `float` if it is finite and in the given range.

    Args:
        name: name of the argument in the error.
        value: value to check: a number of Python, NumPy or JAX; bools are not valid.
        least: smallest valid value.
        most: largest valid value.
        above: lower limit, itself not valid.
        below: upper limit, itself not valid.

    Raises:
        FlowjaxError: `value` is not a finite number, or it is out of range.

    Example:
        >>> check_number("bound", 2, above=0)
        2.0
        >>> check_number("bound", float("inf"), above=0)
        Traceback (most recent call last):
            ...
        flowjax.errors.FlowjaxError: bound: expected a number in (0, inf), got inf
    """
    try:
        dims = getattr(value, "ndim", 0)
        single = not (_is_bool(value) or isinstance(value, (str, bytes)) or dims)
        number = float(value) if single else math.nan
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and least <= number <= most and above < number < below):
        low, high = max(least, above), min(most, below)
        start, end = "(" if above >= least else "[", ")" if below <= most else "]"
        limited = math.isfinite(low) or math.isfinite(high)
        expected = f"a number in {start}{low:g}, {high:g}{end}" if limited else "a finite number"
        raise FlowjaxError(f"{name}: expected {expected}, got {value!r}")
    return number


def warn(text: str) -> None:
    """Warns the user of this package: the warning names the first line outside the package.

    `warnings.warn` has `skip_file_prefixes` for this purpose since Python 3.12.

    Args:
        text: text of the warning, one clear line.

    Warns:
        UserWarning: always.

    Example:
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     warn("data: expected many examples, got 1")
        >>> print(caught[0].message)
        data: expected many examples, got 1
    """
    package = os.path.join(os.path.dirname(__file__), "")
    level, frame = 2, sys._getframe(1)
    while frame.f_back and frame.f_code.co_filename.startswith(package):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, UserWarning, stacklevel=level)


def first_line(error: BaseException) -> str:
    """Returns the first line of an error; messages of XLA and tensorstore can fill pages."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
