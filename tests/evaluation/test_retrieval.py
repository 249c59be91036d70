"""Retrieval measures: known values, invariances, bad input."""

import numpy as np
import pytest

from flowjax.errors import FlowjaxError
from flowjax.evaluation import retrieval
from flowjax.evaluation.retrieval import (
    bootstrap_difference,
    measures,
    per_pair,
    random_cosines,
    ranks,
)


def related(rng, n=600, d=16, noise=1.0):
    left = rng.normal(size=(n, d))
    return left, left + noise * rng.normal(size=(n, d))


def direct(left, right):
    """The definitions, with all n (n - 1) random pairs."""
    left, right = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (left, right))
    cosines = left @ right.T
    own = np.diag(cosines)
    above = cosines > own[:, None]
    rank = above.sum(1)
    random = cosines[~np.eye(len(left), dtype=bool)]
    auc = (own[:, None] > random).mean()
    names = ("recall@1", "recall@10", "mrr", "auc")
    values = (rank < 1).mean(), (rank < 10).mean(), (1 / (rank + 1)).mean(), auc
    return dict(zip(names, 100 * np.array(values)))


def test_definitions(rng):
    left, right = related(rng)
    assert measures(left, right) == pytest.approx(direct(left, right))
    means = {name: values.mean() for name, values in per_pair(left, right).items()}
    assert measures(left, right) == pytest.approx(means)


def test_the_auc_of_many_pairs_is_close_to_the_exact_value(rng, monkeypatch):
    left, right = related(rng)
    monkeypatch.setattr(retrieval, "_RANDOM", 30_000)
    assert measures(left, right)["auc"] == pytest.approx(direct(left, right)["auc"], abs=0.3)


def test_perfect_pairs_and_chance(rng):
    left, right = rng.normal(size=(2, 1000, 8))
    assert measures(left, 3.0 * left) == dict.fromkeys(retrieval.MEASURES, 100.0)
    found = measures(left, right)
    assert found["auc"] == pytest.approx(50, abs=3)
    assert found["recall@10"] == pytest.approx(1, abs=1)
    assert ranks(left, right).mean() == pytest.approx(499.5, abs=30)


@pytest.mark.parametrize("value", [0.0, 1.0, 1e-300, 1e300])
def test_equal_vectors_have_the_rank_of_chance(value):
    same = np.full((21, 3), value)
    assert ranks(same, same).tolist() == [10.0] * 21
    assert measures(same, same)["auc"] == 50.0


def test_a_tie_counts_as_half():
    left = np.eye(12)
    right = left.copy()
    right[1] = right[0]
    assert ranks(left, right)[:3].tolist() == [0.5, 5.5, 0.0]


def test_a_vector_of_zeros_is_similar_to_none(rng):
    left, right = related(rng, n=21, noise=0.01)
    left[3] = 0
    assert ranks(left, right)[3] == 10.0


def test_blocks_equal_one_pass(rng, monkeypatch):
    left, right = related(rng, n=101)
    whole = ranks(left, right)
    monkeypatch.setattr(retrieval, "_BLOCK", 7)
    np.testing.assert_array_equal(ranks(left, right), whole)


def test_rotation_and_scale_change_nothing(rng):
    left, right = related(rng)
    turn = np.linalg.qr(rng.normal(size=(16, 16)))[0] * 1e-3
    assert measures(left @ turn, right @ turn) == pytest.approx(measures(left, right))


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        (np.ones((9, 2)), np.ones((9, 2)), "left: expected at least 10 pairs, got 9"),
        (np.ones((10, 2)), np.ones((10, 3)), "right: expected shape"),
        (np.full((10, 2), np.nan), np.ones((10, 2)), "left: expected finite"),
        (np.ones((10, 2)), np.full((10, 2), np.inf), "right: expected finite"),
        (np.ones(10), np.ones(10), "left: expected shape"),
    ],
)
def test_bad_pairs(left, right, message):
    for function in (ranks, per_pair, measures):
        with pytest.raises(FlowjaxError, match=message):
            function(left, right)


def test_bootstrap_covers_the_true_difference(rng):
    covered = 0
    for seed in range(100):
        b = rng.normal(size=200)
        a = b + rng.normal(0.1, 1.0, size=200)
        difference, low, high = bootstrap_difference(a, b, seed)
        assert low < difference < high and difference == pytest.approx((a - b).mean())
        covered += low <= 0.1 <= high
    assert covered >= 88
    assert bootstrap_difference(a, b, 1) == bootstrap_difference(a, b, 1)
    for bad, message in ((b[1:], "expected shape"), (np.full(200, np.nan), "finite")):
        with pytest.raises(FlowjaxError, match=message):
            bootstrap_difference(bad, b, 0)


def test_random_cosines(rng):
    x = rng.normal(size=(50, 6)) + 1
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    exact = (unit @ unit.T)[~np.eye(50, dtype=bool)]
    found = random_cosines(x, 20_000, seed=1)
    assert found.mean() == pytest.approx(exact.mean(), abs=0.01)
    assert found.max() <= exact.max() + 1e-12  # no row meets itself
    np.testing.assert_array_equal(found, random_cosines(x, 20_000, seed=1))
    for vectors, count in ((x[:1], 5), (x, 0), (np.full((5, 2), np.nan), 5)):
        with pytest.raises(FlowjaxError):
            random_cosines(vectors, count)
