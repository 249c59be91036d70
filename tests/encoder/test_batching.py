"""Every sentence once and in its place, in at most twelve shapes whatever comes in."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowjax.encoder.batching import LENGTHS, batches, lengths_upto


@given(
    st.lists(st.integers(0, 512), max_size=60),
    st.integers(1, 9),
    st.sampled_from([3, 8, 20, 64, 128, 512, 514, 2000]),
)
@example([], 4, 64)
@example([0, 0], 4, 64)
@example([64] * 9, 4, 64)
def test_every_sentence_once_and_at_the_right_place(sizes, rows, max_length):
    tokens = [[i + 1] * min(size, max_length) for i, size in enumerate(sizes)]
    seen = []
    for batch in batches(tokens, rows=rows, max_length=max_length, pad_id=-7):
        assert batch.ids.shape == batch.mask.shape == (rows, batch.ids.shape[1])
        assert batch.ids.dtype == batch.mask.dtype == np.int32
        assert batch.ids.shape[1] in lengths_upto(max_length)
        assert 0 < len(batch.where) <= rows
        for row, i in enumerate(batch.where):
            size = len(tokens[i])
            assert batch.ids[row, :size].tolist() == tokens[i]
            assert (batch.ids[row, size:] == -7).all()
            assert batch.mask[row].tolist() == [1] * size + [0] * (batch.mask.shape[1] - size)
        assert not batch.mask[len(batch.where) :].any()
        seen += batch.where.tolist()
    assert sorted(seen) == list(range(len(tokens)))


@pytest.mark.parametrize("max_length", [1, 3, 8, 9, 64, 100, 384, 385, 512, 513, 514, 8192])
def test_at_most_twelve_shapes(max_length):
    allowed = lengths_upto(max_length)
    assert len(allowed) <= 12
    assert list(allowed) == sorted(set(allowed))
    assert allowed[-1] == max_length
    tokens = [[1] * size for size in range(max_length + 1)]
    shapes = {batch.ids.shape for batch in batches(tokens, rows=2, max_length=max_length)}
    assert len(shapes) <= 12


def test_the_longest_come_first_and_padding_is_small():
    random = np.random.default_rng(0)
    tokens = [[1] * int(n) for n in np.clip(random.gamma(4, 4, 2000), 3, 64)]
    lengths = [batch.ids.shape[1] for batch in batches(tokens, rows=64, max_length=64)]
    assert lengths == sorted(lengths, reverse=True)
    share = sum(map(len, tokens)) / (64 * sum(lengths))
    assert share > 0.7
    assert LENGTHS[-1] == 512
