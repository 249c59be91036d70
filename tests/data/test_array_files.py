"""Array files of other programs: dtypes, orders and formats, compared with NumPy."""

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from flowjax.data.arrays import ArraySource, open_rows
from flowjax.data.blocks import RowBlocks
from flowjax.data.store import EmbeddingStore, OtherStore

ROWS = np.random.default_rng(0).normal(0, 30, (50, 7))
DTYPES = ("<f2", ">f2", "<f4", ">f4", "<f8", ">f8", "i1", "<i2", ">i4", ">i8", "u1", "<u8")


def read(path, columns=None):
    """All rows of a file, by blocks and by row numbers."""
    source = ArraySource(open_rows(path, str(path), columns), name=str(path), resident=False)
    blocks = np.concatenate(list(RowBlocks(source, 16)))
    taken = source.take(np.arange(source.size))["x"]
    np.testing.assert_array_equal(blocks, taken)
    assert blocks.dtype == taken.dtype == np.float32
    return blocks


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_of_every_dtype_and_order(dtype, order, tmp_path):
    rows = np.asarray(np.abs(ROWS) if "u" in dtype else ROWS).astype(dtype, order=order)
    np.save(tmp_path / "x.npy", rows)
    np.testing.assert_array_equal(read(tmp_path / "x.npy"), rows.astype(np.float32))
    # an open memory map, and a view of it
    opened = np.load(tmp_path / "x.npy", mmap_mode="r")
    for view in (opened, opened[::-2, 1:4]):
        source = ArraySource(open_rows(view), resident=False)
        found = np.concatenate(list(RowBlocks(source, 16)))
        np.testing.assert_array_equal(found, view.astype(np.float32))


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", "<i8", "u1", "bfloat16"])
def test_safetensors_of_another_writer(dtype, tmp_path):
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    rows = np.abs(ROWS).astype(kind)
    file = tmp_path / "x.safetensors"
    save_file({"ids": np.arange(3), "vectors": rows, "scale": np.ones(())}, file, {"a": "b"})
    np.testing.assert_array_equal(read(file), rows.astype(np.float32))
    save_file({"a": rows, "b": rows[:, :2] + kind(1) if dtype == "bfloat16" else rows + 1}, file)
    np.testing.assert_array_equal(read(file, "a"), rows.astype(np.float32))
    with pytest.raises(ValueError, match=r"expected one tensor .* got 2; .* among a \(50, 7\), b"):
        open_rows(file)
    with pytest.raises(ValueError, match="got no tensor 'c'"):
        open_rows(file, columns="c")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"x\.safetensors: expected a \.safetensors file"):
        open_rows(file, columns="a")


def test_archives_and_other_formats_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", x=ROWS)
    (tmp_path / "x.npz").rename(tmp_path / "x.npy")
    with pytest.raises(ValueError, match=r"x\.npy: expected a \.npy array, got: a zip archive$"):
        open_rows(tmp_path / "x.npy")
    for suffix in (".npz", ".h5", ".csv", ".pt"):
        path = (tmp_path / "y").with_suffix(suffix)
        path.write_bytes(b"\x89HDF\r\n")
        with pytest.raises(
            ValueError, match=rf"y\{suffix}: expected .* save the array with numpy"
        ):
            open_rows(path)


def test_a_store_of_rows_resumes_and_notices_other_rows(tmp_path):
    seen = []

    def fill(rows, stop=9):
        def double(blocks):
            for block in blocks:
                if len(seen) == stop:
                    raise KeyboardInterrupt
                seen.append(len(block))
                yield 2 * block, {}

        store = EmbeddingStore(tmp_path / "store", {}, dim=7, block=16)
        store.fill(RowBlocks(ArraySource(rows, resident=False), store.block), double)
        return store

    with pytest.raises(KeyboardInterrupt):
        fill(ROWS, stop=2)
    with pytest.raises(OtherStore, match="rows 0 to 16 differ"):
        fill(ROWS + 1)
    np.testing.assert_array_equal(fill(ROWS).vectors, 2 * ROWS.astype(np.float32))
    assert seen == [16, 16, 16, 2]
