"""Mean and covariance in one pass over batches and shards, in float64 on the host."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from flowjax.bijectors.common import check_finite
from flowjax.types import FlowjaxError


class Moments(NamedTuple):
    """Count, mean and scatter of the rows seen so far; NumPy float64, never mutated.

    Attributes:
        count: rows seen.
        mean: `(dim,)`.
        m2: `(dim, dim)`, the sum over rows of `(x - mean) (x - mean)^T`.
    """

    count: int  # type: ignore[assignment]  # a tuple has a method of that name
    mean: np.ndarray
    m2: np.ndarray


def no_moments(dim: int) -> Moments:
    """Returns the moments of no rows at all: where a pass begins.

    Example:
        >>> no_moments(3).m2.shape
        (3, 3)
    """
    return Moments(0, np.zeros(dim), np.zeros((dim, dim)))


def merge(a: Moments, b: Moments) -> Moments:
    """Returns the moments of both sets of rows: shards merge in any order, to rounding.

    Args:
        a: moments of some rows.
        b: moments of other rows of the same dim.

    Returns:
        The moments of all of them.

    Raises:
        FlowjaxError: the dims differ.

    References:
        Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
        variances", 1979; the matrix case of its eq. 2.1.

    Example:
        >>> import numpy as np
        >>> a, b = (update(no_moments(2), np.full((4, 2), v)) for v in (1.0, 3.0))
        >>> merge(a, b).count, merge(a, b).mean.tolist(), covariance(merge(a, b)).tolist()
        (8, [2.0, 2.0], [[1.0, 1.0], [1.0, 1.0]])
    """
    if a.mean.shape != b.mean.shape:
        raise FlowjaxError(f"moments: expected dim {len(a.mean)}, got {len(b.mean)}")
    count = a.count + b.count
    if count == 0:
        return a
    gap = b.mean - a.mean
    share = b.count / count
    between = np.outer(gap, gap) * (a.count * share)
    return Moments(count, a.mean + gap * share, a.m2 + b.m2 + between)


def update(moments: Moments, batch: Any) -> Moments:
    """Returns the moments with the rows of `batch` added.

    Args:
        moments: so far.
        batch: `(n, dim)`, any floating type; n = 0 changes nothing.

    Returns:
        New moments.

    Raises:
        FlowjaxError: wrong shape, or a NaN or infinity, named by row and column.

    Example:
        >>> import numpy as np
        >>> update(no_moments(2), np.array([[1.0, 2.0], [3.0, 6.0]])).mean.tolist()
        [2.0, 4.0]
    """
    rows = np.asarray(batch)
    if rows.ndim != 2 or rows.shape[1] != len(moments.mean):
        raise FlowjaxError(f"batch: expected (n, {len(moments.mean)}), got {rows.shape}")
    if not len(rows):
        return moments
    rows = rows.astype(np.float64)
    check_finite("batch", rows)
    mean = rows.mean(axis=0)
    centred = rows - mean
    return merge(moments, Moments(len(rows), mean, centred.T @ centred))


def moments_of(batches: Iterable[Any], dim: int) -> Moments:
    """Returns the moments of all rows of an iterable of `(n, dim)` batches, read once.

    Example:
        >>> import numpy as np
        >>> moments_of((np.ones((5, 2)) for _ in range(3)), dim=2).count
        15
    """
    return reduce(update, batches, no_moments(dim))


def covariance(moments: Moments) -> np.ndarray:
    """Returns the covariance `(dim, dim)`, divided by the count (maximum likelihood).

    Raises:
        FlowjaxError: no rows were seen.

    Example:
        >>> import numpy as np
        >>> covariance(update(no_moments(1), np.array([[0.0], [2.0]]))).tolist()
        [[1.0]]
    """
    if moments.count < 1:
        raise FlowjaxError("moments: expected at least one row, got none")
    return moments.m2 / moments.count
