"""Exception class of user errors, and checks that raise it."""

from __future__ import annotations

from collections.abc import Iterable


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
