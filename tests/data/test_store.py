"""Embedding store: after any interruption every row is written once, at its place."""

import json
import pickle

import numpy as np
import pytest
from embed_worker import BLOCK, DIM, Killed, embed, expected, open_store, sentences, until
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjax.data.arrays import ArraySource, open_rows
from flowjax.data.fingerprint import fingerprint
from flowjax.data.journal import read_journals
from flowjax.data.npy import HEADER_BYTES
from flowjax.data.store import EmbeddingStore, OtherStore
from flowjax.errors import FlowjaxError


@settings(max_examples=40)
@given(
    st.lists(st.text("abc ", max_size=4), max_size=30),
    st.integers(1, 7),
    st.booleans(),
    st.lists(st.integers(0, 4), max_size=4),
)
def test_any_source_any_interruptions(tmp_path_factory, texts, block, skip, deaths):
    folder = tmp_path_factory.mktemp("store")
    for k in deaths:
        try:
            open_store(folder, None, block).fill(texts, until(k), skip_empty=skip)
        except Killed:
            assert not open_store(folder, None, block).complete
            with pytest.raises(FlowjaxError, match="expected a complete store"):
                _ = open_store(folder, None, block).vectors
    store = open_store(folder, None, block)
    store.fill(iter(texts), embed, skip_empty=skip)
    kept = [s for s in texts if s.strip()] if skip else texts
    assert np.array_equal(store.vectors, expected(kept))
    assert store.counts["rows"] == len(kept)
    assert store.counts["empty"] == len(texts) - len(kept)
    assert store.hash == fingerprint(kept)


@settings(max_examples=25)
@given(st.integers(0, 40), st.integers(1, 6), st.integers(1, 4), st.randoms())
def test_shares_in_any_order(tmp_path_factory, n, block, count, rng):
    folder, texts = tmp_path_factory.mktemp("store"), sentences(n)
    shares = list(range(count))
    rng.shuffle(shares)
    for i in shares:
        store = open_store(folder, "h", block)
        store.fill(texts, embed, share=(i, count))
        assert store.complete or i != shares[-1]
    assert store.complete and open_store(folder, "h", block).complete
    assert np.array_equal(store.vectors, expected(texts))


def test_another_number_of_writers_goes_on(tmp_path):
    texts = sentences(500)
    for i in range(3):
        with pytest.raises(Killed):
            open_store(tmp_path, "h").fill(texts, until(1), share=(i, 3))
    assert len(read_journals(tmp_path).blocks) == 3
    for i in range(2):
        open_store(tmp_path, "h").fill(texts, embed, share=(i, 2))
    assert np.array_equal(open_store(tmp_path, "h").vectors, expected(texts))


def test_nothing_is_embedded_twice(tmp_path):
    texts, seen = sentences(300), []

    def watch(blocks):
        def spy():
            for block in blocks:
                seen.extend(block)
                yield block

        return embed(spy())

    with pytest.raises(Killed):
        open_store(tmp_path, "h").fill(texts, until(2))
    open_store(tmp_path, "h").fill(texts, watch)
    assert seen == texts[2 * BLOCK :]
    open_store(tmp_path, "h").fill(texts, watch)  # complete: not even read
    assert len(seen) == 300 - 2 * BLOCK


def test_counts_persist(tmp_path):
    texts = ["", *sentences(200), " ", "", *sentences(100, seed=1), ""]
    kept = [s for s in texts if s.strip()]
    for k in (1, 1, 2):
        with pytest.raises(Killed):
            open_store(tmp_path, None).fill(texts, until(k), skip_empty=True)
    open_store(tmp_path, None).fill(texts, embed, skip_empty=True)
    found = json.loads((tmp_path / "manifest.json").read_text())["result"]
    assert (found["rows"], found["empty"]) == (len(kept), 4)
    assert found["cut"] == sum(len(s) > 20 for s in kept)
    assert EmbeddingStore.open(tmp_path).counts == {k: v for k, v in found.items() if k != "hash"}


def test_a_mismatch_is_refused(tmp_path):
    def make(**changes):
        made = {"encoder": "bert", "pooling": "mean", "max_length": 64, "source_hash": "h"}
        return EmbeddingStore(tmp_path, {**made, **changes}, dim=DIM, notes={"source": "a.txt"})

    make().fill(sentences(3), embed)
    assert make().complete
    for name, value in [("encoder", "other"), ("pooling", "cls"), ("max_length", 32)]:
        with pytest.raises(OtherStore, match=f"expected vectors of {name} {value!r}, got "):
            make(**{name: value})
    with pytest.raises(OtherStore, match=r"\(source_hash 'i'\), got .* other sentences \('h'\)"):
        make(source_hash="i")
    with pytest.raises(OtherStore, match="extra 1, got None"):
        make(extra=1)
    with pytest.raises(OtherStore, match="dim 8, got 16"):
        EmbeddingStore(tmp_path, {}, dim=8)
    EmbeddingStore(tmp_path / "more", {"encoder": "bert", "prompt": "a "}, dim=DIM)
    with pytest.raises(OtherStore, match="expected vectors of prompt None, got 'a '"):
        EmbeddingStore(tmp_path / "more", {"encoder": "bert"}, dim=DIM)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: [*t[:10], "another", *t[11:]], "rows 0 to 64 differ"),
        (lambda t: [t[70], *t[1:70], t[0], *t[71:]], "rows 0 to 64 differ"),
        (lambda t: t[:60], "rows 0 to 64 differ"),
        (lambda t: t[:64], "the length or the order differs"),
        (lambda t: [*t, "more"], "rows 256 to 300 differ"),
    ],
)
def test_another_stream_is_refused(tmp_path, change, said):
    texts = sentences(300)
    whole = tmp_path / "whole"
    open_store(whole, None).fill(texts, embed)
    with pytest.raises(
        OtherStore, match="expected the source of the stored vectors, got another source"
    ):
        open_store(whole, None).fill(change(texts), embed)
    part = tmp_path / "part"
    with pytest.raises(Killed):
        open_store(part, None).fill(texts, until(3))
    if said.startswith("rows 0") or said.startswith("it has"):
        with pytest.raises(OtherStore, match=said):
            open_store(part, None).fill(change(texts), embed)
    open_store(whole, None).fill(texts, embed)  # the right one still is
    assert np.array_equal(open_store(whole, None).vectors, expected(texts))


def test_writers_of_different_sources_do_not_finish(tmp_path):
    open_store(tmp_path, None).fill(sentences(200), embed, share=(0, 2))
    with pytest.raises(OtherStore, match="the length or the order differs"):
        open_store(tmp_path, None).fill(sentences(199), embed, share=(1, 2))
    assert not open_store(tmp_path, None).complete


def test_bad_vectors_are_refused(tmp_path):
    def shape(blocks):
        return ((np.zeros((len(b), DIM + 1)), {}) for b in blocks)

    def nan(blocks):
        for i, (vectors, counts) in enumerate(embed(blocks)):
            vectors[3] = np.nan if i == 1 else 0
            yield vectors, counts

    with pytest.raises(
        FlowjaxError, match=r"embed: expected vectors of shape \(64, 16\), got \(64, 17\)"
    ):
        open_store(tmp_path / "a", "h").fill(sentences(100), shape)
    with pytest.raises(
        FlowjaxError, match="embed: expected finite vectors, got NaN or inf at row 67"
    ):
        open_store(tmp_path / "b", "h").fill(sentences(100), nan)
    with pytest.raises(FlowjaxError, match="expected the vectors of 1 more blocks, got none"):
        open_store(tmp_path / "c", "h").fill(sentences(100), lambda b: (next(b), iter(()))[1])
    with pytest.raises(FlowjaxError, match=r"share: expected \(i, k\)"):
        open_store(tmp_path / "c", "h").fill(sentences(100), embed, share=(2, 2))


def test_the_file_is_plain_npy_and_a_training_source(tmp_path):
    texts = sentences(150)
    store = open_store(tmp_path, "h")
    with pytest.raises(Killed):
        store.fill(texts, until(1))
    with pytest.raises(
        FlowjaxError,
        match="expected a complete store, got 1 of an unknown number of blocks; repeat",
    ):
        open_rows(tmp_path)
    store.fill(texts, embed)
    assert np.array_equal(np.load(tmp_path / "vectors.npy"), expected(texts))
    assert isinstance(store.vectors, np.memmap) and not store.vectors.flags.writeable
    assert store.vectors.offset % HEADER_BYTES == 0
    source = ArraySource(open_rows(tmp_path), resident=False)
    assert np.array_equal(source.read(np.array([149, 0]))["x"], expected(texts)[[149, 0]])


def test_waiting(tmp_path):
    store = open_store(tmp_path, "h")
    store.fill(sentences(200), embed, share=(0, 2))
    said = r"got no new block for 0\.1 s \(2 of 4 blocks\)"
    with pytest.raises(TimeoutError, match=said):
        store.wait(timeout=0.1)
    open_store(tmp_path, "h").fill(sentences(200), embed, share=(1, 2))
    store.wait(timeout=0.1)
    assert store.complete


def test_loaders_index_a_store_in_other_processes(tmp_path):
    store = EmbeddingStore(tmp_path, {"encoder": "toy"}, dim=1, block=2)
    with pytest.raises(FlowjaxError, match="expected a complete store"):
        len(store)
    store.fill(["a", "bb", "ccc"], lambda blocks: (_lengths(block) for block in blocks))
    assert len(store) == 3 and store[-1].tolist() == [3.0] and store[1:].shape == (2, 1)
    assert pickle.loads(pickle.dumps(store))[[2, 0]].tolist() == [[3.0], [1.0]]
    with pytest.raises(IndexError):
        store[3]
    with pytest.raises(FlowjaxError, match="expected a folder on a disk"):
        EmbeddingStore.open("s3://bucket/store")


def _lengths(block):
    return np.array([[len(text)] for text in block], np.float32), {}
