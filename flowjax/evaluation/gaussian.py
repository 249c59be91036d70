"""Isotropy of exact Gaussian samples, the reference that a finite sample can reach."""

from __future__ import annotations

import numpy as np

from flowjax.errors import FlowjaxError, check_integer
from flowjax.evaluation.correlation import check_vectors
from flowjax.evaluation.isotropy import isotropy_report


def gaussian_report(n: int, d: int, *, seed: int = 0) -> dict[str, float]:
    """Returns the isotropy measures of a sample of the standard Gaussian.

    The measures of a finite sample differ from their limits: IsoScore of 5,000 exact Gaussian
    vectors of dimension 256 is about 0.95 instead of 1.

    Args:
        n: number of vectors, at least 2.
        d: dimension, at least 2.
        seed: integer seed.

    Returns:
        The values of `isotropy_report`, without `mean_norm`, which depends on the unit.

    Example:
        >>> round(gaussian_report(1000, 100)["isoscore"], 2)
        0.91
    """
    check_integer("n", n, least=2)
    check_integer("d", d, least=2)
    report = isotropy_report(np.random.default_rng(seed).standard_normal((n, d)), seed=seed)
    report.pop("mean_norm")
    return report


def relative_eigenvalues(vectors: np.ndarray, name: str = "vectors") -> np.ndarray:
    """Returns the eigenvalues of the covariance, divided by their mean, in descending order.

    Args:
        vectors: vectors, shape (n, d).
        name: name of the vectors in error messages.

    Returns:
        Eigenvalues, shape (d,), float64.

    Raises:
        FlowjaxError: All rows are equal.

    Example:
        >>> relative_eigenvalues(np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
        array([1.8, 0.2])
    """
    x = check_vectors(name, vectors)
    if (x == x[0]).all():
        raise FlowjaxError(f"{name}: expected different rows, got all rows equal")
    x = x - x.mean(axis=0)
    values = np.maximum(np.linalg.eigvalsh(x.T @ x)[::-1], 0.0)  # faster than an SVD
    return np.asarray(values / values.mean())


def gaussian_band(
    shape: tuple[int, ...], *, seed: int = 0, samples: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the lowest and highest relative eigenvalues of Gaussian samples, by rank.

    Args:
        shape: shape (n, d) of a sample.
        seed: integer seed.
        samples: number of samples.

    Returns:
        Lowest and highest eigenvalues, shape (d,) each.

    Example:
        >>> low, high = gaussian_band((1000, 4))
        >>> bool(0.8 < low[-1] < 1 < high[0] < 1.2)
        True
    """
    rng = np.random.default_rng(seed)
    found = np.stack([relative_eigenvalues(rng.standard_normal(shape)) for _ in range(samples)])
    return found.min(axis=0), found.max(axis=0)
