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
        FlowjaxError: A column has missing values, or values that are not real numbers.
    """
    names = list(getattr(frame, "column_names", frame.columns))
    columns = []
    for i, column in enumerate(names):
        values = frame.iloc[:, i] if hasattr(frame, "iloc") else frame[column]
        dtype = getattr(values, "dtype", None) or getattr(values, "type", "object")
        columns.append(
            _numbers(values, f"{name}: expected real numbers, got column {column!r}", dtype)
        )
    return np.column_stack(columns) if columns else np.empty((len(frame), 0))


def _numbers(values: Any, message: str, dtype: Any) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind in "iuf":
        return array
    entries = array.tolist() if array.dtype.kind == "O" else []
    missing = sum(x is None or type(x).__name__ == "NAType" for x in entries)
    if missing:
        raise FlowjaxError(f"{message} of dtype {dtype} with {missing} missing values")
    numbers = array.dtype.kind == "b" or (
        bool(entries) and all(isinstance(x, (bool, int, float, np.number)) for x in entries)
    )
    if not numbers:
        raise FlowjaxError(f"{message} of dtype {dtype}")
    return array.astype(np.float64)
