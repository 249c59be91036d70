"""Robust limits of the columns of a batch, and warnings on outliers and constant columns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from flowjax.bijectors.moments import column_moments, varies
from flowjax.errors import warn

# Distance from the median, in robust standard deviations, beyond which an entry is an outlier.
FAR = 100
# Largest fraction of outliers in a column; a larger fraction is a part of the distribution.
MOST = 0.1
# Number of examples from which the quantiles are computed.
EXAMPLES = 10_000
# Interquartile range of the standard normal.
IQR = 1.349


class Range(NamedTuple):
    """Lowest and highest value of each column that is not an outlier, shape (dim,) each."""

    low: np.ndarray
    high: np.ndarray

    def outside(self, x: np.ndarray) -> np.ndarray:
        """Returns a mask of the entries of `x` (n, dim) that lie outside of the range."""
        return (x < self.low) | (x > self.high)


def robust_range(x: np.ndarray) -> Range:
    """Returns the median plus and minus 100 robust standard deviations of each column.

    The robust standard deviation is the interquartile range divided by 1.349, or the standard
    deviation if the interquartile range is 0. If more than 10 % of the entries of a column are
    outside, the range of this column is unlimited; if more than half of the examples are outside,
    all ranges are unlimited.

    Args:
        x: batch, shape (n, dim).

    Example:
        >>> x = np.append(np.random.default_rng(0).normal(size=99), 1e6)[:, None]
        >>> int(robust_range(x).outside(x).sum())
        1
    """
    some = np.asarray(x[:: -(-len(x) // EXAMPLES)], np.float64)
    low, centre, high = np.quantile(some, [0.25, 0.5, 0.75], axis=0)
    scale = np.where(high > low, (high - low) / IQR, some.std(axis=0))
    # Rounding errors of equal numbers are not a scale.
    scale = np.maximum(scale, np.finfo(np.float32).eps * np.abs(centre))
    found = Range(centre - FAR * scale, centre + FAR * scale)
    far = found.outside(some)
    unlimited = (far.mean(axis=0) > MOST) | (scale == 0)
    unlimited |= (far & ~unlimited).any(axis=1).mean() > 0.5
    return Range(np.where(unlimited, -np.inf, found.low), np.where(unlimited, np.inf, found.high))


def warn_of_outliers(
    x: np.ndarray, far: np.ndarray, numbers: np.ndarray, *, left_out: bool
) -> None:
    """Warns of examples with outliers, and names the first of them.

    Args:
        x: batch of examples, shape (n, dim).
        far: mask of the outliers, shape (n, dim).
        numbers: row numbers of the batch in the source, shape (n,).
        left_out: True if the initial parameters do not depend on these examples.
    """
    if not far.any():
        return
    row, column = (int(i) for i in np.argwhere(far)[0])
    effect = "they do not determine" if left_out else "they determine"
    warn(
        f"data: expected examples within {FAR} robust standard deviations of the median, got "
        f"{int(far.any(axis=1).sum())} of {len(x)} outside, first {x[row, column]:g} at row "
        f"{numbers[row]}, column {column}; {effect} the initial scale of the flow. Remove them if "
        "they are errors or mark missing values.",
    )


def warn_of_constants(x: np.ndarray) -> None:
    """Warns of columns that vary too little to be scaled, see `moments.varies`.

    Args:
        x: batch, shape (n, dim).
    """
    _, mean, std = column_moments(x)
    columns = np.flatnonzero(~varies(mean, std, np.asarray(x).dtype)).tolist()
    if not columns:
        return
    names = ", ".join(map(str, columns[:5])) + (", ..." if len(columns) > 5 else "")
    warn(
        f"data: expected columns that vary, got {len(columns)} of {len(std)} that do not or "
        f"hardly vary (columns {names}); the flow centres them and gives them a fixed scale",
    )
