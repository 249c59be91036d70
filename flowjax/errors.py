"""The exception class of user errors, and the check that raises it most often."""

from __future__ import annotations

from collections.abc import Iterable


class FlowjaxError(ValueError):
    """Error in a user's input: the message names the input, what was expected and what came."""


def check_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Raises FlowjaxError if `value` is not one of the choices, which the message lists.

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
