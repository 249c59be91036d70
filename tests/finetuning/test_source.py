"""Packed batches: every sentence of every batch is there once, in rows of constant shape."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjax.data.shuffle import batches_rows
from flowjax.encoder.batching import slots
from flowjax.finetuning.packing import pack
from flowjax.finetuning.source import PackedExamples, TokenTable


@settings(max_examples=50)
@given(st.lists(st.lists(st.integers(1, 64), min_size=7, max_size=7), min_size=1, max_size=4))
def test_packed_sentences_do_not_overlap(sizes):
    sizes = np.array(sizes)
    found = pack(sizes, 64)
    for size, row, slot, start, used in zip(sizes, *found, strict=True):
        assert row.max() + 1 == used and used <= len(size)
        for r in range(used):
            inside = np.flatnonzero(row == r)
            order = inside[np.argsort(start[inside])]
            assert slot[order].tolist() == list(range(len(inside))) and len(inside) <= slots(64)
            assert start[order][0] == 0
            ends = start[order] + size[order]
            assert (start[order][1:] == ends[:-1]).all() and ends[-1] <= 64


@pytest.mark.parametrize(("group", "views"), [(8, 2), (2, 3), (1, 1)])
def test_a_batch_holds_the_tokens_of_its_examples(group, views):
    rng = np.random.default_rng(0)
    tokens = [rng.integers(5, 90, rng.integers(2, 70)).tolist() for _ in range(40)]
    sentences = rng.integers(0, 40, (30, views))
    extra = {"label": np.arange(30)}
    options = dict(group=group, max_length=70, batch_size=8, steps=9, seed=3)
    source = PackedExamples(TokenTable.of(tokens), sentences, extra, **options)
    assert (source.size, source.views) == (30, views) and 0 < source.fill <= 1
    shapes, length = set(), 72
    for numbers in batches_rows(0, 9, 8, 30, seed=3):
        batch = source.read(numbers)
        shapes.add(batch["ids"].shape)
        assert batch["label"].tolist() == numbers.tolist()
        ids, mask, positions = (
            batch[k].reshape(-1, source.rows, length) for k in ("ids", "mask", "positions")
        )
        places = batch["places"].reshape(-1, views, group)
        for g in range(8 // group):
            for v in range(views):
                for i in range(group):
                    row, slot = divmod(places[g, v, i], slots(length))
                    chosen = mask[g, row] == slot + 1
                    example = numbers[g * group + i]
                    assert ids[g, row][chosen].tolist() == tokens[sentences[example, v]]
                    assert positions[g, row][chosen].tolist() == list(range(chosen.sum()))
        total = sum(len(tokens[s]) for s in sentences[numbers].ravel())
        assert (mask > 0).sum() == total
    assert shapes == {(8 // group * source.rows, length)}


def test_the_digest_depends_on_the_examples_only():
    table, rows = TokenTable.of([[2, 5, 3], [2, 6, 3]]), np.array([[0, 1], [1, 0]])

    def digest(sentences=rows, label=0, **options):
        extra = {"label": np.full(2, label)}
        options = dict(max_length=8, batch_size=2, steps=1, seed=0, group=2) | options
        return PackedExamples(table, sentences, extra, **options).digest()

    assert digest() == digest(group=1, steps=4)
    assert len({digest(), digest(label=1), digest(rows[:, ::-1])}) == 3
