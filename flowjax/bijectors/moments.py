"""Mean and covariance of a batch, or of a stream of batches, in one pass and in float64."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from types import ModuleType
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from flowjax.bijectors.common import check_finite, product
from flowjax.errors import check_that
from flowjax.types import Array


class Moments(NamedTuple):
    """Count, mean and scatter matrix of examples, in NumPy float64.

    Attributes:
        count: number of examples.
        mean: mean, shape (dim,).
        m2: scatter matrix, shape (dim, dim): the sum of `(x - mean) (x - mean)^T` over examples.
    """

    count: int  # type: ignore[assignment]  # tuple.count is a method
    mean: np.ndarray
    m2: np.ndarray


def no_moments(dim: int) -> Moments:
    """Returns the moments of zero examples, the initial value of a pass over data.

    Example:
        >>> no_moments(3).m2.shape
        (3, 3)
    """
    return Moments(0, np.zeros(dim), np.zeros((dim, dim)))


def merge(a: Moments, b: Moments) -> Moments:
    """Returns the moments of the union of two disjoint sets of examples.

    The order of merges changes the result by rounding errors only.

    Args:
        a: moments of the first set.
        b: moments of the second set.

    Returns:
        The moments of both sets together.

    Raises:
        FlowjaxError: The dims differ.

    References:
        Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
        variances", 1979; the matrix case of its eq. 2.1.

    Example:
        >>> import numpy as np
        >>> a, b = (update(no_moments(2), np.full((4, 2), v)) for v in (1.0, 3.0))
        >>> merge(a, b).count, merge(a, b).mean.tolist(), covariance(merge(a, b)).tolist()
        (8, [2.0, 2.0], [[1.0, 1.0], [1.0, 1.0]])
    """
    dims = len(a.mean), len(b.mean)
    check_that(dims[0] == dims[1], "moments", f"dim {dims[0]}", dims[1])
    count = a.count + b.count
    if count == 0:
        return a
    gap = b.mean - a.mean
    fraction = b.count / count
    between = np.outer(gap, gap) * (a.count * fraction)
    return Moments(count, a.mean + gap * fraction, a.m2 + b.m2 + between)


def update(moments: Moments, batch: Any, weights: Any = None) -> Moments:
    """Returns the moments of the previous examples and the examples of `batch` together.

    Args:
        moments: moments of the previous examples.
        batch: new examples, shape (n, dim), n >= 0.
        weights: weights of the new examples, shape (n,), at least 0; None means 1. The count is
            the sum of the weights.

    Returns:
        The updated moments; the argument does not change.

    Raises:
        FlowjaxError: The shape is wrong, or a value is NaN or infinite.

    Example:
        >>> import numpy as np
        >>> update(no_moments(2), np.array([[1.0, 2.0], [3.0, 6.0]])).mean.tolist()
        [2.0, 4.0]
    """
    rows = np.asarray(batch)
    dim = len(moments.mean)
    check_that(rows.ndim == 2 and rows.shape[1] == dim, "batch", f"(n, {dim})", rows.shape)
    if not len(rows):
        return moments
    rows = rows.astype(np.float64)
    check_finite("batch", rows)
    if weights is None:
        mean = _exact_mean(rows, rows.mean(axis=0))
        centred = rows - mean
        return merge(moments, Moments(len(rows), mean, centred.T @ centred))
    w = np.asarray(weights, np.float64)
    count: Any = w.sum()
    if count == 0:
        return moments
    mean = _exact_mean(rows[w > 0], w @ rows / count)
    centred = rows - mean
    return merge(moments, Moments(count, mean, (centred * w[:, None]).T @ centred))


def _exact_mean(rows: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Returns `mean` without the rounding errors of the means of equal numbers."""
    return np.where((rows == rows[0]).all(axis=0), rows[0], mean)


def moments_of(batches: Iterable[Any], dim: int) -> Moments:
    """Returns the moments of all examples in an iterable of batches, shape (n, dim) each.

    Raises:
        FlowjaxError: A batch has a wrong shape, NaN or infinity.

    Example:
        >>> import numpy as np
        >>> moments_of((np.ones((5, 2)) for _ in range(3)), dim=2).count
        15
    """
    return reduce(update, batches, no_moments(dim))


def centred(x: Any) -> tuple[ModuleType, Any, Any]:
    """Decomposes a batch as `x = mean + rows`; the rows of constant columns are exactly 0.

    The deviations are centred twice. The result is therefore accurate for columns such as
    1e6 + noise.

    Args:
        x: data, shape (n, dim), floating point.

    Returns:
        `(xp, mean, rows)`. `xp` is the array module: inside of jit, `jax.numpy` in the dtype of
        the batch; otherwise NumPy in float64.

    Example:
        >>> import jax.numpy as jnp
        >>> _, mean, rows = centred(jnp.array([[1.0, 7.0], [5.0, 7.0]]))
        >>> mean.tolist(), rows.tolist()
        ([3.0, 7.0], [[-2.0, 0.0], [2.0, 0.0]])
    """
    traced = isinstance(x, Tracer)
    xp: ModuleType = jnp if traced else np
    wide: Any = x if traced else np.asarray(x, np.float64)
    mean = wide.mean(axis=0)
    rows = wide - mean
    again = rows.mean(axis=0)
    mean, rows = mean + again, rows - again
    # The mean of equal numbers can have a rounding error.
    constant = (wide == wide[0]).all(axis=0)
    return xp, xp.where(constant, wide[0], mean), xp.where(constant, 0, rows)


def root_mean_square(xp: ModuleType, rows: Any) -> Any:
    """Returns the root mean square of each column; squares neither overflow nor underflow."""
    largest = xp.abs(rows).max(axis=0)
    safe = xp.where(largest > 0, largest, 1)
    return largest * xp.sqrt(xp.square(rows / safe).mean(axis=0))


def column_moments(x: Any) -> tuple[ModuleType, Any, Any]:
    """Returns `(xp, mean, std)` of the columns of `x` (n, dim); see `centred` for `xp`."""
    if isinstance(x, Tracer):
        _, mean, rows = centred(x)
        return jnp, mean, root_mean_square(jnp, rows)
    x, width = np.asarray(x), max(1, (1 << 20) // len(x))  # 8 MiB of float64 at a time
    means, stds = [], []
    for start in range(0, x.shape[1], width):
        _, mean, rows = centred(x[:, start : start + width])
        means.append(mean)
        stds.append(root_mean_square(np, rows))
    return np, np.concatenate(means), np.concatenate(stds)


def varies(mean: Any, std: Any, dtype: Any) -> Any:
    """Returns a mask, shape (dim,): False for columns that standardization cannot scale.

    These columns are constant, vary by less than the rounding error of their mean, vary 1e25 times
    less than another column, or so little that `1 / std^2` overflows.

    Args:
        mean: mean of each column, shape (dim,).
        std: standard deviation of each column, shape (dim,).
        dtype: dtype of the data and of the parameters.

    Example:
        >>> varies(np.array([0.0, 0.0, 1e9]), np.array([1.0, 1e-32, 1.0]), np.float32).tolist()
        [True, False, False]
    """
    limits = jnp.finfo(dtype)
    smallest = (float(limits.tiny) ** 0.5, float(limits.eps) * abs(mean), 1e-25 * std.max())
    return (std > smallest[0]) & (std > smallest[1]) & (std > smallest[2])


def weighted_moments(batches: Iterable[tuple[Any, Any]], dim: int) -> Moments:
    """Returns the moments of all examples in an iterable of batches with weights.

    Args:
        batches: pairs of examples, shape (n, dim), and their weights, shape (n,), or None.
        dim: dimension of the examples.

    Raises:
        FlowjaxError: A batch has a wrong shape, NaN or infinity.

    Example:
        >>> import numpy as np
        >>> found = weighted_moments([(np.array([[0.0], [4.0]]), np.array([3, 1]))], dim=1)
        >>> float(found.mean[0]), covariance(found).tolist()
        (1.0, [[3.0]])
    """
    return reduce(lambda found, batch: update(found, *batch), batches, no_moments(dim))


def deviations(x: Array) -> tuple[ModuleType, Any, Any, Any]:
    """Decomposes a batch as `x = mean + unit * rows`.

    `rows` are the scaled deviations from the mean, and `unit` is the largest deviation. The
    division by `unit` prevents overflow and underflow of squares in float32. Columns of `rows`
    are zero if they are constant, see `varies`.

    Args:
        x: data, shape (n, dim), floating point.

    Returns:
        `(xp, mean, rows, unit)`; see `centred` for the array module `xp`.

    Example:
        >>> import jax.numpy as jnp
        >>> _, mean, rows, unit = deviations(jnp.array([[1.0, 7.0], [5.0, 7.0]]))
        >>> mean.tolist(), rows.tolist(), float(unit)
        ([3.0, 7.0], [[-1.0, 0.0], [1.0, 0.0]], 2.0)
    """
    xp, mean, rows = centred(x)
    rows = xp.where(varies(mean, root_mean_square(xp, rows), x.dtype), rows, 0)
    unit = xp.abs(rows).max()
    unit = xp.where(unit > 0, unit, 1)
    return xp, mean, rows / unit, unit


def scatter(rows: Any) -> Any:
    """Returns `rows^T rows`, shape (dim, dim), computed with the array module of `rows`."""
    return product(rows.T, rows) if isinstance(rows, Tracer) else rows.T @ rows


def covariance(moments: Moments) -> np.ndarray:
    """Returns the covariance, shape (dim, dim), divided by the count (maximum likelihood).

    Entries of a column that varies by less than the rounding error of its mean are 0.

    Raises:
        FlowjaxError: The count is 0.

    Example:
        >>> import numpy as np
        >>> covariance(update(no_moments(1), np.array([[0.0], [2.0]]))).tolist()
        [[1.0]]
    """
    check_that(moments.count > 0, "moments", "at least one example", moments.count)
    found = moments.m2 / moments.count
    varies = np.sqrt(np.diag(found)) > 4 * np.finfo(np.float64).eps * np.abs(moments.mean)
    return np.where(np.outer(varies, varies), found, 0)
