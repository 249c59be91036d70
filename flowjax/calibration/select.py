"""Choice of a transformation by related pairs of held-out texts, without labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from flowjax.calibration.criterion import (
    FLOW_POWERS,
    KINDS,
    LEAST_SENTENCES,
    MOST_PAIRS,
    POWERS,
    RATE,
    Contributions,
    PairVectors,
    accepted,
    contributions,
    gains,
    preference,
    score,
)
from flowjax.calibration.pairs import Pairs, dropped_words, halves
from flowjax.errors import FlowjaxError
from flowjax.evaluation.retrieval import LEAST_PAIRS

__all__ = [
    "FLOW_POWERS",
    "KINDS",
    "LEAST_SENTENCES",
    "PLAIN",
    "POWERS",
    "PairVectors",
    "Selection",
    "advice",
    "label",
    "pairs_of",
    "select",
]

PLAIN = "plain"
# Folds of the cross-validation of the gain.
FOLDS = 5


class Selection(NamedTuple):
    """Result of a selection.

    Attributes:
        name: name of the chosen candidate.
        best: name of the preferred candidate, which is not chosen if its gain is too small or
            uncertain.
        difference: gain in percent of the odds of the score of the selected vectors over those of
            plain vectors, on pairs that did not take part in the selection (cross-validation over
            `FOLDS` parts of the pairs).
        low: lower end of the paired 95 % bootstrap interval of the difference.
        high: upper end of the interval.
        table: for each candidate its score (in percent), its gain over plain vectors with the
            interval (`difference`, `low` and `high`, not cross-validated), and the measure of each
            kind of pairs.
        pairs: number of pairs of each kind.
    """

    name: str
    best: str
    difference: float
    low: float
    high: float
    table: dict[str, dict[str, float]]
    pairs: dict[str, int]

    def facts(self) -> dict[str, Any]:
        """Returns the selection as JSON values, for the model card and the reports."""
        return {"measures": dict(KINDS), **self._asdict(), "advice": advice(self)}


def select(
    candidates: Iterable[tuple[str, Mapping[str, PairVectors]]], *, seed: int = 0
) -> Selection:
    """Returns the candidate that finds related texts best, or plain vectors.

    The candidates are ranked by the retrieval of sentences from copies with dropped words, see
    `criterion.preference`. The best one replaces the plain vectors if its gain of the score of all
    kinds of pairs is at least the margin, with an interval above 0, see `criterion.accepted`. The
    gain is cross-validated, because the best of many candidates looks better than it is on the
    pairs that selected it.

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
        >>> left = rng.normal(size=(200, 4))
        >>> right = left + 0.3 * rng.normal(size=(200, 4))
        >>> noise = 5 * rng.normal(size=(2, 200, 1)) * [0, 0, 0, 1]
        >>> pairs = {"halves": (left + noise[0], right + noise[1])}
        >>> better = {"halves": (left, right)}
        >>> found = select([("plain", pairs), ("glow^0.5", better)])
        >>> found.name, found.low > 0
        ('glow^0.5', True)
    """
    parts: dict[str, dict[str, np.ndarray]] = {}
    for name, pairs in candidates:
        used = {kind: both for kind, both in pairs.items() if len(both[0]) >= LEAST_PAIRS}
        if not used:
            raise FlowjaxError(f"pairs: expected at least {LEAST_PAIRS}, got fewer")
        parts[name] = contributions(used)
    if next(iter(parts)) != PLAIN:
        raise FlowjaxError(f"candidates: expected {PLAIN} first, got {next(iter(parts))}")
    plain, best = parts[PLAIN], _best(parts)
    table = {}
    for name, (difference, low, high) in gains(parts, plain, seed).items():
        part = parts[name]
        table[name] = {"score": score(part), "difference": difference, "low": low, "high": high}
        table[name] |= {kind: float(values.mean()) for kind, values in part.items()}
    found = gains({best: _unseen(parts)}, plain, seed)[best]
    counts = {kind: len(part) for kind, part in plain.items()}
    chosen = best if accepted(*found[:2]) else PLAIN
    return Selection(chosen, best, *found, table, counts)


def _best(parts: Mapping[str, Contributions]) -> str:
    """Returns the name of the preferred candidate; the first one of equals."""
    return max(parts, key=lambda name: preference(parts[name]))


def _unseen(parts: Mapping[str, Contributions]) -> dict[str, np.ndarray]:
    """Returns the contribution of each pair under the candidate that the other folds select."""
    found = {kind: part.copy() for kind, part in parts[PLAIN].items()}
    for fold in range(FOLDS):
        others = {
            name: {
                kind: np.delete(values, slice(fold, None, FOLDS)) for kind, values in part.items()
            }
            for name, part in parts.items()
        }
        chosen = parts[_best(others)]
        for kind, values in found.items():
            values[fold::FOLDS] = chosen[kind][fold::FOLDS]
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
    plain, best = (found.table[name]["score"] for name in (PLAIN, found.best))
    gained = (
        f"{best:.1f} against {plain:.1f} % found; odds {found.difference:+.0f} % on pairs that "
        f"did not select it, 95 % interval {found.low:+.0f} to {found.high:+.0f} %"
    )
    if found.name != PLAIN:
        return f"{label(found.name)}: finds related texts better than plain vectors do ({gained})"
    if found.best == PLAIN:
        return "keep the plain vectors: no transformation finds related texts better"
    return (
        f"keep the plain vectors: {label(found.best)} does not find related texts reliably "
        f"better ({gained})"
    )
