"""Criterion of the selection: retrieval of related texts, without labels.

benchmarks/recipes.md has the study that chose the constants.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from flowjax.errors import FlowjaxError
from flowjax.evaluation.retrieval import per_pair

# Kinds of pairs, and the measure of each kind. Copies with dropped words reward lexical detail.
# The halves of a sentence have few words in common and measure whether the meaning is kept.
KINDS = {"dropped_words": "mrr", "halves": "auc"}
# Weights of the kinds in the score; they are divided by their sum over the kinds that exist.
WEIGHTS = {"dropped_words": 0.7, "halves": 0.3}
# Measure and weight of other kinds, such as neighbouring sentences.
OTHER_MEASURE, OTHER_WEIGHT = "auc", 0.3
# Kind whose measure ranks the candidates: it selects the power. The score of all kinds decides
# whether the best candidate is accepted.
RANKS = "dropped_words"
# Fraction of the words of a sentence that are dropped.
RATE = 0.7
# Powers of the closed forms and of the flow.
POWERS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
FLOW_POWERS = (0.0, *POWERS)
# Largest number of pairs of a kind; the cost of the measure grows with its square.
MOST_PAIRS = 1500
# Fewest distinct sentences from which a transformation is selected.
LEAST_SENTENCES = 200
# Smallest gain in log-odds for which a transformation replaces the plain vectors. A sentence
# encoder trained with a contrastive loss has smaller gains, which labelled data do not confirm.
MARGIN = 0.2

_RESAMPLES = 2000
# Smallest distance of a measure from 0 and 1, so that its log-odds are finite.
_EDGE = 1e-6

# Vectors of the two texts of each pair, shape (n, k) each.
PairVectors = tuple[np.ndarray, np.ndarray]
# Contributions of the pairs to the measure, shape (n,), by kind.
Contributions = Mapping[str, np.ndarray]


def contributions(pairs: Mapping[str, PairVectors]) -> dict[str, np.ndarray]:
    """Returns the contribution of each pair to the measure of its kind, in percent, by kind."""
    return {kind: per_pair(*both)[measure_of(kind)] for kind, both in pairs.items()}


def measure_of(kind: str) -> str:
    """Returns the measure of a kind of pairs, a key of `per_pair`."""
    return KINDS.get(kind, OTHER_MEASURE)


def score(parts: Contributions) -> float:
    """Returns the weighted mean over the kinds of the log-odds of their measures, in percent.

    The log-odds of a measure v are log(v / (1 - v)). The measures of the kinds differ in size, and
    log-odds make their changes comparable.

    Args:
        parts: contributions of the pairs, in percent, by kind.

    Returns:
        The percentage with the mean log-odds.

    Example:
        >>> round(score({"neighbours": np.array([90.0, 70.0]), "halves": np.full(9, 20.0)}), 6)
        50.0
    """
    weights = _weights(parts)
    mean = sum(
        weight * float(_log_odds(np.array(parts[kind].mean()))) for kind, weight in weights.items()
    )
    return float(100 / (1 + np.exp(-mean)))


def preference(parts: Contributions) -> float:
    """Returns the value by which candidates are ranked: the measure of `RANKS`, in percent.

    Without pairs of this kind, it is the score.

    Example:
        >>> preference({"dropped_words": np.array([90.0, 70.0]), "halves": np.full(9, 20.0)})
        80.0
    """
    return float(parts[RANKS].mean()) if RANKS in parts else score(parts)


def accepted(difference: float, low: float) -> bool:
    """Returns True if a gain is large enough to replace the plain vectors.

    Args:
        difference: gain in percent of the odds, see `gains`.
        low: lower end of its interval.

    Example:
        >>> accepted(34.0, 28.0), accepted(9.0, 2.0), accepted(34.0, -1.0)
        (True, False, False)
    """
    return difference >= 100 * math.expm1(MARGIN) and low > 0


def gains(
    candidates: Mapping[str, Contributions], plain: Contributions, seed: int = 0
) -> dict[str, tuple[float, float, float]]:
    """Returns the gains of the odds of the scores, in percent, with their 95 % intervals.

    The intervals are those of a paired bootstrap over the pairs of each kind.

    Args:
        candidates: contributions of the pairs under each candidate, by name.
        plain: contributions of the same pairs under the plain vectors.
        seed: integer seed of the resampling.

    Returns:
        For each name `100 (exp(gain) - 1)`, where the gain is the difference of the mean log-odds
        of the candidate and of the plain vectors, and the 2.5 % and 97.5 % quantiles of 2,000
        resamples.

    Raises:
        FlowjaxError: The kinds or the numbers of pairs differ.

    Example:
        >>> plain, one = {"halves": np.full(9, 20.0)}, {"halves": np.full(9, 50.0)}
        >>> [round(value, 6) for value in gains({"glow": one}, plain)["glow"]]  # odds 1/4, 1
        [300.0, 300.0, 300.0]
    """
    sizes, weights = {kind: len(part) for kind, part in plain.items()}, _weights(plain)
    for name, parts in candidates.items():
        if {kind: len(part) for kind, part in parts.items()} != sizes:
            raise FlowjaxError(f"{name}: expected the same pairs as plain, got others")
    rng = np.random.default_rng(seed)
    changes = np.zeros((_RESAMPLES, len(candidates)))
    exact = np.zeros(len(candidates))
    for kind, size in sizes.items():
        stacked = np.stack([plain[kind], *(parts[kind] for parts in candidates.values())], axis=1)
        for i in range(_RESAMPLES):
            counts = np.bincount(rng.integers(0, size, size), minlength=size)
            changes[i] += weights[kind] * _changes(counts @ stacked / size)
        exact += weights[kind] * _changes(stacked.mean(axis=0))
    low, high = np.quantile(changes, (0.025, 0.975), axis=0)
    found = 100 * np.expm1(np.stack([exact, low, high], axis=1))
    return {
        name: (float(middle), float(least), float(most))
        for name, (middle, least, most) in zip(candidates, found, strict=True)
    }


def _weights(kinds: Iterable[str]) -> dict[str, float]:
    """Returns the weight of each kind; their sum is 1."""
    found = {kind: WEIGHTS.get(kind, OTHER_WEIGHT) for kind in kinds}
    return {kind: weight / sum(found.values()) for kind, weight in found.items()}


def _changes(percent: np.ndarray) -> np.ndarray:
    """Returns the log-odds of all values but the first, minus those of the first."""
    odds = _log_odds(percent)
    gains: np.ndarray = odds[1:] - odds[0]
    return gains


def _log_odds(percent: np.ndarray) -> np.ndarray:
    fraction = np.clip(np.asarray(percent) / 100, _EDGE, 1 - _EDGE)
    return np.log(fraction / (1 - fraction))
