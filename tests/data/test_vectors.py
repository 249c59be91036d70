"""Vectors survive a round trip through all three formats; a file is complete or absent."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjax.data import vectors as module
from flowjax.data.vectors import SUFFIXES, write_vectors
from flowjax.errors import FlowjaxError


def read(path):
    if path.suffix == ".npy":
        return np.load(path)
    if path.suffix == ".safetensors":
        from safetensors.numpy import load_file

        tensors = load_file(path)
        assert list(tensors) == ["embeddings"]
        return tensors["embeddings"]
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    flat = table["embedding"].combine_chunks().flatten().to_numpy()
    return flat.reshape(len(table), -1) if len(table) else flat


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip(suffix, tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("vectors")
    monkeypatch.setattr(module, "_ROWS", 7)  # several blocks

    @settings(max_examples=25)
    @given(st.integers(1, 30), st.integers(1, 5), st.booleans(), st.booleans())
    def check(n, dim, mapped, integers):
        rows = np.random.default_rng(n).normal(size=(n, dim))
        rows = rows.astype(np.int32 if integers else np.float32)
        np.save(folder / "in.npy", rows)
        given_rows = np.load(folder / "in.npy", mmap_mode="r") if mapped else rows
        write_vectors(folder / f"out{suffix}", given_rows)
        back = read(folder / f"out{suffix}")
        assert back.dtype == np.float32
        assert np.array_equal(back, rows.astype(np.float32))
        assert {p.name for p in folder.iterdir()} == {"in.npy", f"out{suffix}"}

    check()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_rows(suffix, tmp_path):
    write_vectors(tmp_path / f"out{suffix}", np.zeros((0, 3), np.float32))
    assert len(read(tmp_path / f"out{suffix}")) == 0


def test_parquet_keeps_the_sentences(tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    monkeypatch.setattr(module, "_ROWS", 4)
    texts = [f"Sentence \u2028 {i}." for i in range(10)]
    rows = np.arange(20, dtype=np.float32).reshape(10, 2)
    write_vectors(tmp_path / "out.parquet", rows, iter(texts))
    table = pq.read_table(tmp_path / "out.parquet")
    assert table["sentence"].to_pylist() == texts
    assert table["embedding"].to_pylist() == rows.tolist()
    assert pq.ParquetFile(tmp_path / "out.parquet").num_row_groups == 3


@pytest.mark.parametrize(("count", "said"), [(9, "got fewer"), (11, "got more")])
def test_as_many_sentences_as_vectors(tmp_path, count, said):
    with pytest.raises(FlowjaxError, match=f"sentences: expected 10 sentences, {said}"):
        write_vectors(tmp_path / "out.parquet", np.zeros((10, 2)), ["x"] * count)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_whole_or_not_at_all(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"out{suffix}"
    write_vectors(path, np.ones((3, 2)))
    before = path.read_bytes()

    def broken(vectors):
        yield vectors[:1]
        raise OSError("disk full")

    monkeypatch.setattr(module, "_blocks", broken)
    with pytest.raises(OSError, match="disk full"):
        write_vectors(path, np.zeros((3, 2)))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_refused(tmp_path):
    with pytest.raises(
        FlowjaxError, match=r"out\.txt: expected a name ending in \.npy, \.parquet"
    ):
        write_vectors(tmp_path / "out.txt", np.zeros((1, 1)))
    with pytest.raises(FlowjaxError, match=r"vectors: expected shape \(n, d\), got \(3,\)"):
        write_vectors(tmp_path / "out.npy", np.zeros(3))
    assert not list(tmp_path.iterdir())
