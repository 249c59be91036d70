"""Area under the ROC curve against counted pairs and against the integrated curve."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flowjax.evaluation import roc_auc, score_qnli

SCORED = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40)


def arrays(rows):
    assume(len({label for _, label in rows}) == 2)
    return np.array([s for s, _ in rows], float), np.array([b for _, b in rows], float)


@given(SCORED)
def test_auc_counts_pairs_and_half_of_ties(rows):
    scores, labels = arrays(rows)
    wins = [
        1.0 if p > n else 0.5 if p == n else 0.0
        for p in scores[labels == 1]
        for n in scores[labels == 0]
    ]
    assert roc_auc(scores, labels) == pytest.approx(np.mean(wins), abs=1e-12)


@given(SCORED)
def test_auc_is_the_area_of_the_curve(rows):
    scores, labels = arrays(rows)
    cuts = [np.inf, *sorted(set(scores), reverse=True)]
    true = [(scores[labels == 1] >= c).mean() for c in cuts]
    false = [(scores[labels == 0] >= c).mean() for c in cuts]
    assert roc_auc(scores, labels) == pytest.approx(np.trapezoid(true, false), abs=1e-12)


@given(SCORED)
def test_auc_symmetries(rows):
    scores, labels = arrays(rows)
    assert roc_auc(-scores, labels) == pytest.approx(1 - roc_auc(scores, labels), abs=1e-12)
    assert roc_auc(np.exp(scores), labels) == pytest.approx(roc_auc(scores, labels), abs=1e-12)


def test_score_qnli_and_bad_labels(rng):
    q, s = rng.normal(size=(2, 400, 6))
    labels = np.repeat([1.0, 0.0], 200)
    assert score_qnli(q, s, labels)["auc"] == pytest.approx(50.0, abs=8.0)
    assert score_qnli(q, np.where(labels[:, None] == 1, q, s), labels)["auc"] == 100.0
    with pytest.raises(ValueError, match=r"labels: expected both 0 and 1.* got \[1\.0\]"):
        roc_auc([1.0, 2.0], [1, 1])
    with pytest.raises(ValueError, match="scores: expected finite"):
        roc_auc([1.0, np.nan], [0, 1])
