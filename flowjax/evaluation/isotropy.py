"""How evenly vectors fill their space: cosine of random pairs, spectrum, and published scores."""

from __future__ import annotations

import numpy as np

from flowjax.evaluation.correlation import check_vectors, cosine

_BLOCK = 1024  # rows at a time where all pairs of rows are visited


def mean_cosine(vectors: np.ndarray, *, pairs: int | None = 10_000, seed: int = 0) -> float:
    """Mean cosine similarity of random pairs of different rows; 0 for an isotropic cloud.

    The measure of anisotropy of Ethayarajh (arXiv 1909.00512).

    Args:
        vectors: ``(n, d)``, n at least 2, no row of zeros.
        pairs: How many random pairs, drawn with replacement; None for all pairs, exactly.
        seed: Of the draw.

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
    second = (first + rng.integers(1, n, size=pairs)) % n  # never the row itself
    return float(cosine(x[first], x[second]).mean())


def singular_spectrum(vectors: np.ndarray, *, center: bool = True) -> np.ndarray:
    """Singular values from the largest down.

    Args:
        vectors: ``(n, d)``.
        center: Subtract the mean first; the squares over n are then the covariance's eigenvalues.

    Returns:
        ``(min(n, d),)`` float64.

    Example:
        >>> singular_spectrum(np.array([[1.0, 0.0], [-1.0, 0.0]])).round(6) + 0.0
        array([1.414214, 0.      ])
    """
    x = check_vectors("vectors", vectors)
    return np.linalg.svd(x - x.mean(axis=0) if center else x, compute_uv=False)


def isotropy_score(vectors: np.ndarray) -> float:
    """Isotropy of Mu & Viswanath (arXiv 1702.01417): min Z(c) / max Z(c), 1 when isotropic.

    ``Z(c) = sum_x exp(c . x)`` over the eigenvectors c of ``X^T X``. An eigenvector has no sign,
    so both c and -c are taken; otherwise the number would depend on the linear-algebra library.
    The sums are done in logarithms: vectors of norm 30 would overflow. Scale matters: norms far
    above 1 drive the score to 0 (normalise first to compare encoders).

    Args:
        vectors: ``(n, d)``.

    Returns:
        The score, in [0, 1].

    Example:
        >>> round(isotropy_score(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])), 6)
        1.0
    """
    x = check_vectors("vectors", vectors)
    along = x @ np.linalg.eigh(x.T @ x)[1]
    log_z = _log_sum_exp(np.concatenate([along, -along], axis=1))
    return float(np.exp(log_z.min() - log_z.max()))


def isoscore(vectors: np.ndarray) -> float:
    """IsoScore (Rudman et al., arXiv 2108.07344): 1 isotropic, 0 all variance in one direction.

    Invariant to the mean, to rotation and to scale; with n < d it is low by construction, as the
    variance then lies in n - 1 directions only.

    Args:
        vectors: ``(n, d)``, d at least 2, not all rows equal.

    Returns:
        The score, in [0, 1].

    Example:
        >>> round(isoscore(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])), 6)
        1.0
    """
    x = _rows(vectors)
    d = x.shape[1]
    if d < 2:
        raise ValueError(f"vectors: expected at least 2 dimensions, got shape {x.shape}")
    variances = _variances(x)
    if variances.max() == 0.0:
        raise ValueError("vectors: expected rows that differ, got all rows equal")
    unit = np.sqrt(d) * variances / np.linalg.norm(variances)
    defect = np.linalg.norm(unit - 1.0) / np.sqrt(2.0 * (d - np.sqrt(d)))
    used = d - defect**2 * (d - np.sqrt(d))  # dimensions used, sqrt(d) .. d
    return float(np.clip((used**2 - d) / (d * (d - 1.0)), 0.0, 1.0))


def alignment(vectors1: np.ndarray, vectors2: np.ndarray, *, alpha: float = 2.0) -> float:
    """Alignment of positive pairs (Wang & Isola, arXiv 2005.10242): small when they are close.

    ``mean |u - v|^alpha`` of rows normalised to length 1, which is done here.

    Args:
        vectors1: ``(n, d)``, each row with its like in vectors2 (such as STS-B pairs above 4).
        vectors2: ``(n, d)``.
        alpha: The power.

    Returns:
        A number from 0 up.

    Example:
        >>> alignment(np.array([[2.0, 0.0]]), np.array([[0.0, 3.0]]))
        2.0
    """
    distance_squared = np.maximum(2.0 - 2.0 * cosine(vectors1, vectors2), 0.0)
    return float(np.mean(distance_squared ** (alpha / 2.0)))


def uniformity(vectors: np.ndarray, *, t: float = 2.0) -> float:
    """Uniformity on the sphere (Wang & Isola, arXiv 2005.10242): low when evenly spread.

    ``log mean exp(-t |u_i - u_j|^2)`` over all pairs i < j of rows normalised to length 1, which
    is done here; all n (n - 1) / 2 pairs are visited, a block at a time.

    Args:
        vectors: ``(n, d)``, n at least 2.
        t: The kernel's sharpness.

    Returns:
        A number from -4 t up to 0.

    Example:
        >>> uniformity(np.array([[1.0, 0.0], [-5.0, 0.0]]))
        -8.0
    """
    u = _unit(_rows(vectors))
    total = 0.0
    for start in range(0, len(u), _BLOCK):
        block = u[start : start + _BLOCK]
        kernel = np.exp(-t * np.maximum(2.0 - 2.0 * block @ u[start:].T, 0.0))
        within = kernel[:, : len(block)]  # each of these pairs stands here twice, or with itself
        total += float(np.triu(within, 1).sum() + kernel[:, len(block) :].sum())
    return float(np.log(total / (len(u) * (len(u) - 1) / 2)))


def isotropy_report(vectors: np.ndarray, *, seed: int = 0) -> dict[str, float]:
    """The scores of this file on one set of vectors, for a before / after table.

    Args:
        vectors: ``(n, d)``.
        seed: Of the random pairs.

    Returns:
        ``mean_norm, mean_cosine, isotropy_score`` (of rows normalised to length 1, so that
        encoders compare), ``isoscore, uniformity`` and ``top_variance`` (share of the first
        principal direction).

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
        raise ValueError(f"vectors: expected at least 2 rows, got shape {x.shape}")
    return x


def _unit(x: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    if (norms == 0.0).any():
        raise ValueError(f"vectors: expected no row of zeros, got {(norms == 0.0).sum()}")
    return x / norms


def _variances(x: np.ndarray) -> np.ndarray:
    """Squares of the singular spectrum, ``(d,)``, from the d x d products: 40 times as fast."""
    x = x - x.mean(axis=0)
    return np.maximum(np.linalg.eigvalsh(x.T @ x)[::-1], 0.0)


def _log_sum_exp(columns: np.ndarray) -> np.ndarray:
    top = columns.max(axis=0)
    return top + np.log(np.exp(columns - top).sum(axis=0))
