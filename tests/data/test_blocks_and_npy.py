"""Blocks of sentences, and the header of a store's `.npy` file."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjax.data.blocks import Blocks
from flowjax.data.fingerprint import fingerprint
from flowjax.data.npy import HEADER_BYTES, npy_header
from flowjax.errors import FlowjaxError


@given(st.integers(0, 10**12), st.integers(0, 10**6))
def test_npy_header(rows, dim):
    raw = io.BytesIO(npy_header(rows, dim))
    assert np.lib.format.read_magic(raw) == (1, 0)
    assert np.lib.format.read_array_header_1_0(raw) == ((rows, dim), False, np.dtype("<f4"))
    assert raw.tell() == HEADER_BYTES


@given(st.lists(st.text(max_size=3)), st.integers(1, 5), st.booleans())
def test_blocks(texts, size, skip):
    blocks = Blocks(texts, size, skip_empty=skip)
    parts = list(blocks)
    kept = [s for s in texts if s.strip()] if skip else texts
    assert [s for part in parts for s in part] == kept
    assert all(len(part) == size for part in parts[:-1])
    assert (blocks.rows, blocks.empty) == (len(kept), len(texts) - len(kept))
    assert str(blocks.hash) == fingerprint(kept)


def test_blocks_refuse_other_things():
    with pytest.raises(FlowjaxError, match="expected strings, got NoneType at index 1"):
        list(Blocks(["a", None], 5))


def test_the_hash_depends_on_the_ends_of_sentences_and_on_their_order():
    texts = [["ab", "c"], ["a", "bc"], ["abc"], ["c", "ab"], ["ab", "c", ""]]
    assert len({fingerprint(text) for text in texts}) == len(texts)
