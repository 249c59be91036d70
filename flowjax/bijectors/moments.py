"""Mean and covariance: of one batch; or in one pass over batches and shards, in float64."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from flowjax.bijectors.common import check_finite, product
from flowjax.types import Array, FlowjaxError


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


def deviations(x: Array) -> tuple[ModuleType, Any, Any, Any]:
    """Returns how a batch spreads: `(xp, mean, rows, unit)`, where `x = mean + unit * rows`.

    `xp` is NumPy, in float64, or inside of jit jax.numpy in the batch's own type. There the
    squares of small or large numbers would leave its range, so the rows are in units of the
    largest deviation. A column that varies by less than the rounding of its mean is zeros.

    Args:
        x: `(n, dim)`, floating.

    Example:
        >>> import jax.numpy as jnp
        >>> _, mean, rows, unit = deviations(jnp.array([[1.0, 7.0], [5.0, 7.0]]))
        >>> mean.tolist(), rows.tolist(), float(unit)
        ([3.0, 7.0], [[-1.0, 0.0], [1.0, 0.0]], 2.0)
    """
    traced = isinstance(x, jax.core.Tracer)
    xp: ModuleType = jnp if traced else np
    wide: Any = x if traced else np.asarray(x, np.float64)
    mean = wide.mean(axis=0)
    rows = wide - mean
    again = rows.mean(axis=0)
    mean, rows = mean + again, rows - again
    largest = xp.abs(rows).max(axis=0)
    rows = xp.where(largest > xp.finfo(wide.dtype).eps * xp.abs(mean), rows, 0)
    unit = xp.abs(rows).max()
    unit = xp.where(unit > 0, unit, 1)
    return xp, mean, rows / unit, unit


def scatter(rows: Any) -> Any:
    """Returns `rows^T rows`, `(dim, dim)`, where the rows are: on the host, or inside of jit."""
    return product(rows.T, rows) if isinstance(rows, jax.core.Tracer) else rows.T @ rows


def covariance(moments: Moments) -> np.ndarray:
    """Returns the covariance `(dim, dim)`, divided by the count (maximum likelihood).

    That of a column which varies by less than the rounding of its mean is 0.

    Raises:
        FlowjaxError: no rows were seen.

    Example:
        >>> import numpy as np
        >>> covariance(update(no_moments(1), np.array([[0.0], [2.0]]))).tolist()
        [[1.0]]
    """
    if moments.count < 1:
        raise FlowjaxError("moments: expected at least one row, got none")
    found = moments.m2 / moments.count
    varies = np.sqrt(np.diag(found)) > 4 * np.finfo(np.float64).eps * np.abs(moments.mean)
    return np.where(np.outer(varies, varies), found, 0)
