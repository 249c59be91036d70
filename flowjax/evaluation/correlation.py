"""Cosine similarity, Pearson and Spearman correlation in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from flowjax.errors import FlowjaxError

# Largest relative range of values that differ by rounding errors only; their ranks are noise.
CONSTANT = 1e-12


def check_vectors(name: str, vectors: np.ndarray) -> np.ndarray:
    """Returns the vectors as a float64 matrix, shape (n, d).

    Args:
        name: name of the vectors in error messages.
        vectors: array, shape (n, d).

    Raises:
        FlowjaxError: The shape is not (n, d), or a number is not finite.
    """
    matrix = np.asarray(vectors, dtype=np.float64)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise FlowjaxError(f"{name}: expected shape (n, d), got {matrix.shape}")
    refuse_rows(name, ~np.isfinite(matrix).all(axis=1), "finite numbers, got NaN or infinity")
    return matrix


def refuse_rows(name: str, bad: Any, expected: str) -> None:
    """Raises `FlowjaxError` if a row is bad.

    Args:
        name: name of the vectors in the error message.
        bad: True for each bad row, shape (n,).
        expected: middle part of the error message, such as "finite numbers, got NaN".
    """
    if bad.any():
        first = int(np.argmax(bad))
        raise FlowjaxError(
            f"{name}: expected {expected} in {bad.sum()} rows, the first at index {first}"
        )


def cosine(vectors1: np.ndarray, vectors2: np.ndarray) -> np.ndarray:
    """Returns the cosine similarity of matching rows.

    Two equal rows give exactly 1, so pairs of identical sentences have equal ranks.

    Args:
        vectors1: vectors, shape (n, d).
        vectors2: vectors, shape (n, d).

    Returns:
        Similarities in [-1, 1], shape (n,), float64.

    Raises:
        FlowjaxError: The shapes differ, a number is not finite, or a row is all zeros.

    Example:
        >>> cosine([[3.0, 0.0], [1.0, 1.0]], [[2.0, 0.0], [1.0, 0.0]]).round(4)
        array([1.    , 0.7071])
    """
    a, b = check_vectors("vectors1", vectors1), check_vectors("vectors2", vectors2)
    if a.shape != b.shape:
        raise FlowjaxError(f"vectors2: expected shape {a.shape} like vectors1, got {b.shape}")
    a, b = _scaled("vectors1", a), _scaled("vectors2", b)
    # In IEEE arithmetic sqrt(x * x) == x, so equal rows give exactly 1.0.
    norms = np.sqrt(_dot(a, a) * _dot(b, b))
    cosines: np.ndarray = np.clip(_dot(a, b) / norms, -1.0, 1.0)
    return cosines


def average_ranks(values: np.ndarray) -> np.ndarray:
    """Returns the ranks of the values, from 1; equal values get the mean of their ranks.

    Args:
        values: numbers, shape (n,).

    Returns:
        Ranks, shape (n,), float64.

    Example:
        >>> average_ranks([10.0, 20.0, 20.0, 5.0])
        array([2. , 3.5, 3.5, 1. ])
    """
    from scipy.stats import rankdata  # importing scipy.stats takes more than a second

    ranks: np.ndarray = rankdata(values)
    return ranks


def pearson(x: np.ndarray, y: np.ndarray, names: tuple[str, str] = ("x", "y")) -> float:
    """Returns Pearson's correlation of two samples, in [-1, 1].

    Args:
        x: finite numbers that are not all equal, shape (n,) with n at least 2.
        y: finite numbers that are not all equal, shape (n,).
        names: names of the samples in error messages.

    Returns:
        Correlation coefficient in [-1, 1].

    Raises:
        FlowjaxError: The correlation is undefined.

    Example:
        >>> round(pearson([1, 2, 3], [1, 2, 4]), 6)
        0.981981
    """
    x, y = _sample(x, names[0]), _sample(y, names[1])
    if x.shape != y.shape:
        raise FlowjaxError(f"{names[1]}: expected {x.size} numbers like {names[0]}, got {y.size}")
    # scipy.stats.pearsonr rounds: proportional samples get 0.9999999999999998 instead of 1.
    x, y = x - x.mean(), y - y.mean()
    return float(np.clip((x @ y) / np.sqrt((x @ x) * (y @ y)), -1.0, 1.0))


def spearman(x: np.ndarray, y: np.ndarray, names: tuple[str, str] = ("x", "y")) -> float:
    """Returns Spearman's rank correlation of two samples; equal values get their mean rank.

    Args:
        x: finite numbers that are not all equal, shape (n,) with n at least 2.
        y: finite numbers that are not all equal, shape (n,).
        names: names of the samples in error messages.

    Returns:
        Correlation coefficient in [-1, 1].

    Raises:
        FlowjaxError: The correlation is undefined.

    Example:
        >>> round(spearman([1, 2, 3, 4], [1, 3, 2, 40]), 6)
        0.8
    """
    x, y = _sample(x, names[0]), _sample(y, names[1])
    return pearson(average_ranks(x), average_ranks(y), names)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    products: np.ndarray = np.einsum("nd,nd->n", a, b)
    return products


def _scaled(name: str, matrix: np.ndarray) -> np.ndarray:
    """Returns each row divided by a power of two near its largest entry, to prevent overflow.

    A division by a power of two is exact.
    """
    largest = np.abs(matrix).max(axis=1, keepdims=True)
    refuse_rows(name, largest[:, 0] == 0.0, "rows of non-zero length, got zeros")
    scaled: np.ndarray = np.ldexp(matrix, -np.frexp(largest)[1])
    return scaled


def _sample(values: np.ndarray, name: str) -> np.ndarray:
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or sample.size < 2:
        raise FlowjaxError(f"{name}: expected at least 2 numbers (n,), got shape {sample.shape}")
    if not np.isfinite(sample).all():
        raise FlowjaxError(f"{name}: expected finite numbers, got NaN or infinity")
    if np.ptp(sample) <= CONSTANT * max(1.0, float(np.abs(sample).max())):
        raise FlowjaxError(f"{name}: expected numbers that differ, got only {sample[0]:.6g}")
    return sample
