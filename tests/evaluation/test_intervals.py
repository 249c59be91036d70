"""Bootstrap of the scores of a task, and the reference of an exact Gaussian sample."""

import numpy as np
import pytest

from flowjax.errors import FlowjaxError
from flowjax.evaluation import Lookup, Pairs, PairTask, isotropy_report, spearman
from flowjax.evaluation.gaussian import gaussian_band, gaussian_report, relative_eigenvalues
from flowjax.evaluation.intervals import _auc, _spearman, clear_best, interval, resampled_scores
from flowjax.evaluation.qnli import roc_auc


@pytest.mark.parametrize("values", [30, 4])
def test_a_resampled_score_is_the_score_of_the_repeated_pairs(values):
    """With and without many ties; scipy's ranks of the repeated values are the reference."""
    rng = np.random.default_rng(values)
    x, y = rng.integers(0, values, (2, 40)).astype(float)
    labels = rng.integers(0, 2, 40).astype(float)
    counts = rng.multinomial(40, np.full(40, 1 / 40), size=5)
    rho, auc = _spearman(x, y, counts.astype(float)), _auc(x, labels, counts.astype(float))
    for i, row in enumerate(counts):
        a, b, c = (np.repeat(v, row) for v in (x, y, labels))
        assert rho[i] == pytest.approx(100 * spearman(a, b), abs=1e-9)
        assert auc[i] == pytest.approx(100 * roc_auc(a, c), abs=1e-9)


def task_of(n, *, subsets=1, metric="correlation", seed=0):
    rng = np.random.default_rng(seed)
    left, right = ([f"{side}{i}" for i in range(n)] for side in "ab")
    gold = rng.normal(size=n) if metric == "correlation" else rng.integers(0, 2, n).astype(float)
    cuts = np.array_split(np.arange(n), subsets)
    parts = {
        str(j): Pairs([left[i] for i in c], [right[i] for i in c], gold[c])
        for j, c in enumerate(cuts)
    }
    task = PairTask("t", {"test": parts}, metric=metric, grouped=subsets > 1)

    def lookup(noise):
        angle = np.arccos(np.tanh(gold + noise * rng.normal(size=n)) / 2)
        x = np.concatenate([np.eye(2)[[0] * n], np.stack([np.cos(angle), np.sin(angle)], 1)])
        return Lookup([*left, *right], x)

    return task, lookup


@pytest.mark.parametrize(
    ("subsets", "metric", "places"),
    [(1, "correlation", ["-"]), (3, "correlation", ["all", "mean", "wmean"]), (1, "auc", ["-"])],
)
def test_intervals_contain_the_score_and_have_the_width_of_its_error(subsets, metric, places):
    task, lookup = task_of(600, subsets=subsets, metric=metric)
    found = resampled_scores(task, {"a": lookup(1.0), "b": lookup(1.0)}, resamples=300)
    assert [place.aggregation for place in found] == places
    for kinds in found.values():
        low, high = interval(kinds["a"])
        assert 3 < high - low < 20
        assert interval(kinds["a"] - kinds["a"]) == (0.0, 0.0)  # paired


def test_the_interval_covers_the_true_correlation():
    """The nominal level is 95 %."""
    inside = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        x, y = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 150).T
        counts = np.stack(
            [np.bincount(rng.integers(0, 150, 150), minlength=150) for _ in range(200)]
        )
        low, high = interval(_spearman(x, y, counts.astype(float)))
        true = 100 * 6 / np.pi * np.arcsin(0.3)
        inside += low <= true <= high
    assert inside >= 52


def test_a_best_value_needs_a_difference_that_excludes_zero():
    task, lookup = task_of(500)
    lookups = {"plain": lookup(3.0), "same": lookup(0.5), "glow": lookup(0.5)}
    (kinds,) = resampled_scores(task, lookups, resamples=200).values()
    scores = {kind: float(values.mean()) for kind, values in kinds.items()}
    assert clear_best(kinds, scores) is None  # two are equally good
    two = {kind: kinds[kind] for kind in ("plain", "glow")}
    assert clear_best(two, {kind: scores[kind] for kind in two}) == "glow"
    assert clear_best({"plain": kinds["plain"]}, {"plain": 1.0}) is None


@pytest.mark.parametrize(("n", "d"), [(50, 8), (400, 30), (60, 100)])
def test_another_gaussian_sample_has_the_values_of_the_reference(n, d):
    x = 3.0 * np.random.default_rng(5).normal(size=(n, d))
    report, reference = isotropy_report(x), gaussian_report(n, d)
    assert reference.keys() == report.keys() - {"mean_norm"}
    assert reference["isoscore"] == pytest.approx(report["isoscore"], rel=0.05, abs=0.02)
    low, high = gaussian_band((n, d))
    values = relative_eigenvalues(x)
    k = min(n - 1, d)
    assert np.all((values > 0.7 * low)[:k] & (values < 1.4 * high)[:k])
    assert values.mean() == pytest.approx(1.0)


def test_errors_of_the_reference():
    with pytest.raises(FlowjaxError, match="n: expected an integer of at least 2, got 1"):
        gaussian_report(1, 5)
    with pytest.raises(FlowjaxError, match="x: expected different rows"):
        relative_eigenvalues(np.ones((3, 2)), "x")
