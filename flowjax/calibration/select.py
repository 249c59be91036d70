"""Choice of a transformation by related pairs of held-out texts, without labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from flowjax.calibration.pairs import Pairs, dropped_words, halves
from flowjax.errors import FlowjaxError
from flowjax.evaluation.retrieval import LEAST_PAIRS, bootstrap_difference, per_pair

# The criterion of the selection. benchmarks/recipes.md has the study that chose it.
KINDS = ("dropped_words",)
# Fraction of the words of a sentence that are dropped.
RATE = 0.7
MEASURES = ("mrr",)
POWERS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
FLOW_POWERS = (0.0, *POWERS)
# Largest number of pairs of a kind; the cost of the measures grows with its square.
MOST_PAIRS = 1000
# Fewest distinct sentences from which a transformation is selected.
LEAST_SENTENCES = 200
# A transformation replaces the plain vectors if the lower end of the interval of its difference
# exceeds this.
MARGIN = 0.0
PLAIN = "plain"
# Folds of the cross-validation of the gain.
FOLDS = 5

# Vectors of the two texts of each pair, shape (n, k) each.
PairVectors = tuple[np.ndarray, np.ndarray]


class Selection(NamedTuple):
    """Result of a selection.

    Attributes:
        name: name of the chosen candidate.
        measure: name of the score that was maximised.
        best: name of the candidate with the highest score, which is not chosen if its interval
            includes the margin.
        difference: score of the selected vectors minus the score of plain vectors, on pairs that
            did not take part in the selection (cross-validation over `FOLDS` parts of the pairs).
        low: lower end of the paired 95 % bootstrap interval of the difference.
        high: upper end of the interval.
        table: for each candidate its score, the difference from plain vectors with its interval
            (`low` and `high`, not cross-validated), and its measures.
        pairs: number of pairs of each kind.
    """

    name: str
    measure: str
    best: str
    difference: float
    low: float
    high: float
    table: dict[str, dict[str, float]]
    pairs: dict[str, int]

    def facts(self) -> dict[str, Any]:
        """Returns the selection as JSON values, for the model card and the reports."""
        return {**self._asdict(), "advice": advice(self)}


def select(
    candidates: Iterable[tuple[str, Mapping[str, PairVectors]]], *, seed: int = 0
) -> Selection:
    """Returns the candidate with the best measure on related pairs of held-out texts.

    The score of a candidate is the mean of `MEASURES` over all pairs. Plain vectors are kept
    unless the paired bootstrap interval of the gain over them excludes the margin. The gain is
    cross-validated, because the best of many candidates looks better than it is on the pairs that
    selected it.

    Args:
        candidates: names of the candidates and the vectors of the pairs of each kind. The first
            candidate is "plain". All candidates have the same pairs.
        seed: integer seed of the bootstrap.

    Returns:
        The `Selection`.

    Raises:
        FlowjaxError: The first candidate is not plain, or no kind has enough pairs.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> left, scale = rng.normal(size=(200, 4)), np.array([1.0, 1, 1, 50])
        >>> right = left + 0.3 * rng.normal(size=(200, 4))
        >>> noise = 5 * rng.normal(size=(2, 200, 1)) * [0, 0, 0, 1]
        >>> pairs = {"halves": (left + noise[0], right + noise[1])}
        >>> better = {"halves": (left, right)}
        >>> found = select([("plain", pairs), ("glow^0.5", better)])
        >>> found.name, found.low > 0
        ('glow^0.5', True)
    """
    parts: dict[str, dict[str, np.ndarray]] = {}
    counts: dict[str, int] = {}
    for name, pairs in candidates:
        used = {kind: both for kind, both in pairs.items() if len(both[0]) >= LEAST_PAIRS}
        if not used:
            raise FlowjaxError(f"pairs: expected at least {LEAST_PAIRS}, got fewer")
        found = [per_pair(*both) for both in used.values()]
        parts[name] = {m: np.concatenate([one[m] for one in found]) for m in found[0]}
        counts = {kind: len(both[0]) for kind, both in used.items()}
    if next(iter(parts)) != PLAIN:
        raise FlowjaxError(f"candidates: expected {PLAIN} first, got {next(iter(parts))}")
    scores = {name: np.mean([part[m] for m in MEASURES], axis=0) for name, part in parts.items()}
    best = max(scores, key=lambda name: scores[name].mean())
    difference, low, high = bootstrap_difference(_unseen(scores, counts), scores[PLAIN], seed)
    table = {}
    for name, part in parts.items():
        gain = bootstrap_difference(scores[name], scores[PLAIN], seed)
        table[name] = {"score": float(scores[name].mean())}
        table[name] |= dict(zip(("difference", "low", "high"), gain, strict=True))
        table[name] |= {measure: float(values.mean()) for measure, values in part.items()}
    chosen = best if low > MARGIN else PLAIN
    measure = " and ".join(MEASURES)
    return Selection(chosen, measure, best, difference, low, high, table, counts)


def _unseen(scores: Mapping[str, np.ndarray], counts: Mapping[str, int]) -> np.ndarray:
    """Returns the score of each pair under the candidate that the other folds select."""
    folds = np.concatenate([np.arange(count) % FOLDS for count in counts.values()])
    stacked = np.stack(list(scores.values()))
    found = np.empty(len(folds))
    for fold in range(FOLDS):
        inside = folds == fold
        found[inside] = stacked[stacked[:, ~inside].mean(axis=1).argmax(), inside]
    return found


def pairs_of(sentences: Sequence[str], seed: int) -> list[Pairs]:
    """Returns the related pairs of each kind, at most `MOST_PAIRS` of a kind.

    Args:
        sentences: held-out sentences.
        seed: integer seed of the dropped words.

    Returns:
        The kinds with at least `LEAST_PAIRS` pairs.
    """
    makers: dict[str, Callable[[], Pairs]] = {
        "halves": lambda: halves(sentences),
        "dropped_words": lambda: dropped_words(sentences, seed, RATE),
    }
    found = [makers[kind]() for kind in KINDS]
    return [
        Pairs(kind, left[:MOST_PAIRS], right[:MOST_PAIRS])
        for kind, left, right in found
        if len(left) >= LEAST_PAIRS
    ]


def label(name: str) -> str:
    """Returns the name of a candidate for a sentence.

    Example:
        >>> label("glow^0.5"), label("plain")
        ('glow with power 0.5', 'plain vectors')
    """
    family, _, power = name.partition("^")
    if power:
        return f"{family} with power {power}"
    return f"{name} vectors" if name in ("plain", "centred", "standardized") else name


def advice(found: Selection) -> str:
    """Returns one sentence with the choice and its advantage over plain vectors."""
    plain, best = found.table[PLAIN]["score"], found.table[found.best]["score"]
    interval = f"95 % interval {found.low:+.1f} to {found.high:+.1f}"
    score = f"retrieval score ({found.measure}) {best:.1f} against {plain:.1f} for plain vectors"
    gain = f"{found.difference:+.1f} on pairs that did not select it, {interval}"
    if found.name != PLAIN:
        return f"{label(found.name)}: {score} ({gain})"
    if found.best == PLAIN:
        return "keep the plain vectors: no transformation has a higher retrieval score"
    return f"keep the plain vectors: {label(found.best)} has a {score} ({gain})"
