"""Tests of `batching`: all sentences are packed exactly once, in at most twelve shapes."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowjax.encoder.batching import LENGTH, SHORT, batches, lengths_upto, row_counts, slots

MAX_LENGTHS = [1, 3, 8, 9, 63, 64, 65, 100, 128, 256, 300, 384, 512, 514, 2000, 8192]


def shapes(batch_size, max_length, multiple):
    """Returns all shapes `(rows, length)` that `batches` may yield."""
    lengths = lengths_upto(max_length)
    found = [(n, m) for m in lengths for n in row_counts(batch_size, m, multiple, lengths)]
    return [*found, (multiple, SHORT)]


@given(
    st.lists(st.integers(0, 512), max_size=60),
    st.sampled_from([1, 3, 32, 64, 1000]),
    st.sampled_from([3, 8, 20, 64, 128, 512, 514, 2000]),
    st.sampled_from([1, 2, 8]),
)
@example([], 4, 64, 1)
@example([0, 0], 4, 64, 1)
@example([64] * 9, 4, 64, 1)
@example([3] * 60, 4, 64, 1)
def test_every_sentence_is_packed_once_at_the_right_place(sizes, batch_size, max_length, multiple):
    random = np.random.default_rng(0)
    tokens = [random.integers(0, 99, min(size, max_length)).tolist() for size in sizes]
    allowed = shapes(batch_size, max_length, multiple)
    seen = []
    for batch in batches(tokens, batch_size, max_length, multiple):
        assert batch.ids.shape == batch.mask.shape == batch.positions.shape
        assert batch.ids.shape in allowed
        assert batch.ids.dtype == batch.mask.dtype == batch.positions.dtype == np.int32
        assert (batch.slot < slots(batch.ids.shape[1])).all()
        assert not batch.ids[batch.mask == 0].any()
        assert not batch.positions[batch.mask == 0].any()
        for i, row, slot in zip(batch.sentences, batch.row, batch.slot):
            mine = batch.mask[row] == slot + 1
            assert batch.ids[row, mine].tolist() == tokens[i]
            assert batch.positions[row, mine].tolist() == list(range(len(tokens[i])))
        assert (batch.mask > 0).sum() == sum(len(tokens[i]) for i in batch.sentences)
        seen += batch.sentences.tolist()
    assert sorted(seen) == list(range(len(tokens)))


@pytest.mark.parametrize("max_length", MAX_LENGTHS)
@pytest.mark.parametrize("batch_size", [1, 7, 64, 1024])
@pytest.mark.parametrize("multiple", [1, 8])
def test_at_most_twelve_shapes(max_length, batch_size, multiple):
    allowed = shapes(batch_size, max_length, multiple)
    assert len(set(allowed)) == len(allowed) <= 12
    assert all(rows % multiple == 0 for rows, _ in allowed)
    lengths = lengths_upto(max_length)
    assert list(lengths) == sorted(set(lengths), reverse=True)
    assert lengths[0] >= max(max_length, LENGTH)


@pytest.mark.parametrize(
    ("count", "max_length", "least"),
    [(100, 64, 0.9), (500, 64, 0.95), (2000, 64, 0.95), (2000, 128, 0.95), (2000, 512, 0.95)],
)
def test_padding_is_a_small_fraction(count, max_length, least):
    """Lengths are distributed as in STS-B (mean 15, at most 64), or scaled to `max_length`."""
    random = np.random.default_rng(0)
    sizes = np.clip(random.gamma(4, 3.7 * max_length / 64, count), 3, max_length).astype(int)
    found = list(batches([[1] * n for n in sizes], batch_size=64, max_length=max_length))
    assert sizes.sum() / sum(batch.ids.size for batch in found) > least
    lengths = [batch.ids.shape[1] for batch in found]
    assert lengths == sorted(lengths, reverse=True)


def test_one_short_sentence_is_not_padded_to_a_row():
    (batch,) = batches([[1] * 9], batch_size=64, max_length=64)
    assert batch.ids.shape == (1, 32)
