"""Values of a test's parameter that run by default, and values that run with `-m slow` only."""

import pytest


def grid(values, *, default=None, slow=()):
    """Returns the values; those in `slow`, or not in `default`, have the mark `slow`.

    A value that is a tuple has the values of several parameters.
    """

    def is_slow(value):
        return value in slow or (default is not None and value not in default)

    return [
        pytest.param(
            *(value if isinstance(value, tuple) else (value,)),
            marks=pytest.mark.slow if is_slow(value) else (),
        )
        for value in values
    ]
