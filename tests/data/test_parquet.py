"""Vectors of Parquet files, in memory and through a temporary file; errors of bad files."""

import gc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from flowjax.data.arrays import ArraySource, open_rows
from flowjax.data.formats import read_parquet
from flowjax.data.parquet import read_rows
from flowjax.errors import FlowjaxError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
ROWS = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
FLAT = pa.array(ROWS.ravel())


def write(path, groups=64, **columns):
    pq.write_table(pa.table(columns), path, row_group_size=groups)
    return path


LISTS = {
    "fixed": lambda: pa.FixedSizeListArray.from_arrays(FLAT, 3),
    "list": lambda: pa.array(ROWS.tolist(), pa.list_(pa.float32())),
    "large": lambda: pa.array(ROWS.tolist(), pa.large_list(pa.float64())),
}


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("in_memory", [0, 1 << 30])
def test_one_column_of_vectors(tmp_path, kind, in_memory):
    texts = pa.array([str(i) for i in range(500)])
    path = write(tmp_path / "a.parquet", sentence=texts, embedding=LISTS[kind]())
    rows = read_rows(path, in_memory=in_memory)
    assert isinstance(rows, np.memmap) == (in_memory == 0)
    assert rows.dtype == np.float32 and np.array_equal(rows, ROWS)


def test_one_column_per_dimension(tmp_path):
    path = write(
        tmp_path / "a.parquet", a=ROWS[:, 0], b=ROWS[:, 1].astype(np.float64), c=np.arange(500)
    )
    assert np.array_equal(read_rows(path)[:, 2], np.arange(500))
    assert np.array_equal(read_rows(path, "b, a"), ROWS[:, [1, 0]])
    assert np.array_equal(open_rows(path, columns="a"), ROWS[:, :1])


def test_the_temporary_file_is_deleted_with_the_array(tmp_path):
    path = write(tmp_path / "a.parquet", x=LISTS["fixed"]())
    rows = read_rows(path, in_memory=0)
    file = Path(rows.filename)
    source = ArraySource(rows, resident=False)
    numbers = np.array([499, 0, 64])
    assert np.array_equal(source.read(numbers)["x"], ROWS[numbers])
    assert file.exists()
    del rows, source
    gc.collect()
    assert not file.exists()


TWO = [[1.0, 2.0]] * 3
BAD = {
    "text": ({"a": ["x", "y"], "b": [1, 2]}, None, r"among a \(string\), b \(int64\)"),
    "two lists": ({"a": TWO, "b": TWO}, None, "expected one list column"),
    "no such": ({"a": [1.0]}, "b", r"got b; choose .* among a \(double\)"),
    "not numbers": ({"a": ["x"]}, "a", r"got a; choose .* among a \(string\)"),
    "list beside": ({"a": TWO, "b": [1, 2, 3]}, "b,a", "numeric columns, got b, a; choose"),
    "null": ({"a": [1.0, None]}, None, "in 'a', got null at row 1"),
    "null list": ({"a": [[1.0], None]}, None, "in 'a', got null at row 1"),
    "null inside": ({"a": [[1.0], [None]]}, None, "got null inside of a list"),
    "ragged": ({"a": [[1.0, 2.0], [1.0]]}, None, "expected 2 numbers in 'a', got 1 at row 1"),
    "empty": ({"a": pa.array([], pa.float32())}, None, "got none"),
}


@pytest.mark.parametrize("name", BAD)
def test_errors_of_columns(tmp_path, name):
    columns, wanted, message = BAD[name]
    path = write(tmp_path / "mine.parquet", **columns)
    with pytest.raises(ValueError, match=f"mine.parquet: .*{message}"):
        read_rows(path, wanted)


def test_a_length_that_changes_between_blocks(tmp_path):
    columns = {"a": [[1.0, 2.0]] * 8192 + [[1.0]] * 10}
    with pytest.raises(ValueError, match=r"expected 2 numbers.*got 1 at row 8192"):
        read_rows(write(tmp_path / "a.parquet", groups=8192, **columns))


def test_errors_of_files(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"no")
    with pytest.raises(ValueError, match=r"a\.parquet: expected a Parquet file, got"):
        open_rows(path)
    np.save(tmp_path / "a.npy", ROWS)
    with pytest.raises(ValueError, match=r"columns: expected a \.parquet file"):
        open_rows(tmp_path / "a.npy", columns="a")


def with_rows(path, rows):
    """Changes the number of rows in the footer of a Parquet file of fewer than 8192 rows."""
    raw = bytearray(path.read_bytes())
    start = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")

    def varint(n):  # zigzag, two bytes of seven bits
        n = 2 * n
        return bytes([n & 127 | 128, n >> 7])

    old = pq.ParquetFile(path).metadata.num_rows
    place = raw.index(b"\x16" + varint(old), start) + 1  # field 3 of the footer: i64
    raw[place : place + 2] = varint(rows)
    path.write_bytes(raw)
    assert pq.ParquetFile(path).metadata.num_rows == rows
    return path


@pytest.mark.parametrize("rows", [501, 8000, 499, 200])
@pytest.mark.parametrize("in_memory", [0, 1 << 30])
def test_a_wrong_number_of_rows_in_the_footer_is_refused(tmp_path, rows, in_memory):
    """The array must never contain memory that no row was written to, nor lack rows."""
    texts = [str(i) for i in range(500)]
    path = write(tmp_path / "a.parquet", text=texts, x=LISTS["fixed"]())
    with_rows(path, rows)
    for read in (
        lambda: read_rows(path, "x", in_memory=in_memory),
        lambda: list(read_parquet(path)),
    ):
        with pytest.raises(FlowjaxError, match=rf"a.parquet: expected the {rows} rows"):
            read()


def test_rows_that_exceed_the_disk_are_refused_before_they_are_written(tmp_path, monkeypatch):
    path = write(tmp_path / "a.parquet", x=LISTS["fixed"]())
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(FlowjaxError, match=r"expected 6,000 free bytes for its rows .* got 10"):
        read_rows(path, in_memory=0)


@pytest.mark.parametrize("data", [ROWS, "a.npy", "store"])
def test_columns_without_effect_are_refused(data):
    with pytest.raises(FlowjaxError, match=r"columns: expected a \.parquet file with x, got"):
        open_rows(data, columns="x")


@pytest.mark.parametrize("index", [[7, 3, 5], ["a", "b", "c"], [0.5, 1.5, 2.5]])
def test_the_index_of_pandas_is_not_a_column_of_vectors(index, tmp_path):
    pandas = pytest.importorskip("pandas")
    rows = np.arange(6.0).reshape(3, 2)
    frame = pandas.DataFrame(rows, columns=["x", "y"], index=index)
    frame.to_parquet(tmp_path / "a.parquet")
    np.testing.assert_array_equal(read_rows(tmp_path / "a.parquet"), rows)
    frame.index.name = "id"
    frame.to_parquet(tmp_path / "a.parquet")
    np.testing.assert_array_equal(read_rows(tmp_path / "a.parquet"), rows)
