"""Retrieval of partners by cosine similarity: quality measures that need no labels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from flowjax.errors import FlowjaxError, check_integer
from flowjax.evaluation.correlation import check_vectors

MEASURES = ("recall@1", "recall@10", "mrr", "auc")
LEAST_PAIRS = 10
"""Smallest number of pairs. With fewer, recall@10 is 100 for any vectors."""

_BLOCK = 512  # rows of cosines in memory at a time
_TIE = 1e-12  # larger than the rounding errors of a dot product of unit vectors in float64
_RANDOM = 1_000_000  # random pairs of the AUC
_RESAMPLES = 2000


def ranks(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Returns how many vectors of `right` are more similar to `left[i]` than `right[i]` is.

    The similarity is the cosine. A tie counts as half. A vector of zeros has cosine 0 with every
    vector.

    Args:
        left: first vectors of the pairs, shape (n, d), n at least 10.
        right: second vectors, shape (n, d).

    Returns:
        Ranks from 0 (best) to n - 1, shape (n,), float64. Chance is (n - 1) / 2 on average.

    Raises:
        FlowjaxError: The shapes differ, there are fewer than 10 pairs, or a number is not finite.

    Example:
        >>> ranks(np.eye(12), np.eye(12))[:3]  # the other 11 have cosine 0
        array([0., 0., 0.])
        >>> ranks(np.ones((12, 2)), np.ones((12, 2)))[:3]  # all cosines are 1
        array([5.5, 5.5, 5.5])
    """
    a, b = _pairs(left, right)
    return np.concatenate([rank for rank, _, _ in _blocks(a, b, np.array([], int))])


def per_pair(left: np.ndarray, right: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the contribution of each pair to the measures of `measures`.

    The mean of the contributions is the measure, so a bootstrap over pairs needs only them.

    Args:
        left: first vectors of the pairs, shape (n, d), n at least 10.
        right: second vectors, shape (n, d).

    Returns:
        For each name of `measures`: contributions in [0, 100], shape (n,).

    Raises:
        FlowjaxError: The shapes differ, there are fewer than 10 pairs, or a number is not finite.

    Example:
        >>> per_pair(np.eye(12), np.eye(12))["auc"][:3]
        array([100., 100., 100.])
    """
    a, b = _pairs(left, right)
    count = min(len(a) - 1, max(1, _RANDOM // len(a)))
    shifts = np.linspace(1, len(a) - 1, count).astype(int)  # spread over the text
    parts = zip(*_blocks(a, b, shifts), strict=True)
    rank, true, other = (np.concatenate(part) for part in parts)
    other.sort()
    below = np.searchsorted(other, true - _TIE, "left")
    not_above = np.searchsorted(other, true + _TIE, "right")
    values: dict[str, np.ndarray] = {
        "recall@1": rank < 1,
        "recall@10": rank < 10,
        "mrr": 1 / (rank + 1),
        "auc": (below + not_above) / (2 * len(other)),
    }
    return {name: np.multiply(value, 100.0) for name, value in values.items()}


def measures(left: np.ndarray, right: np.ndarray) -> dict[str, float]:
    """Returns how well the vectors tell true pairs from random pairs by cosine similarity.

    Args:
        left: first vectors of the pairs, shape (n, d), n at least 10.
        right: second vectors, shape (n, d).

    Returns:
        Percentages: `recall@1` and `recall@10` (the partner is among the 1 or 10 most similar of
        all n vectors of `right`), `mrr` (mean reciprocal rank), and `auc` (probability that a true
        pair has a higher cosine than a random pair; 50 by chance). The AUC uses all random pairs,
        or about a million.

    Raises:
        FlowjaxError: The shapes differ, there are fewer than 10 pairs, or a number is not finite.

    Example:
        >>> measures(np.eye(12), np.eye(12))
        {'recall@1': 100.0, 'recall@10': 100.0, 'mrr': 100.0, 'auc': 100.0}
    """
    return {name: float(values.mean()) for name, values in per_pair(left, right).items()}


def bootstrap_difference(
    a: np.ndarray, b: np.ndarray, seed: int = 0
) -> tuple[float, float, float]:
    """Returns the difference of two means with its paired 95 % bootstrap interval.

    Args:
        a: contributions of the pairs under one transformation, shape (n,), from `per_pair`.
        b: contributions of the same pairs under another one, shape (n,).
        seed: integer seed of the resampling.

    Returns:
        `mean(a) - mean(b)`, and the 2.5 % and 97.5 % quantiles of 2,000 resamples.

    Raises:
        FlowjaxError: The shapes differ, or a number is not finite.

    Example:
        >>> bootstrap_difference(np.full(50, 3.0), np.full(50, 1.0))
        (2.0, 2.0, 2.0)
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape or a.ndim != 1 or not a.size:
        raise FlowjaxError(f"b: expected shape (n,) like a, got {a.shape} and {b.shape}")
    difference = a - b
    if not np.isfinite(difference).all():
        raise FlowjaxError("a, b: expected finite numbers, got NaN or infinity")
    rng, n = np.random.default_rng(seed), len(difference)
    means = [difference[rng.integers(0, n, n)].mean() for _ in range(_RESAMPLES)]
    low, high = np.quantile(means, (0.025, 0.975))
    return float(difference.mean()), float(low), float(high)


def random_cosines(vectors: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Returns the cosine similarities of random pairs of different rows.

    A vector of zeros has cosine 0 with every vector.

    Args:
        vectors: vectors, shape (n, d), n at least 2.
        count: number of pairs, drawn with replacement.
        seed: integer seed of the pairs.

    Returns:
        Cosines in [-1, 1], shape (count,), float64.

    Raises:
        FlowjaxError: There are fewer than 2 vectors, or a number is not finite.

    Example:
        >>> random_cosines(np.eye(4), 3)
        array([0., 0., 0.])
    """
    x = _unit("vectors", vectors)
    n, count = len(x), check_integer("count", count, least=1)
    if n < 2:
        raise FlowjaxError(f"vectors: expected at least 2 rows, got shape {x.shape}")
    rng = np.random.default_rng(seed)
    first = rng.integers(0, n, count)
    second = (first + rng.integers(1, n, count)) % n
    blocks = (slice(i, i + 16 * _BLOCK) for i in range(0, count, 16 * _BLOCK))
    found = [np.einsum("nd,nd->n", x[first[block]], x[second[block]]) for block in blocks]
    cosines: np.ndarray = np.clip(np.concatenate(found), -1.0, 1.0)
    return cosines


def _blocks(
    a: np.ndarray, b: np.ndarray, shifts: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yields the ranks, the cosines of the true pairs, and cosines of random pairs, by block.

    Args:
        a: unit vectors, shape (n, d).
        b: unit vectors, shape (n, d).
        shifts: distances in rows between the two vectors of a random pair.
    """
    for start in range(0, len(a), _BLOCK):
        cosines = a[start : start + _BLOCK] @ b.T
        rows = np.arange(len(cosines))[:, None]
        own = cosines[rows, start + rows]
        above = (cosines > own + _TIE).sum(axis=1)
        below = (cosines < own - _TIE).sum(axis=1)
        rank = above + (len(b) - 1 - above - below) / 2  # the partner itself is no tie
        yield rank, own[:, 0], cosines[rows, (start + rows + shifts) % len(b)].ravel()


def _pairs(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = _unit("left", left), _unit("right", right)
    if a.shape != b.shape:
        raise FlowjaxError(f"right: expected shape {a.shape} like left, got {b.shape}")
    if len(a) < LEAST_PAIRS:
        raise FlowjaxError(f"left: expected at least {LEAST_PAIRS} pairs, got {len(a)}")
    return a, b


def _unit(name: str, vectors: np.ndarray) -> np.ndarray:
    """Returns the rows divided by their lengths, without overflow; rows of zeros stay zeros."""
    x = check_vectors(name, vectors)
    largest = np.abs(x).max(axis=1, keepdims=True)
    x = np.ldexp(x, -np.frexp(largest)[1])
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    units: np.ndarray = x / np.maximum(norms, np.finfo(float).tiny)
    return units
