"""Recommendation of a check: which vectors to use, and how much better they are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from flowjax.calibration.criterion import MARGIN, accepted, measure_of
from flowjax.calibration.select import PLAIN, label

# Partner that the retrieval looks for, by kind of pairs.
PARTNERS = {
    "neighbours": "the neighbouring sentence",
    "halves": "the other half of the sentence",
    "dropped_words": "the sentence with dropped words",
    "pairs": "the partner",
}
_NAMES = {"mrr": "mean reciprocal rank", "auc": "AUC"}
# Smallest gain of a recommended calibration, in percent of the odds.
LEAST_GAIN = 100 * math.expm1(MARGIN)


class Verdict(NamedTuple):
    """Recommendation of a check.

    Attributes:
        recommended: name of the recommended vectors; None without pairs.
        best: name of the calibration with the best score on the pairs that choose; without pairs,
            of the most isotropic one.
        difference: gain of the odds of its score over plain vectors on the other pairs, in
            percent, or None.
        low: lower end of the paired 95 % bootstrap interval of the difference.
        high: upper end of the interval.
        pairs: number of pairs of each kind on which the difference was measured.
        advice: one sentence.
    """

    recommended: str | None
    best: str
    difference: float | None
    low: float | None
    high: float | None
    pairs: dict[str, int]
    advice: str

    def __str__(self) -> str:
        return self.advice


def verdict(rows: Sequence[Mapping[str, Any]], pairs: Mapping[str, int]) -> Verdict:
    """Returns the recommendation from the measures of the candidates.

    The calibration with the best score on the pairs that choose is recommended if its gain on the
    other pairs is accepted, see `criterion.accepted`; otherwise plain vectors.

    Args:
        rows: measures of the candidates, see `Measured.rows`, plain vectors first.
        pairs: number of pairs of each kind; empty if nothing could be retrieved.

    Example:
        >>> plain = {"vectors": "plain", "score": 47.0}
        >>> one = {"vectors": "whitening^0.5", "score": 55.0, "choose": 55.0,
        ...        "difference": 37.5, "low": 25.1, "high": 49.9}
        >>> verdict([plain, one], {"neighbours": 400}).recommended
        'whitening^0.5'
        >>> verdict([plain, one | {"low": -0.1}], {"neighbours": 400}).recommended
        'plain'
    """
    if not pairs:
        name = max(rows[1:], key=lambda row: row["isoscore"])["vectors"]
        return Verdict(None, name, None, None, None, {}, _without_pairs(rows))
    plain = rows[0]
    best = max(rows[1:], key=lambda row: row["choose"])
    name, difference, low, high = (best[key] for key in ("vectors", "difference", "low", "high"))
    partner = " or ".join(PARTNERS[kind] for kind in pairs)
    scores = f"{score_text(pairs)} {best['score']:z.1f} against {plain['score']:z.1f}"
    numbers = (
        f"{scores}; odds {difference:+z.1f} %, 95 % interval {low:+z.1f} to {high:+z.1f} %, "
        f"{sum(pairs.values()):,} pairs"
    )
    if accepted(difference, low):
        text = f"Use {label(name)}: it finds {partner} better than plain vectors do ({numbers})."
        return Verdict(name, name, difference, low, high, dict(pairs), text)
    change = "worse than" if high < 0 else "not reliably better than"
    if low > 0:
        change = f"better by less than {LEAST_GAIN:.0f} % in the odds than"
    text = (
        f"Keep the plain vectors: {label(name)}, the best calibration on separate pairs, finds "
        f"{partner} {change} plain vectors do ({numbers})."
    )
    return Verdict(PLAIN, name, difference, low, high, dict(pairs), text)


def score_text(kinds: Iterable[str]) -> str:
    """Returns the name of the score for the kinds of pairs.

    Example:
        >>> score_text(["neighbours"]), score_text(["dropped_words", "halves"])
        ('AUC', 'mean reciprocal rank and AUC')
    """
    return " and ".join(dict.fromkeys(_NAMES[measure_of(kind)] for kind in kinds))


def _without_pairs(rows: Sequence[Mapping[str, Any]]) -> str:
    plain, *others = rows
    densest = max(others, key=lambda row: row["log_prob_per_dim"])
    return (
        "No recommendation, because there are no related pairs to retrieve (give text, or declare "
        f"neighbours or pairs): the cosine of random pairs is {plain['random_mean']:z.2f} on "
        f"average for plain vectors, {others[0]['random_mean']:z.2f} for centred vectors; "
        f"the highest held-out log-likelihood per dimension is {densest['log_prob_per_dim']:z.2f} "
        f"({densest['vectors'].partition('^')[0]}; plain {plain['log_prob_per_dim']:z.2f})."
    )
