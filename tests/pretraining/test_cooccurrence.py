"""Tests of co-occurrence counts and of their factorisation."""

import numpy as np
import pytest

from flowjax.pretraining.cooccurrence import cooccurrence, ppmi_embeddings


@pytest.mark.parametrize(("window", "length"), [(1, 6), (3, 6), (9, 4), (2, 1)])
def test_counts_equal_a_loop(window, length):
    rows = np.random.default_rng(0).integers(0, 7, (11, length))
    expected = np.zeros((7, 7))
    for row in rows:
        for i in range(length):
            for j in range(length):
                if 0 < abs(i - j) <= window:
                    expected[row[i], row[j]] += 1 / abs(i - j)
    counts = cooccurrence(rows, 7, window=window)
    np.testing.assert_allclose(counts, expected, rtol=1e-5)
    np.testing.assert_array_equal(counts, counts.T)


def test_words_of_one_topic_have_similar_embeddings():
    random = np.random.default_rng(0)
    # Two topics of ten words each (ids 5 to 14 and 15 to 24); id 25 never occurs.
    topic = random.integers(0, 2, (400, 1))
    rows = 5 + 10 * topic + random.integers(0, 10, (400, 12))
    table = ppmi_embeddings(cooccurrence(rows, 26), 4, std=0.02, seed=1)
    assert table.shape == (26, 4)
    assert table.dtype == np.float32
    assert np.isfinite(table).all()
    unit = table[5:25] / np.linalg.norm(table[5:25], axis=1, keepdims=True)
    cosine = unit @ unit.T
    same = np.kron(np.eye(2), np.ones((10, 10))) > 0
    assert cosine[same].mean() > 0.8
    assert cosine[~same].mean() < 0
    # All norms are std * sqrt(dim); rows of special and unseen tokens are noise of that size.
    np.testing.assert_allclose(np.linalg.norm(table[5:25], axis=1), 0.02 * 2, rtol=1e-3)
    assert 0.001 < np.abs(table[[0, 1, 2, 3, 4, 25]]).mean() < 0.05
    again = ppmi_embeddings(cooccurrence(rows, 26), 4, std=0.02, seed=1)
    np.testing.assert_array_equal(table, again)


def test_the_counts_are_not_changed():
    counts = cooccurrence(np.arange(40).reshape(4, 10) % 9, 9)
    before = counts.copy()
    ppmi_embeddings(counts, 2, std=0.02)
    np.testing.assert_array_equal(counts, before)
