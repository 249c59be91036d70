"""Measures of similarities for pairs with the labels 0 and 1."""

import numpy as np
import pytest

from flowjax.errors import FlowjaxError
from flowjax.evaluation import Pairs, PairTask, evaluate_vectors, markdown_table, summarize_seeds
from flowjax.evaluation.binary import best_accuracy, is_binary


@pytest.mark.parametrize("n", [1, 2, 7, 60])
def test_the_best_accuracy_is_that_of_all_thresholds(rng, n):
    for _ in range(20):
        scores, labels = rng.integers(0, 6, n) / 7, rng.integers(0, 2, n)
        accuracy, threshold = best_accuracy(scores, labels)
        tried = [((scores >= t) == labels).mean() for t in [*scores, 2.0]]
        assert accuracy == max(tried) == ((scores >= threshold) == labels).mean()
        assert np.isfinite(threshold)


@pytest.mark.parametrize(
    ("scores", "labels"),
    [([], []), ([1.0], [1, 0]), ([np.nan, 1.0], [0, 1]), ([1.0, 2.0], [1, 2]), ([[1.0]], [[1]])],
)
def test_malformed_samples(scores, labels):
    with pytest.raises(FlowjaxError):
        best_accuracy(scores, labels)


def test_labels_get_auc_and_accuracy_next_to_the_correlations(rng):
    names = [str(i) for i in range(41)]
    vectors = rng.normal(size=(41, 5))

    def scores(gold):
        task = PairTask("mine", {"test": {"mine": Pairs(names[:40], names[1:], gold)}})
        return evaluate_vectors(task, names, vectors)["test"]

    gold = np.arange(40) % 2
    found = scores(gold)
    assert list(found) == ["pairs", "spearman", "pearson", "auc", "accuracy", "threshold"]
    # With two classes, Spearman and AUC order any two similarities alike.
    assert (found["spearman"] > 0) == (found["auc"] > 50) and found["accuracy"] >= 50
    for other in (gold + 1, gold * 0.5, np.arange(40)):
        assert list(scores(other)) == ["pairs", "spearman", "pearson"]
    assert is_binary(gold) and not is_binary(np.zeros(3))
    text = markdown_table({"mine": {"test": {"plain": found}}})
    cell = f"{found['spearman']:.2f} / {found['pearson']:.2f} / AUC {found['auc']:.2f} / accuracy "
    assert cell in text and "best for the same pairs" in text
    assert summarize_seeds([found, found])["accuracy"] == found["accuracy"]
