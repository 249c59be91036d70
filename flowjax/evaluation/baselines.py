"""Closed-form calibration baselines of the paper's table 5: standardization, nulling, whitening.

Each function fits on vectors, shape (n, d), and returns a transformation of any vectors, shape
(m, d), in float64. The functions use NumPy only and not `flowjax.flows`, so that the tests compare
two independent implementations.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from flowjax.errors import FlowjaxError
from flowjax.evaluation.correlation import check_vectors

Transform = Callable[[np.ndarray], np.ndarray]


def standardize(vectors: np.ndarray) -> Transform:
    """Returns a function that standardizes each dimension (SN; arXiv 2011.05864, section 5.2).

    Args:
        vectors: vectors to fit on, shape (n, d), n at least 2.

    Returns:
        Function from (m, d) to (m, d): `(x - mean) / std` with the biased (1/n) variance.

    Raises:
        FlowjaxError: A dimension is constant.

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
        raise FlowjaxError(
            f"vectors: expected no constant dimension, got {len(constant)}, the first at index "
            f"{constant[0]}"
        )
    return lambda v: (_like(v, x) - mean) / std


def null_top_singular_vectors(vectors: np.ndarray, k: int, *, center: bool = False) -> Transform:
    """Returns a function that removes the top-k right singular vectors (NATSV, arXiv 2011.05864).

    The function computes `x - sum_i (u_i . x) u_i`, where `u_1 .. u_k` are the right singular
    vectors of the fitted matrix with the largest singular values. The matrix is not centered, so
    `u_1` is close to the direction of BERT's large mean. Mu & Viswanath (arXiv 1702.01417), the
    origin of the method, subtract the mean first: `center=True`.

    Args:
        vectors: vectors to fit on, shape (n, d).
        k: number of singular vectors, 0 to d - 1 (the paper uses 1 and 10; after SN 1 and 6).
        center: True to subtract the mean of `vectors` in the fit and in the transformation.

    Returns:
        Function from (m, d) to (m, d), of rank d - k.

    Raises:
        FlowjaxError: `k` is out of range, or the vectors are not finite numbers of shape (n, d).

    Example:
        >>> x = np.array([[3.0, 0.0], [3.0, 1.0], [3.0, -1.0]])
        >>> null_top_singular_vectors(x, 1)(x).round(6) + 0.0
        array([[ 0.,  0.],
               [ 0.,  1.],
               [ 0., -1.]])
    """
    x = check_vectors("vectors", vectors)
    if not 0 <= k < x.shape[1]:
        raise FlowjaxError(f"k: expected 0 to {x.shape[1] - 1} for vectors {x.shape}, got {k}")
    mean = x.mean(axis=0) if center else np.zeros(x.shape[1])
    top = _eigenvectors((x - mean).T @ (x - mean))[1][:, :k]

    def transform(v: np.ndarray) -> np.ndarray:
        v = _like(v, x) - mean
        rest: np.ndarray = v - (v @ top) @ top.T
        return rest

    return transform


def standardize_then_null(vectors: np.ndarray, k: int) -> Transform:
    """Returns a function that applies SN and then NATSV (arXiv 2011.05864, table 5).

    NATSV is fitted on the standardized vectors.

    Args:
        vectors: vectors to fit on, shape (n, d).
        k: number of singular vectors to remove.

    Returns:
        Function from (m, d) to (m, d).

    Example:
        >>> x = np.random.default_rng(0).normal(size=(50, 4))
        >>> int(np.linalg.matrix_rank(standardize_then_null(x, 1)(x)))
        3
    """
    scale = standardize(vectors)
    null = null_top_singular_vectors(scale(np.asarray(vectors)), k)
    return lambda v: null(scale(v))


def whiten(vectors: np.ndarray, k: int | None = None) -> Transform:
    """Returns a function that whitens vectors: `(x - mean) U diag(1 / sqrt(l))`.

    This is BERT-whitening (arXiv 2103.15316): U holds the eigenvectors of the covariance and l the
    eigenvalues.

    Args:
        vectors: vectors to fit on, shape (n, d), n greater than k.
        k: number of output dimensions, which are the dimensions of largest variance; d if None.

    Returns:
        Function from (m, d) to (m, k). It maps `vectors` to vectors with covariance (1/n) I.

    Raises:
        FlowjaxError: The rank of the covariance is below k.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(100, 3)) * [1.0, 5.0, 0.1] + 7.0
        >>> np.cov(whiten(x, 2)(x).T, bias=True).round(6) + 0.0
        array([[1., 0.],
               [0., 1.]])
    """
    x = check_vectors("vectors", vectors)
    k = int(x.shape[1]) if k is None else k
    if not 1 <= k <= x.shape[1]:
        raise FlowjaxError(f"k: expected 1 to {x.shape[1]} for vectors {x.shape}, got {k}")
    mean = x.mean(axis=0)
    values, columns = _eigenvectors((x - mean).T @ (x - mean) / len(x))
    rank = int((values > values[0] * x.shape[1] * np.finfo(np.float64).eps).sum())
    if rank < k:
        raise FlowjaxError(
            f"vectors: expected a covariance of rank at least {k}, got rank {rank} from {len(x)} "
            "vectors"
        )
    matrix = columns[:, :k] / np.sqrt(values[:k])
    return lambda v: (_like(v, x) - mean) @ matrix


def _eigenvectors(symmetric: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the eigenvalues in descending order and the eigenvectors as columns."""
    values, columns = np.linalg.eigh(symmetric)
    return values[::-1], columns[:, ::-1]


def _like(vectors: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    v = np.asarray(vectors, dtype=np.float64)
    if v.ndim != 2 or v.shape[1] != fitted.shape[1]:
        raise FlowjaxError(f"vectors: expected shape (m, {fitted.shape[1]}), got {v.shape}")
    return v
