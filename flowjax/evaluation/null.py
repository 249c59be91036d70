"""Null distribution of cosines: cosine similarities of random pairs of sentences.

It gives a cosine a meaning: the fraction of random pairs that are more similar.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from flowjax.errors import FlowjaxError, check_integer, check_number
from flowjax.evaluation.correlation import check_vectors

LEAST_SENTENCES = 30
"""Smallest number of distinct sentences from which a null distribution is computed."""

_PAIRS = 1_000_000  # random pairs of a sample; all pairs of a smaller sample
_TAIL = 2e-4  # probability of each tail of a large sample
_TAIL_PAIRS = 200  # pairs from which a tail is estimated, if 5 % of the pairs are as many
_BODY = 500  # quantiles at equal steps of the probability
_STEPS = 80  # quantiles between 1 % and a tail, at equal ratios of the probability
_EQUAL = 1e-6  # two sentences with 1 - cosine below it are taken as identical
_MOST_SHAPE = 0.5


class Null(NamedTuple):
    """Null distribution of cosines: quantiles, with a generalised Pareto tail on both sides.

    The tails are distributions of `arctanh(cosine)`, which has no upper bound. Their shape is at
    least 0 (an exponential tail). A uniform distribution on [-1, 1] is mixed in with the weight
    1 / `pairs`, the resolution of the sample. Thus the probabilities are strictly increasing.

    Attributes:
        levels: probabilities of the quantiles, shape (k,), increasing.
        quantiles: cosines, shape (k,), strictly increasing. The first and the last cosine are the
            joints with the tails.
        lower: scale and shape of the lower tail, shape (2,).
        upper: scale and shape of the upper tail, shape (2,).
        moments: mean and standard deviation of the cosines, shape (2,).
        counts: numbers of pairs and of distinct sentences of the sample, shape (2,).

    References:
        Pickands, "Statistical inference using extreme order statistics", 1975; the estimator of
        the tails: Hosking and Wallis, "Parameter and quantile estimation for the generalized
        Pareto distribution", 1987.

    Example:
        >>> null = null_of(np.random.default_rng(0).normal(size=(500, 64)))
        >>> null.percentile(np.array([-0.2, 0.0, 0.2, 0.9])).round(2).tolist()
        [0.06, 0.5, 0.94, 1.0]
        >>> round(null.threshold(0.01), 2)
        0.29
    """

    levels: np.ndarray
    quantiles: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    moments: np.ndarray
    counts: np.ndarray

    @property
    def pairs(self) -> int:
        """Number of random pairs of the sample."""
        return int(self.counts[0])

    @property
    def sentences(self) -> int:
        """Number of distinct sentences of the sample."""
        return int(self.counts[1])

    @property
    def effective_dim(self) -> float:
        """Dimension of the isotropic Gaussian whose cosines have the same standard deviation."""
        return float(1 / self.moments[1] ** 2)

    def percentile(self, cosines: np.ndarray) -> np.ndarray:
        """Returns the fraction of random pairs with a smaller cosine, in [0, 1], float64."""
        return self._mixed(cosines, upper=False)

    def false_positive_rate(self, cosines: np.ndarray) -> np.ndarray:
        """Returns the fraction of random pairs with a larger cosine: 1 - percentile.

        Small rates have the full relative precision, which `1 - percentile` has not.
        """
        return self._mixed(cosines, upper=True)

    def threshold(self, false_positive_rate: float) -> float:
        """Returns the cosine that a fraction `false_positive_rate` of random pairs exceeds.

        Args:
            false_positive_rate: fraction of random pairs, between 0 and 1, both excluded. Below
                about 1 / `pairs`, no pair of the sample supports the result, and it is cautious:
                the true rate tends to be smaller.

        Raises:
            FlowjaxError: `false_positive_rate` is not a number between 0 and 1.
        """
        rate = check_number("false_positive_rate", false_positive_rate, above=0, below=1)
        low, high = -1.0, 1.0
        while (middle := 0.5 * (low + high)) not in (low, high):
            above = self.false_positive_rate(np.array(middle)) > rate
            low, high = (middle, high) if above else (low, middle)
        return high

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns the content as arrays, which `from_arrays` reads."""
        return {name: np.asarray(value, np.float64) for name, value in self._asdict().items()}

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray], name: str = "null") -> Null:
        """Returns the null distribution with the given arrays.

        Args:
            arrays: result of `arrays`.
            name: name of the arrays in error messages, such as their file.

        Raises:
            FlowjaxError: An array is missing, has another shape or is not finite, or the quantiles
                do not increase.
        """
        found = {}
        for key in Null._fields:
            value = np.asarray(arrays.get(key, np.nan), np.float64)
            expected = f"at least 2 finite numbers {key} (n,)"
            if value.ndim != 1 or len(value) < 2 or not np.isfinite(value).all():
                raise FlowjaxError(f"{name}: expected {expected}, got {value.tolist()!r:.60}")
            found[key] = value
        null = Null(**found)
        for key in ("levels", "quantiles"):
            if not (np.diff(found[key]) > 0).all() or len(found[key]) != len(null.levels):
                raise FlowjaxError(f"{name}: expected increasing {key}, got other numbers")
        return null

    def _mixed(self, cosines: np.ndarray, *, upper: bool) -> np.ndarray:
        """Returns the probability below cosines, or above them if `upper`."""
        given = np.asarray(cosines, np.float64)
        c = np.clip(given.ravel(), -1, 1)
        weight = 1 / self.pairs
        levels = 1 - self.levels if upper else self.levels
        model = np.interp(c, self.quantiles, levels)
        first, last = self.quantiles[0], self.quantiles[-1]
        below, above = c < first, c > last
        low = self.levels[0] * _survival(_excess(-c[below], -first), *self.lower)
        high = (1 - self.levels[-1]) * _survival(_excess(c[above], last), *self.upper)
        model[below], model[above] = (1 - low, high) if upper else (low, 1 - high)
        even = 0.5 * (1 - c if upper else 1 + c)
        mixed: np.ndarray = ((1 - weight) * model + weight * even).reshape(given.shape)
        return mixed


def null_of(
    vectors: np.ndarray,
    *,
    folds: np.ndarray | None = None,
    plain: np.ndarray | None = None,
    seed: int = 0,
) -> Null:
    """Returns the null distribution of the cosines of vectors.

    Pairs of identical sentences are excluded: pairs whose plain vectors are equal up to rounding.

    Args:
        vectors: vectors of sentences, shape (n, d).
        folds: number of the fold of each vector, shape (n,); pairs are formed inside of the folds
            only. The vectors of a fold can then be of a model that was fitted on the other folds.
        plain: vectors of the encoder, shape (n, D), by which identical sentences are found; None
            means `vectors`.
        seed: integer seed of the random pairs.

    Raises:
        FlowjaxError: There are fewer than `LEAST_SENTENCES` distinct sentences, their cosines are
            all equal, or a number is not finite.
    """
    cosines, sentences = random_pairs(vectors, folds=folds, plain=plain, seed=seed)
    if sentences < LEAST_SENTENCES:
        raise FlowjaxError(
            f"null distribution: expected at least {LEAST_SENTENCES} distinct sentences, got "
            f"{sentences}"
        )
    return fit_null(cosines, sentences)


def fit_null(cosines: np.ndarray, sentences: int) -> Null:
    """Returns the null distribution with the quantiles and the tails of a sample of cosines.

    Args:
        cosines: cosines of random pairs, shape (n,), n at least 100.
        sentences: number of sentences of the pairs.

    Raises:
        FlowjaxError: There are fewer than 100 cosines, or they are all equal.
    """
    c = np.sort(np.clip(np.asarray(cosines, np.float64), -1, 1))
    n = check_integer("cosines", len(c), least=100)
    tail = min(0.05, max(_TAIL, _TAIL_PAIRS / n))
    steps = np.geomspace(tail, 0.01, _STEPS) if tail < 0.01 else np.array([tail])
    body = np.arange(1, _BODY) / _BODY
    body = body[(body > steps[-1]) & (body < 1 - steps[-1])]
    levels = np.concatenate([steps, body, 1 - steps[::-1]])
    quantiles = np.quantile(c, levels)
    # Equal quantiles, of a discrete distribution, keep their mean level.
    quantiles, place, size = np.unique(quantiles, return_inverse=True, return_counts=True)
    if len(quantiles) < 2 or quantiles[-1] - quantiles[0] < 1e-9:
        raise FlowjaxError("null distribution: expected cosines that differ, got equal ones")
    levels = np.bincount(place.ravel(), levels) / size
    lower = _tail_of(_excess(-c[c < quantiles[0]], -quantiles[0]))
    upper = _tail_of(_excess(c[c > quantiles[-1]], quantiles[-1]))
    moments = np.array([c.mean(), c.std()])
    return Null(levels, quantiles, lower, upper, moments, np.array([n, sentences], float))


def random_pairs(
    vectors: np.ndarray,
    *,
    folds: np.ndarray | None = None,
    plain: np.ndarray | None = None,
    seed: int = 0,
) -> tuple[np.ndarray, int]:
    """Returns the cosines of random pairs, shape (pairs,), and the number of distinct sentences.

    The vectors are divided at random into groups, and all pairs inside of a group are used, so
    every sentence is in equally many pairs. See `null_of` for the arguments.
    """
    vectors = check_vectors("vectors", vectors)
    original = vectors if plain is None else check_vectors("plain", plain)
    n = len(vectors)
    folds = np.zeros(n, int) if folds is None else np.asarray(folds)
    alive, original = _unit(vectors), _unit(original)
    rng = np.random.default_rng(seed)
    found, repeated = [], np.zeros(n, bool)
    group = max(2, -(-2 * _PAIRS // n) + 1)
    for fold in np.unique(folds):
        members = rng.permutation(np.flatnonzero(folds == fold))
        for rows in np.array_split(members, max(1, len(members) // group)):
            i, j = np.triu_indices(len(rows), 1)
            same = (original[rows] @ original[rows].T)[i, j] > 1 - _EQUAL
            repeated[rows[j[same]]] = True
            found.append((alive[rows] @ alive[rows].T)[i, j][~same])
    return np.concatenate(found), int(n - repeated.sum())


def isotropic_false_positive_rate(dim: float, cosines: np.ndarray) -> np.ndarray:
    """Returns the fraction of random pairs with a larger cosine in an isotropic Gaussian space.

    For two independent draws of N(0, I_d), `(1 + cosine) / 2` follows Beta((d - 1) / 2,
    (d - 1) / 2).

    Args:
        dim: dimension d, above 1; also a fraction, such as `Null.effective_dim`.
        cosines: cosines, any shape.

    Example:
        >>> isotropic_false_positive_rate(256, np.array([0.0, 0.1451])).round(3)
        array([0.5 , 0.01])
    """
    from scipy.special import betainc  # importing scipy takes time

    half = 0.5 * (check_number("dim", dim, above=1) - 1)
    tail: np.ndarray = betainc(half, half, 0.5 - 0.5 * np.clip(cosines, -1, 1))
    return tail


def isotropic_threshold(dim: float, false_positive_rate: float) -> float:
    """Returns the cosine that a fraction of random pairs exceeds in an isotropic Gaussian space.

    Args:
        dim: dimension of N(0, I_d), above 1; see `isotropic_false_positive_rate`.
        false_positive_rate: fraction of random pairs, between 0 and 1, both excluded.

    Example:
        >>> round(isotropic_threshold(256, 0.01), 4)
        0.1451
    """
    from scipy.special import betaincinv

    half = 0.5 * (check_number("dim", dim, above=1) - 1)
    rate = check_number("false_positive_rate", false_positive_rate, above=0, below=1)
    return float(1 - 2 * betaincinv(half, half, rate))


def isotropy_distance(null: Null, dim: float) -> dict[str, float]:
    """Returns the Kolmogorov-Smirnov distance of a null distribution from the isotropic Gaussian.

    Args:
        null: null distribution of cosines of vectors.
        dim: dimension of the vectors.

    Returns:
        `distance`: the largest difference of the two distribution functions, in [0, 1]; `exact`:
        the mean of the distance for as many pairs of an exact N(0, I_d). In that space, any two
        pairs of sentences have independent cosines, also if they share a sentence.

    Example:
        >>> found = isotropy_distance(null_of(np.random.default_rng(0).normal(size=(900, 9))), 9)
        >>> found["distance"] < 3 * found["exact"]
        True
    """
    exact = 1 - isotropic_false_positive_rate(dim, null.quantiles)
    distance = float(np.abs(exact - null.levels).max())
    return {"distance": distance, "exact": float(np.sqrt(np.pi / 2) * np.log(2) / null.pairs**0.5)}


def _unit(vectors: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    units: np.ndarray = vectors / np.maximum(norms, np.finfo(float).tiny)
    return units


def _excess(cosines: np.ndarray, joint: float) -> np.ndarray:
    """Returns the distance of cosines from a joint, on the scale of `arctanh`."""
    with np.errstate(divide="ignore"):
        gaps: np.ndarray = np.arctanh(np.minimum(cosines, 1)) - np.arctanh(min(joint, 1 - 1e-12))
        return gaps


def _survival(excess: np.ndarray, scale: float, shape: float) -> np.ndarray:
    """Returns the probability above an excess, under a generalised Pareto distribution."""
    if shape < 1e-9:
        return np.exp(-excess / scale)
    return (1 + shape * excess / scale) ** (-1 / shape)


def _tail_of(excess: np.ndarray) -> np.ndarray:
    """Returns scale and shape of a tail by probability-weighted moments, shape (2,)."""
    y = np.sort(excess[np.isfinite(excess)])
    if len(y) < 5 or not y.mean() > 0:
        return np.array([max(1e-3, float(y.mean()) if len(y) else 0.0), 0.0])
    weights = 1 - (np.arange(1, len(y) + 1) - 0.35) / len(y)
    mean, first = y.mean(), (weights * y).mean()
    shape = float(np.clip(2 - mean / max(mean - 2 * first, 1e-12), 0, _MOST_SHAPE))
    return np.array([mean * (1 - shape), shape])
