"""Exception class of user errors, and checks that raise it."""

from __future__ import annotations

import math
import operator
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
        flowjax.errors.FlowjaxError: depth: expected a positive integer, got 2.5
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:  # also a traced integer of JAX
        number = None
    if number is None or number < least or (most is not None and number > most):
        expected = f"an integer of at least {least}" if least != 1 else "a positive integer"
        if most is not None:
            expected = f"an integer from {least} to {most}"
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
        flowjax.errors.FlowjaxError: bound: expected a finite number > 0, got inf
    """
    try:
        number = math.nan if isinstance(value, (bool, str, bytes)) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and least <= number <= most and above < number < below):
        limits = ((">=", least), (">", above), ("<=", most), ("<", below))
        ranges = [f"{sign} {limit:g}" for sign, limit in limits if abs(limit) < math.inf]
        expected = " ".join(["a finite number", " and ".join(ranges)]).strip()
        raise FlowjaxError(f"{name}: expected {expected}, got {value!r}")
    return number
