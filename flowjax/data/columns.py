"""Columns whose values a continuous density in float32 cannot describe, and `dequantize`."""

from __future__ import annotations

from typing import Any

import numpy as np

from flowjax.errors import FlowjaxError, check_number

# Largest number of rows, and of numbers, that the checks read.
ROWS, NUMBERS = 8192, 1 << 22
# Number of rows in which a discrete column must have a repeated value to be checked further.
FEW = 512
# A column is discrete if at most this fraction of its values is distinct.
DISTINCT = 0.05
# A column has a point mass if this fraction of the rows, or more, has one value.
REPEATED = 0.2
# Largest rounding error of a cast, as a fraction of the spread of the column.
ROUNDING = 1e-3


def spaced_rows(rows: np.ndarray) -> np.ndarray:
    """Returns equally spaced rows, at most `ROWS` rows and about `NUMBERS` numbers.

    Example:
        >>> spaced_rows(np.zeros((20_000, 2))).shape
        (6667, 2)
    """
    most = max(2, min(ROWS, NUMBERS // max(1, rows.shape[1])))
    return np.asarray(rows[:: -(-len(rows) // most)])


def rounded_columns(rows: np.ndarray, dtype: Any) -> list[int]:
    """Returns the columns in which a cast loses more than `ROUNDING` of the spread of the values.

    The spread is the interquartile range, or the standard deviation of a column whose
    interquartile range is 0.

    Args:
        rows: real numbers, shape (n, d).
        dtype: dtype of the cast.

    Example:
        >>> rows = np.stack([1.7e9 + np.arange(9), np.arange(9)], axis=1)
        >>> rounded_columns(rows, np.float32)
        [0]
    """
    if np.can_cast(rows.dtype, dtype):
        return []
    some: Any = spaced_rows(rows).astype(np.longdouble if rows.dtype.kind in "iu" else np.float64)
    error = np.abs(some - some.astype(dtype)).max(axis=0)
    suspects = np.flatnonzero((error > 0) & (some.max(axis=0) > some.min(axis=0)))
    some, error = np.asarray(some[:, suspects], np.float64), error[suspects]
    low, high = np.percentile(some, (25, 75), axis=0)
    spread = np.where(high > low, high - low, some.std(axis=0))
    return [int(i) for i in suspects[error > ROUNDING * spread]]


def discrete_columns(rows: np.ndarray) -> list[int]:
    """Returns the columns that are not constant and have few distinct or often repeated values.

    A flow can give such values an unlimited density. Repeated examples of continuous data have no
    such columns.

    Args:
        rows: real numbers, shape (n, d).

    Example:
        >>> x = np.random.default_rng(0).normal(size=(200, 2))
        >>> discrete_columns(np.column_stack([x, x.round()]))
        [2, 3]
    """
    some = spaced_rows(rows)
    if some.dtype.kind not in "iuf":  # bfloat16
        some = some.astype(np.float32)
    few = np.sort(some[:: -(-len(some) // FEW)], axis=0)
    suspects = np.flatnonzero((few[1:] == few[:-1]).any(axis=0))
    if not len(suspects):
        return []
    # In a column of continuous data, only equal rows have equal values.
    most = len(some) if some.shape[1] == 1 else 0.9 * len(np.unique(some, axis=0))
    return [int(i) for i in suspects if _is_discrete(some[:, i], most)]


def _is_discrete(values: np.ndarray, most: float) -> bool:
    distinct, counts = np.unique(values, return_counts=True)
    if not 2 <= len(distinct) < most or len(values) < 20:
        return False
    if counts.max() >= REPEATED * len(values) or len(distinct) <= DISTINCT * len(values):
        return True
    # Evenly spaced values; the values of float16 and bfloat16 are not.
    levels = float(distinct[-1] - distinct[0]) / float(np.diff(distinct).min())
    return len(distinct) <= len(values) / 2 and levels <= len(values)


def dequantize(
    x: Any, seed: int | np.random.Generator, *, columns: Any = None, step: Any = None
) -> np.ndarray:
    """Returns data with uniform noise of the width of a column's step, centred at 0.

    Integers and rounded measurements have no density: the likelihood of a flow grows without
    limit. With this noise, the density of the result, integrated over a step, is a lower bound of
    the probability of a value.

    Args:
        x: real numbers, shape (n, d).
        seed: integer seed, or a generator of NumPy.
        columns: indices of the columns; None means those of `discrete_columns`.
        step: width of the noise, one number or one per column; None means the smallest difference
            between two values of the column.

    Returns:
        Array of shape (n, d) in float64, or in float32 if `x` is float32.

    Raises:
        FlowjaxError: `x` is not an array of shape (n, d), a column does not exist, or a step is
            not positive.

    References:
        "A note on the evaluation of generative models", https://arxiv.org/abs/1511.01844.

    Example:
        >>> x = np.arange(100.0)[:, None] // 10
        >>> y = dequantize(x, seed=0)
        >>> bool((abs(y - x) <= 0.5).all()), len(np.unique(y))
        (True, 100)
    """
    rows = np.asarray(x)
    if rows.ndim != 2 or rows.dtype.kind not in "iuf":
        raise FlowjaxError(
            f"x: expected real numbers of shape (n, d), got {rows.dtype} of shape {rows.shape}"
        )
    rng = np.random.default_rng(seed)
    chosen = discrete_columns(rows) if columns is None else np.atleast_1d(columns).tolist()
    out: np.ndarray = rows.astype(np.float32 if rows.dtype == np.float32 else np.float64)
    steps = np.broadcast_to(np.nan if step is None else step, (len(chosen),))
    for column, width in zip(chosen, steps, strict=True):
        if not -rows.shape[1] <= column < rows.shape[1]:
            raise FlowjaxError(f"columns: expected 0 to {rows.shape[1] - 1}, got {column}")
        if step is None:
            distinct = np.unique(out[:, column])
            width = np.diff(distinct).min() if len(distinct) > 1 else 1.0
        width = check_number("step", float(width), above=0)
        out[:, column] += rng.uniform(-width / 2, width / 2, len(rows))
    return out
