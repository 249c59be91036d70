"""The shuffle is a pure function and a random-looking permutation of every epoch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjax.data.shuffle import batch_rows, shuffled


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_bijection_of_every_small_n(seed):
    for n in range(1, 301):
        rows = shuffled(np.arange(n), n, seed=seed, epoch=n % 3)
        assert rows.dtype == np.int64
        assert np.array_equal(np.sort(rows), np.arange(n)), n


@given(st.integers(1, 2**50), st.integers(0, 2**63), st.integers(0, 1000), st.data())
def test_large_n_by_samples(n, seed, epoch, data):
    positions = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=50, unique=True))
    rows = shuffled(np.array(positions), n, seed=seed, epoch=epoch)
    assert len(set(rows.tolist())) == len(positions)
    assert rows.min() >= 0 and rows.max() < n
    again = shuffled(np.array(positions[::-1]), n, seed=seed, epoch=epoch)
    assert np.array_equal(rows, again[::-1])


@pytest.mark.parametrize("n", [4096, 4097, 100_003])
def test_bijection_around_powers_of_four(n):
    assert np.array_equal(np.sort(shuffled(np.arange(n), n, seed=3)), np.arange(n))


def test_any_shape():
    flat = shuffled(np.arange(12), 50, seed=0)
    assert np.array_equal(shuffled(np.arange(12).reshape(3, 4), 50, seed=0), flat.reshape(3, 4))
    assert shuffled(np.int64(5), 50, seed=0) == flat[5]
    assert shuffled(np.zeros(0, int), 50, seed=0).shape == (0,)


def test_orders_of_epochs_and_seeds_differ():
    orders = [shuffled(np.arange(100), 100, seed=s, epoch=e) for s in range(5) for e in range(5)]
    assert len({tuple(o) for o in orders}) == 25


def test_order_looks_random():
    """Neighbours are uncorrelated, and every row is equally likely at every position."""
    n = 1000
    order = shuffled(np.arange(n), n, seed=1)
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.1
    assert abs(np.corrcoef(np.arange(n), order)[0, 1]) < 0.1
    firsts = [int(shuffled(np.array([0]), 10, seed=s)[0]) for s in range(2000)]
    counts = np.bincount(firsts, minlength=10)
    assert ((counts - 200.0) ** 2 / 200).sum() < 27.9  # chi squared, 9 degrees, p = 0.001


@given(st.integers(1, 60), st.integers(1, 80), st.integers(0, 99))
def test_batches_cover_each_epoch_once(n, batch_size, seed):
    steps = -(-3 * n // batch_size)
    rows = np.concatenate([batch_rows(k, batch_size, n, seed=seed) for k in range(steps)])
    for epoch in range(3):
        assert sorted(rows[epoch * n : (epoch + 1) * n]) == list(range(n))


@given(st.integers(0, 10**9), st.integers(1, 64), st.integers(1, 10**9))
def test_batches_are_a_pure_function(step, batch_size, n):
    batch = batch_rows(step, batch_size, n, seed=7)
    assert batch.shape == (batch_size,)
    assert np.array_equal(batch, batch_rows(step, batch_size, n, seed=7))


def test_bad_arguments():
    with pytest.raises(ValueError, match="n: expected at least 1 row"):
        shuffled(np.arange(1), 0, seed=0)
    with pytest.raises(ValueError, match="positions: expected 0 to 4, got 0 to 5"):
        shuffled(np.arange(6), 5, seed=0)
    with pytest.raises(ValueError, match="positions"):
        shuffled(np.array([-1]), 5, seed=0)
