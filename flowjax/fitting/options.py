"""Checks and default values of the numbers that `fit` accepts."""

from __future__ import annotations

import math
import operator
from typing import Any

from flowjax.types import FlowjaxError

BATCH_SIZE = 256


def check_options(
    *,
    steps: int | None = None,
    epochs: float | None = None,
    validation: Any = None,
    **numbers: int | None,
) -> None:
    """Raises FlowjaxError if an option of `fit` is out of range.

    The command line calls this function before it creates a run folder.

    Args:
        steps: number of steps; see `fit`.
        epochs: number of passes over the data; see `fit`.
        validation: validation examples or a fraction; `patience` requires it.
        **numbers: other options, such as `batch_size` and `patience`: integers of at least 1, or
            None.

    Example:
        >>> check_options(steps=10, epochs=None, batch_size=64)
    """
    if steps is not None and epochs is not None:
        raise FlowjaxError("fit: expected either steps or epochs, got both")
    if epochs is not None and not _is_positive(epochs):
        raise FlowjaxError(f"epochs: expected a positive number, got {epochs!r}")
    for name, value in {"steps": steps, **numbers}.items():
        least = 0 if name == "steps" else 1
        try:
            fits = not isinstance(value, bool) and operator.index(value) >= least  # type: ignore[arg-type]
        except TypeError:
            fits = value is None
        if not fits:
            raise FlowjaxError(f"{name}: expected an integer of at least {least}, got {value!r}")
    if numbers.get("patience") is not None and validation is None:
        raise FlowjaxError("validation: expected a value if patience is given, got None")


def batch_size_for(devices: int, accumulate: int, least: int = BATCH_SIZE) -> int:
    """Returns a default batch size that can be divided among devices and micro-batches.

    Args:
        devices: number of devices.
        accumulate: number of micro-batches per device.
        least: smallest batch size.

    Example:
        >>> batch_size_for(8, 1), batch_size_for(3, 1), batch_size_for(7, 2)
        (256, 258, 266)
    """
    parts = devices * accumulate
    return -(-least // parts) * parts


def _is_positive(value: Any) -> bool:
    try:
        return not isinstance(value, bool | str) and 0 < float(value) < math.inf
    except (TypeError, ValueError):
        return False
