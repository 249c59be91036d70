"""Isotropy measures: cosine of random pairs, singular spectrum, published scores."""

from __future__ import annotations

import numpy as np

from flowjax.errors import FlowjaxError
from flowjax.evaluation.correlation import check_vectors, cosine, refuse_rows

_BLOCK = 1024  # rows per block of the pairwise distances


def mean_cosine(vectors: np.ndarray, *, pairs: int | None = 10_000, seed: int = 0) -> float:
    """Returns the mean cosine similarity of random pairs of rows, 0 for isotropic vectors.

    This is the anisotropy measure of Ethayarajh (arXiv 1909.00512).

    Args:
        vectors: vectors without a row of zeros, shape (n, d), n at least 2.
        pairs: number of random pairs, drawn with replacement; None for the exact mean over all
            pairs.
        seed: integer seed of the random pairs.

    Returns:
        The mean, in [-1, 1].

    Example:
        >>> round(mean_cosine(np.array([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]]), pairs=None), 6)
        -0.333333
    """
    x = _rows(vectors)
    n = len(x)
    if pairs is None:
        u = _unit(x)  # the sum over all pairs is half of |sum u|^2 - n
        return float((np.square(u.sum(axis=0)).sum() - n) / (n * (n - 1)))
    rng = np.random.default_rng(seed)
    first = rng.integers(0, n, size=pairs)
    second = (first + rng.integers(1, n, size=pairs)) % n  # differs from `first`
    return float(cosine(x[first], x[second]).mean())


def singular_spectrum(vectors: np.ndarray, *, center: bool = True) -> np.ndarray:
    """Returns the singular values of the vectors in descending order.

    Args:
        vectors: vectors, shape (n, d).
        center: True to subtract the mean; the squared singular values divided by n are then the
            eigenvalues of the covariance.

    Returns:
        Singular values, shape (min(n, d),), float64.

    Example:
        >>> singular_spectrum(np.array([[1.0, 0.0], [-1.0, 0.0]])).round(6) + 0.0
        array([1.414214, 0.      ])
    """
    x = check_vectors("vectors", vectors)
    return np.linalg.svd(x - x.mean(axis=0) if center else x, compute_uv=False)


def isotropy_score(vectors: np.ndarray) -> float:
    """Returns the isotropy score of Mu & Viswanath (arXiv 1702.01417), min Z(c) / max Z(c).

    `Z(c) = sum_x exp(c . x)` over the eigenvectors c of `X^T X`. The sign of an eigenvector is
    arbitrary, so both c and -c are used; the score does not depend on the linear-algebra library.
    The sums are computed in log space because vectors of norm 30 would overflow. The score depends
    on scale and tends to 0 for norms far above 1: normalize the rows to compare encoders.

    Args:
        vectors: vectors, shape (n, d).

    Returns:
        The score in [0, 1], 1 for isotropic vectors.

    Example:
        >>> round(isotropy_score(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])), 6)
        1.0
    """
    x = check_vectors("vectors", vectors)
    along = x @ np.linalg.eigh(x.T @ x)[1]
    log_z = _log_sum_exp(np.concatenate([along, -along], axis=1))
    return float(np.exp(log_z.min() - log_z.max()))


def isoscore(vectors: np.ndarray) -> float:
    """Returns the IsoScore of Rudman et al. (arXiv 2108.07344).

    The score is invariant to translation, rotation and scale. For n < d, the score is low for any
    vectors, because their variance has at most n - 1 directions.

    Args:
        vectors: vectors that are not all equal, shape (n, d), d at least 2.

    Returns:
        The score in [0, 1]: 1 for isotropic vectors, 0 for variance in one direction only.

    Raises:
        FlowjaxError: The vectors are equal, have one dimension, or are not finite.

    Example:
        >>> round(isoscore(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])), 6)
        1.0
    """
    x = _rows(vectors)
    d = x.shape[1]
    if d < 2:
        raise FlowjaxError(f"vectors: expected at least 2 dimensions, got shape {x.shape}")
    variances = _variances(x)
    if variances.max() == 0.0:
        raise FlowjaxError("vectors: expected rows that differ, got all rows equal")
    return isoscore_of_variances(variances)


def isoscore_of_variances(variances: np.ndarray) -> float:
    """Returns the IsoScore of vectors with given variances along their principal directions.

    Args:
        variances: variances in any unit, not all 0, shape (d,), d at least 2.

    Example:
        >>> [round(isoscore_of_variances(v), 6) for v in (np.ones(5), np.eye(5)[0])]
        [1.0, 0.0]
    """
    d = len(variances)
    unit = np.sqrt(d) * variances / np.linalg.norm(variances)
    defect = np.linalg.norm(unit - 1.0) / np.sqrt(2.0 * (d - np.sqrt(d)))
    used = d - defect**2 * (d - np.sqrt(d))  # from sqrt(d) to d
    return float(np.clip((used**2 - d) / (d * (d - 1.0)), 0.0, 1.0))


def alignment(vectors1: np.ndarray, vectors2: np.ndarray, *, alpha: float = 2.0) -> float:
    """Returns the alignment of positive pairs (Wang & Isola, arXiv 2005.10242).

    The alignment is `mean |u - v|^alpha` of the rows normalized to length 1, small for close
    pairs.

    Args:
        vectors1: first vectors of positive pairs, shape (n, d); for example of the STS-B pairs
            with a gold score above 4.
        vectors2: second vectors, shape (n, d).
        alpha: exponent.

    Returns:
        The alignment, at least 0.

    Example:
        >>> alignment(np.array([[2.0, 0.0]]), np.array([[0.0, 3.0]]))
        2.0
    """
    distance_squared = np.maximum(2.0 - 2.0 * cosine(vectors1, vectors2), 0.0)
    return float(np.mean(distance_squared ** (alpha / 2.0)))


def uniformity(vectors: np.ndarray, *, t: float = 2.0) -> float:
    """Returns the uniformity on the sphere (Wang & Isola, arXiv 2005.10242).

    The uniformity is `log mean exp(-t |u_i - u_j|^2)` over all n (n - 1) / 2 pairs i < j of the
    rows normalized to length 1, low for evenly distributed rows.

    Args:
        vectors: vectors, shape (n, d), n at least 2.
        t: inverse width of the kernel.

    Returns:
        The uniformity, in [-4 t, 0].

    Example:
        >>> uniformity(np.array([[1.0, 0.0], [-5.0, 0.0]]))
        -8.0
    """
    u = _unit(_rows(vectors))
    total = 0.0
    for start in range(0, len(u), _BLOCK):
        block = u[start : start + _BLOCK]
        kernel = np.exp(-t * np.maximum(2.0 - 2.0 * block @ u[start:].T, 0.0))
        within = kernel[:, : len(block)]  # contains each pair twice, and the diagonal
        total += float(np.triu(within, 1).sum() + kernel[:, len(block) :].sum())
    return float(np.log(total / (len(u) * (len(u) - 1) / 2)))


def isotropy_report(vectors: np.ndarray, *, seed: int = 0) -> dict[str, float]:
    """Returns the isotropy measures of one set of vectors.

    Args:
        vectors: vectors, shape (n, d).
        seed: integer seed of the random pairs.

    Returns:
        `mean_norm, mean_cosine, isotropy_score` (of the rows normalized to length 1, to compare
        encoders), `isoscore, uniformity` and `top_variance` (fraction of the variance in the
        first principal direction).

    Example:
        >>> report = isotropy_report(np.random.default_rng(0).normal(size=(500, 4)))
        >>> round(report["isoscore"], 1), round(report["mean_norm"])
        (1.0, 2)
    """
    x = _rows(vectors)
    variances = _variances(x)
    return {
        "mean_norm": float(np.linalg.norm(x, axis=1).mean()),
        "mean_cosine": mean_cosine(x, seed=seed),
        "isotropy_score": isotropy_score(_unit(x)),
        "isoscore": isoscore(x),
        "uniformity": uniformity(x),
        "top_variance": float(variances[0] / variances.sum()),
    }


def _rows(vectors: np.ndarray) -> np.ndarray:
    x = check_vectors("vectors", vectors)
    if len(x) < 2:
        raise FlowjaxError(f"vectors: expected at least 2 rows, got shape {x.shape}")
    return x


def _unit(x: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    refuse_rows("vectors", norms[:, 0] == 0.0, "rows of non-zero length, got zeros")
    units: np.ndarray = x / norms
    return units


def _variances(x: np.ndarray) -> np.ndarray:
    """Returns the squared singular values of the centered vectors, shape (d,), descending.

    The eigenvalues of `X^T X` are faster to compute than the SVD.
    """
    x = x - x.mean(axis=0)
    return np.maximum(np.linalg.eigvalsh(x.T @ x)[::-1], 0.0)


def _log_sum_exp(columns: np.ndarray) -> np.ndarray:
    top = columns.max(axis=0)
    sums: np.ndarray = top + np.log(np.exp(columns - top).sum(axis=0))
    return sums
