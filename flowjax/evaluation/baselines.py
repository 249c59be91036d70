"""Calibration without a flow, in closed form: the rows of the paper's table 5.

Each function fits on ``(n, d)`` vectors and returns a transform for any ``(m, d)`` vectors, in
float64. They are kept apart from ``flowjax.flows`` on purpose: short, numpy only, and so a check
on the flows of the same name. Directions without variance in the fitted vectors would be divided
by zero; where they would, a ValueError names them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from flowjax.evaluation.correlation import check_vectors

Transform = Callable[[np.ndarray], np.ndarray]


def standardize(vectors: np.ndarray) -> Transform:
    """SN: each dimension to mean 0 and variance 1 (arXiv 2011.05864, section 5.2).

    Args:
        vectors: ``(n, d)``, n at least 2, to fit on.

    Returns:
        From ``(m, d)`` to ``(m, d)``: ``(x - mean) / std``, with the biased (1/n) variance.

    Raises:
        ValueError: If a dimension is constant.

    Example:
        >>> x = np.array([[0.0, 10.0], [2.0, 30.0]])
        >>> standardize(x)(x)
        array([[-1., -1.],
               [ 1.,  1.]])
    """
    x = check_vectors("vectors", vectors)
    mean, std = x.mean(axis=0), x.std(axis=0)
    constant = np.flatnonzero(std <= 1e-12 * np.abs(x).max(axis=0))
    if constant.size:
        raise ValueError(
            f"vectors: expected every dimension to vary, got {constant.size} constant ones, the "
            f"first of them dimension {constant[0]}"
        )
    return lambda v: (_like(v, x) - mean) / std


def null_top_singular_vectors(vectors: np.ndarray, k: int, *, center: bool = False) -> Transform:
    """NATSV: nulls the top-k right singular vectors (arXiv 2011.05864, section 5.2).

    What is done: ``u_1 .. u_k`` are the right singular vectors of the fitted matrix itself, not
    centred, with the largest singular values; ``x - sum_i (u_i . x) u_i``. As the mean of BERT's
    vectors is large, ``u_1`` is close to the mean's direction. Mu & Viswanath (arXiv 1702.01417),
    from whom the paper takes it, subtract the mean first: ``center=True``.

    Args:
        vectors: ``(n, d)`` to fit on.
        k: How many, 0 to d - 1 (the paper tries 1 and 10; after SN 1 and 6).
        center: Subtract the fitted mean, before the decomposition and in the transform.

    Returns:
        From ``(m, d)`` to ``(m, d)``, of rank d - k.

    Example:
        >>> x = np.array([[3.0, 0.0], [3.0, 1.0], [3.0, -1.0]])
        >>> null_top_singular_vectors(x, 1)(x).round(6) + 0.0
        array([[ 0.,  0.],
               [ 0.,  1.],
               [ 0., -1.]])
    """
    x = check_vectors("vectors", vectors)
    if not 0 <= k < x.shape[1]:
        raise ValueError(f"k: expected 0 to {x.shape[1] - 1} for vectors {x.shape}, got {k}")
    mean = x.mean(axis=0) if center else np.zeros(x.shape[1])
    top = _eigenvectors((x - mean).T @ (x - mean))[1][:, :k]

    def transform(v: np.ndarray) -> np.ndarray:
        v = _like(v, x) - mean
        return v - (v @ top) @ top.T

    return transform


def standardize_then_null(vectors: np.ndarray, k: int) -> Transform:
    """SN followed by NATSV fitted on the standardized vectors (arXiv 2011.05864, table 5).

    Args:
        vectors: ``(n, d)`` to fit on.
        k: How many singular vectors to null.

    Returns:
        From ``(m, d)`` to ``(m, d)``.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(50, 4))
        >>> int(np.linalg.matrix_rank(standardize_then_null(x, 1)(x)))
        3
    """
    scale = standardize(vectors)
    null = null_top_singular_vectors(scale(np.asarray(vectors)), k)
    return lambda v: null(scale(v))


def whiten(vectors: np.ndarray, k: int | None = None) -> Transform:
    """BERT-whitening: ``(x - mean) U diag(1/sqrt(l))``, first k columns (arXiv 2103.15316).

    Args:
        vectors: ``(n, d)`` to fit on, n greater than the number of dimensions kept.
        k: Keep the k dimensions of largest variance; all d when None.

    Returns:
        From ``(m, d)`` to ``(m, k)``; the covariance (1/n) of the fitted vectors becomes I.

    Raises:
        ValueError: If the covariance has fewer than k dimensions.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(100, 3)) * [1.0, 5.0, 0.1] + 7.0
        >>> np.cov(whiten(x, 2)(x).T, bias=True).round(6) + 0.0
        array([[1., 0.],
               [0., 1.]])
    """
    x = check_vectors("vectors", vectors)
    k = x.shape[1] if k is None else k
    if not 1 <= k <= x.shape[1]:
        raise ValueError(f"k: expected 1 to {x.shape[1]} for vectors {x.shape}, got {k}")
    mean = x.mean(axis=0)
    values, columns = _eigenvectors((x - mean).T @ (x - mean) / len(x))
    rank = int((values > values[0] * x.shape[1] * np.finfo(np.float64).eps).sum())
    if rank < k:
        raise ValueError(f"vectors: expected variance in {k} dimensions, got {rank} from {len(x)}")
    matrix = columns[:, :k] / np.sqrt(values[:k])
    return lambda v: (_like(v, x) - mean) @ matrix


def _eigenvectors(symmetric: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues from the largest down, and their eigenvectors as columns."""
    values, columns = np.linalg.eigh(symmetric)
    return values[::-1], columns[:, ::-1]


def _like(vectors: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    v = np.asarray(vectors, dtype=np.float64)
    if v.ndim != 2 or v.shape[1] != fitted.shape[1]:
        raise ValueError(f"vectors: expected shape (m, {fitted.shape[1]}), got {v.shape}")
    return v
