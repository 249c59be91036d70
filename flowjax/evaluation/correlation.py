"""Cosine similarity and correlations in float64, with ties and undefined cases spelled out."""

from __future__ import annotations

import numpy as np

# Below this spread the cosines of a set differ by rounding alone, and their ranks mean nothing.
CONSTANT = 1e-12


def check_vectors(name: str, vectors: np.ndarray) -> np.ndarray:
    """The vectors as a finite float64 matrix ``(n, d)``, or a ValueError that names them."""
    matrix = np.asarray(vectors, dtype=np.float64)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ValueError(f"{name}: expected shape (n, d), got {matrix.shape}")
    bad = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if bad.size:
        raise ValueError(
            f"{name}: expected finite numbers, got NaN or infinity in {bad.size} of {len(matrix)} "
            f"rows, the first of them row {bad[0]}"
        )
    return matrix


def cosine(vectors1: np.ndarray, vectors2: np.ndarray) -> np.ndarray:
    """Cosine similarity of matching rows.

    Two equal rows give exactly 1, so that pairs of identical sentences tie in rank.

    Args:
        vectors1: ``(n, d)``.
        vectors2: ``(n, d)``.

    Returns:
        ``(n,)`` float64 in [-1, 1].

    Raises:
        ValueError: For unequal shapes, numbers that are not finite, or a row of zeros, whose
            cosine is undefined.

    Example:
        >>> cosine([[3.0, 0.0], [1.0, 1.0]], [[2.0, 0.0], [1.0, 0.0]]).round(4)
        array([1.    , 0.7071])
    """
    a, b = check_vectors("vectors1", vectors1), check_vectors("vectors2", vectors2)
    if a.shape != b.shape:
        raise ValueError(f"vectors2: expected shape {a.shape} like vectors1, got {b.shape}")
    a, b = _scaled("vectors1", a), _scaled("vectors2", b)
    # sqrt(x * x) is exactly x in IEEE arithmetic, hence 1.0 for equal rows.
    norms = np.sqrt(_dot(a, a) * _dot(b, b))
    return np.clip(_dot(a, b) / norms, -1.0, 1.0)


def average_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, ties sharing the mean of their ranks (as ``scipy.stats.rankdata``).

    Args:
        values: ``(n,)``.

    Returns:
        ``(n,)`` float64.

    Example:
        >>> average_ranks([10.0, 20.0, 20.0, 5.0])
        array([2. , 3.5, 3.5, 1. ])
    """
    _, inverse, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2.0)[inverse]


def pearson(x: np.ndarray, y: np.ndarray, names: tuple[str, str] = ("x", "y")) -> float:
    """Pearson's correlation of two samples, in [-1, 1].

    Args:
        x: ``(n,)``, n at least 2, finite, not constant.
        y: ``(n,)``, likewise.
        names: What the errors call them.

    Raises:
        ValueError: Where the correlation is undefined.

    Example:
        >>> round(pearson([1, 2, 3], [1, 2, 4]), 6)
        0.981981
    """
    x, y = _sample(x, names[0]), _sample(y, names[1])
    if x.shape != y.shape:
        raise ValueError(f"{names[1]}: expected {x.size} numbers like {names[0]}, got {y.size}")
    x, y = x - x.mean(), y - y.mean()
    return float(np.clip((x @ y) / np.sqrt((x @ x) * (y @ y)), -1.0, 1.0))


def spearman(x: np.ndarray, y: np.ndarray, names: tuple[str, str] = ("x", "y")) -> float:
    """Spearman's rank correlation, ties by average ranks (as ``scipy.stats.spearmanr``).

    Args:
        x: ``(n,)``, n at least 2, finite, not constant.
        y: ``(n,)``, likewise.
        names: What the errors call them.

    Raises:
        ValueError: Where the correlation is undefined.

    Example:
        >>> round(spearman([1, 2, 3, 4], [1, 3, 2, 40]), 6)
        0.8
    """
    x, y = _sample(x, names[0]), _sample(y, names[1])
    return pearson(average_ranks(x), average_ranks(y), names)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("nd,nd->n", a, b)


def _scaled(name: str, matrix: np.ndarray) -> np.ndarray:
    """Rows divided by a power of two near their largest entry: exact, and safe from overflow."""
    largest = np.abs(matrix).max(axis=1, keepdims=True)
    zero = np.flatnonzero(largest[:, 0] == 0.0)
    if zero.size:
        raise ValueError(
            f"{name}: expected rows of non-zero length, got {zero.size} of zeros, the first of "
            f"them row {zero[0]}: their cosine is undefined"
        )
    return np.ldexp(matrix, -np.frexp(largest)[1])


def _sample(values: np.ndarray, name: str) -> np.ndarray:
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or sample.size < 2:
        raise ValueError(f"{name}: expected at least 2 numbers (n,), got shape {sample.shape}")
    if not np.isfinite(sample).all():
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")
    if np.ptp(sample) <= CONSTANT * max(1.0, float(np.abs(sample).max())):
        raise ValueError(
            f"{name}: expected numbers that differ, got {sample.size} times {sample[0]:.6g}: "
            "their correlation is undefined"
        )
    return sample
