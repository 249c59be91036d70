"""Frequency table against a brute-force computation."""

import numpy as np
import pytest
import scipy.spatial.distance

from flowjax.evaluation import frequency_table


def test_table_by_brute_force(rng):
    x = rng.normal(size=(400, 6)) * np.linspace(0.5, 2, 400)[:, None]
    ranks = rng.permutation(400)
    bins, ks = [(0, 50), (50, 200), (200, 400)], (1, 3, 7)
    distance = scipy.spatial.distance.cdist(x, x)
    product = x @ x.T
    np.fill_diagonal(distance, np.inf)
    np.fill_diagonal(product, -np.inf)
    rows = frequency_table(x, ranks, bins=bins, neighbours=ks)
    for (low, high), row in zip(bins, rows, strict=True):
        inside = (ranks >= low) & (ranks < high)
        assert (row["low"], row["high"], row["words"]) == (low, high, high - low)
        assert row["norm"] == pytest.approx(np.linalg.norm(x[inside], axis=1).mean())
        for k in ks:
            l2 = np.sort(distance[inside], axis=1)[:, :k].mean()
            dot = np.sort(product[inside], axis=1)[:, ::-1][:, :k].mean()
            assert row[f"l2_{k}"] == pytest.approx(l2, abs=1e-7)
            assert row[f"dot_{k}"] == pytest.approx(dot, abs=1e-9)


def test_shape_of_the_papers_table(rng):
    # In BERT, rare words have longer and sparser embeddings: each column grows along the bins.
    x = rng.normal(size=(1500, 8)) * np.linspace(0.5, 2.0, 1500)[:, None]
    rows = frequency_table(x)
    assert [(r["low"], r["high"], r["words"]) for r in rows] == [
        (0, 100, 100),
        (100, 500, 400),
        (500, 5000, 1000),
        (5000, 10000, 0),
    ]
    assert rows[0]["norm"] < rows[1]["norm"] < rows[2]["norm"]
    assert rows[0]["l2_3"] < rows[0]["l2_5"] < rows[0]["l2_7"]
    assert rows[0]["dot_3"] > rows[0]["dot_7"]
    assert rows[3]["norm"] is None and rows[3]["l2_3"] is None


def test_equal_words_are_neighbours_at_distance_zero():
    x = np.repeat(np.eye(3), 2, axis=0)
    row = frequency_table(x, bins=[(0, 6)], neighbours=[1])[0]
    assert row["l2_1"] == 0.0
    assert row["dot_1"] == 1.0


def test_bad_arguments(rng):
    x = rng.normal(size=(5, 2))
    with pytest.raises(ValueError, match=r"ranks: expected shape \(5,\)"):
        frequency_table(x, np.arange(4))
    with pytest.raises(ValueError, match="neighbours: expected k from 1 to 4 for 5 words"):
        frequency_table(x, neighbours=[5])
