"""Criterion of the selection: retrieval of related texts, without labels.

benchmarks/recipes.md has the study that chose the constants.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from flowjax.errors import FlowjaxError
from flowjax.evaluation.retrieval import per_pair

# Kinds of pairs. Copies with dropped words reward lexical detail; the two halves of a sentence
# have few words in common, so they measure whether the meaning is kept.
KINDS = ("dropped_words", "halves")
# Fraction of the words of a sentence that are dropped.
RATE = 0.7
MEASURE = "mrr"
# Powers of the closed forms and of the flow.
POWERS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
FLOW_POWERS = (0.0, *POWERS)
# Largest number of pairs of a kind; the cost of the measure grows with its square.
MOST_PAIRS = 1500
# Fewest distinct sentences from which a transformation is selected.
LEAST_SENTENCES = 200
# A transformation replaces the plain vectors if the lower end of the interval of its gain, in
# percent, exceeds this.
MARGIN = 0.0

_RESAMPLES = 2000

# Vectors of the two texts of each pair, shape (n, k) each.
PairVectors = tuple[np.ndarray, np.ndarray]
# Contributions of the pairs to the measure, shape (n,), by kind.
Contributions = Mapping[str, np.ndarray]


def contributions(pairs: Mapping[str, PairVectors]) -> dict[str, np.ndarray]:
    """Returns the contribution of each pair to the measure, in percent, by kind."""
    return {kind: per_pair(*both)[MEASURE] for kind, both in pairs.items()}


def score(parts: Contributions) -> float:
    """Returns the geometric mean over the kinds of the mean contributions.

    The measure of one kind can be ten times larger than that of another. The geometric mean counts
    relative changes of both alike.

    Example:
        >>> score({"dropped_words": np.array([80.0, 40.0]), "halves": np.array([10.0, 20.0])})
        30.000000000000004
    """
    return float(np.exp(np.mean([np.log(part.mean()) for part in parts.values()])))


def gains(
    candidates: Mapping[str, Contributions], plain: Contributions, seed: int = 0
) -> dict[str, tuple[float, float, float]]:
    """Returns the relative differences of scores, in percent, with their 95 % intervals.

    The intervals are those of a paired bootstrap over the pairs of each kind.

    Args:
        candidates: contributions of the pairs under each candidate, by name.
        plain: contributions of the same pairs under the plain vectors.
        seed: integer seed of the resampling.

    Returns:
        For each name `100 (score(candidate) / score(plain) - 1)`, and the 2.5 % and 97.5 %
        quantiles of 2,000 resamples.

    Raises:
        FlowjaxError: The kinds or the numbers of pairs differ.

    Example:
        >>> plain, one = {"halves": np.full(9, 20.0)}, {"halves": np.full(9, 22.0)}
        >>> [round(value, 6) for value in gains({"glow": one}, plain)["glow"]]
        [10.0, 10.0, 10.0]
    """
    sizes = {kind: len(part) for kind, part in plain.items()}
    for name, parts in candidates.items():
        if {kind: len(part) for kind, part in parts.items()} != sizes:
            raise FlowjaxError(f"{name}: expected the same pairs as plain, got others")
    rng = np.random.default_rng(seed)
    logs = np.zeros((_RESAMPLES, len(candidates)))
    for kind, size in sizes.items():
        stacked = np.stack([plain[kind], *(parts[kind] for parts in candidates.values())], axis=1)
        for i in range(_RESAMPLES):
            counts = np.bincount(rng.integers(0, size, size), minlength=size)
            means = np.log(counts @ stacked)
            logs[i] += means[1:] - means[0]
    low, high = 100 * np.expm1(np.quantile(logs / len(sizes), (0.025, 0.975), axis=0))
    exact = [100 * (score(parts) / score(plain) - 1) for parts in candidates.values()]
    return {name: (exact[i], float(low[i]), float(high[i])) for i, name in enumerate(candidates)}
