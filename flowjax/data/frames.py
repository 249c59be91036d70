"""Rows of data frames (pandas, polars, pyarrow), with errors that name the column."""

from __future__ import annotations

from typing import Any

import numpy as np

from flowjax.errors import FlowjaxError


def frame_rows(frame: Any, name: str = "data") -> np.ndarray:
    """Returns the numbers of a data frame, shape (n, columns).

    Columns of a nullable dtype are converted if no value is missing.

    Args:
        frame: data frame of pandas or polars, or table of pyarrow.
        name: name of the frame in error messages.

    Raises:
        FlowjaxError: A column has missing values, or values that are not finite real numbers.

    Example:
        >>> import pyarrow
        >>> frame_rows(pyarrow.table({"a": [1, 2], "b": [0.5, 0.0]})).tolist()
        [[1.0, 0.5], [2.0, 0.0]]
    """
    names = list(getattr(frame, "column_names", frame.columns))
    columns = []
    for i, column in enumerate(names):
        values = frame.iloc[:, i] if hasattr(frame, "iloc") else frame[column]
        dtype = getattr(values, "dtype", None) or getattr(values, "type", "object")
        columns.append(_numbers(values, name, f"column {column!r} of dtype {dtype}"))
    return np.column_stack(columns) if columns else np.empty((len(frame), 0))


def _numbers(values: Any, name: str, column: str) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind == "b" or (array.dtype.kind == "O" and len(array)):
        entries = array.tolist()
        missing = sum(x is None or type(x).__name__ == "NAType" for x in entries)
        if missing:
            raise FlowjaxError(f"{name}: expected real numbers, got {missing} missing in {column}")
        if all(isinstance(x, (bool, int, float, np.number)) for x in entries):
            array = array.astype(np.float64)
    if array.dtype.kind not in "iuf":
        raise FlowjaxError(f"{name}: expected real numbers, got {column}")
    bad = np.flatnonzero(~np.isfinite(array))
    if len(bad):
        raise FlowjaxError(
            f"{name}: expected finite numbers, got {array[bad[0]]} at row {bad[0]} in {column}"
        )
    return array
