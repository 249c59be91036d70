"""Arrays as sources of training examples, resident on the devices or memory-mapped."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from flowjax.data.frames import frame_rows
from flowjax.data.npy import load_npy
from flowjax.data.rowfile import RowFile
from flowjax.data.weights import check_mask, check_weights
from flowjax.errors import FlowjaxError, check_that
from flowjax.files.remote import as_url, download, is_remote
from flowjax.parallel import processes

# Larger arrays stay in host memory or on disk, and each batch is copied to the devices.
RESIDENT_BYTES = 2 << 30
# Files that `open_rows` reads, and formats of arrays and tables that it does not read.
ARRAYS = "a .npy, .parquet or .safetensors file or an embedding store"
OTHER_FORMATS = (
    *(".npz", ".h5", ".hdf5", ".csv", ".tsv", ".txt", ".json", ".jsonl"),
    *(".pt", ".pth", ".pkl", ".pickle", ".feather", ".arrow", ".mat", ".zarr", ".bin"),
)
# (i, k): shard i of k contiguous shards, counted from 0.
Shard = tuple[int, int]


def bounds(n: int, shard: Shard) -> tuple[int, int]:
    """Returns the half-open row range `(start, stop)` of one shard of an array with `n` rows.

    Example:
        >>> bounds(7, (0, 2)), bounds(7, (1, 2))
        ((0, 3), (3, 7))
    """
    i, k = shard
    return n * i // k, n * (i + 1) // k


class ArraySource:
    """Source of training examples: rows, shape (n, d), and an optional context, shape (n, c).

    A resident source keeps its rows on every device, and a batch consists of row indices. The
    rows of any other source are read from host memory or a memory-mapped file while the devices
    compute.

    Attributes:
        size: number of rows.
        dim: number of columns.
        rows: the array of rows.
        context: the array of contexts, or None.
        weights: weights of the rows with mean 1, or None.
        name: name of the rows in error messages.
        resident: `take(slice(None))`, all rows as floating-point arrays; None if not resident.

    Example:
        >>> source = ArraySource(np.arange(6).reshape(3, 2), resident=False)
        >>> source.read(np.array([2, 0]))["x"].tolist()
        [[4.0, 5.0], [0.0, 1.0]]
    """

    def __init__(
        self,
        rows: np.ndarray,
        context: np.ndarray | None = None,
        *,
        weights: Any = None,
        name: str = "data",
        context_name: str = "context",
        weights_name: str = "weights",
        resident: bool | None = None,
    ) -> None:
        """Checks the rows.

        In a job of several processes, all processes create the source together, and each process
        checks its shard of the rows.

        Args:
            rows: real numbers that are finite in `float_dtype(rows.dtype)`, shape (n, d).
            context: real numbers, shape (n, c).
            weights: weights of the rows in the likelihood, shape (n,): at least 0 and not all 0.
                They are scaled to the mean 1.
            name: name of the rows in error messages.
            context_name: name of the context in error messages.
            weights_name: name of the weights in error messages.
            resident: True to keep the rows on the devices. By default, True if the rows have at
                most `RESIDENT_BYTES` and the job has one process. In a job of several processes,
                each process reads only its shard of every batch.

        Raises:
            FlowjaxError: The rows or the context are empty or have another shape or dtype, a
                number is masked or not finite (the message names its row and column), the lengths
                differ, or a weight is negative.
        """
        rows = check_rows(rows, name)
        if context is not None:
            context = check_rows(context, context_name, labels=True)
            check_that(len(context) == len(rows), context_name, f"{len(rows)} rows", len(context))
        self.size, self.dim = rows.shape
        self.rows, self.context, self.name = rows, context, name
        self.weights = None if weights is None else check_weights(weights, len(rows), weights_name)
        if resident is None:
            resident = rows.size * 4 <= RESIDENT_BYTES and not processes.several()
        self.resident: Any = self.take(slice(None)) if resident else None
        self._file = None if resident or not RowFile.can_read(rows) else RowFile(rows)

    def read(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Returns `take(rows)`, or an empty dict if the rows are resident."""
        return {} if self.resident is not None else self.take(rows)

    def blocks(self, size: int, shard: Shard = (0, 1)) -> Iterator[np.ndarray]:
        """Yields the rows of a shard in order, in blocks of at most `size` rows."""
        start, stop = bounds(self.size, shard)
        for at in range(start, stop, size):
            yield self.rows[at : min(at + size, stop)]
            release(self.rows)

    def spaced(self, stride: int) -> np.ndarray:
        """Returns the indices of about one of `stride` examples, all over the source."""
        return np.arange(0, self.size, stride)

    def take(self, rows: Any) -> dict[str, np.ndarray]:
        """Returns a dict with the arrays `x` and, if there are any, `context` and `weight`.

        Args:
            rows: row indices, or a slice.

        Returns:
            Floating-point arrays, see `float_dtype`.
        """
        file = None if isinstance(rows, slice) else self._file
        x: np.ndarray = self.rows[rows] if file is None else file.read(np.asarray(rows))
        taken = {"x": _floats(x)}
        if self.context is not None:
            taken["context"] = _floats(self.context[rows])
        if self.weights is not None:
            taken["weight"] = self.weights[rows].astype(taken["x"].dtype)
        return taken


def float_dtype(dtype: Any) -> Any:
    """Returns the dtype in which a flow is fitted on numbers of a given dtype.

    The dtype is float32. If x64 is enabled, it is float64 for float64 and for integers of more
    than 16 bits.

    Example:
        >>> float_dtype(np.dtype("float16"))
        <class 'numpy.float32'>
    """
    wide = np.dtype(dtype).kind in "iuf" and np.dtype(dtype).itemsize > 2
    wide &= np.dtype(dtype) != np.float32
    return np.float64 if wide and jnp.result_type(float) == np.float64 else np.float32


def _floats(numbers: Any) -> np.ndarray:
    numbers = np.asarray(numbers)
    return np.asarray(numbers, float_dtype(numbers.dtype))


def selected(source: ArraySource, rows: np.ndarray) -> ArraySource:
    """Returns a source in memory with the selected rows of a source.

    Example:
        >>> selected(ArraySource(np.arange(4.0)[:, None]), np.array([3, 1])).rows[:, 0].tolist()
        [3.0, 1.0]
    """
    taken = source.take(rows)
    return ArraySource(
        taken["x"], taken.get("context"), weights=taken.get("weight"), name=source.name
    )


def open_rows(data: Any, name: str = "data", columns: str | None = None) -> np.ndarray:
    """Returns data as an array; `.npy`, `.safetensors` and embedding stores are memory-mapped.

    Args:
        data: an array, the path or URL of a `.npy`, `.parquet` or `.safetensors` file, or the
            folder of an embedding store. An object in object storage is copied to `TMPDIR`.
        name: name of an array in error messages.
        columns: names of the columns of a Parquet file, see `parquet.read_rows`; or the name of a
            tensor.

    Returns:
        Array of shape (n, d), memory-mapped for a `.npy` file or a store.

    Raises:
        FlowjaxError: The file does not exist or is not an array, the store is incomplete, or
            `columns` has no effect.
    """
    if columns is not None and (
        not isinstance(data, (str, Path)) or Path(data).suffix not in (".parquet", ".safetensors")
    ):
        got = data if isinstance(data, (str, Path)) else "an array"
        raise FlowjaxError(f"columns: expected a .parquet file with {columns}, got {got}")
    if not isinstance(data, (str, Path)):
        check_mask(data, name)
        if hasattr(data, "columns"):
            return frame_rows(data, name)
        try:
            return np.asarray(data)
        except ValueError as error:  # the rows have different lengths
            raise FlowjaxError(f"{name}: expected rows of shape (n, d), got: {error}") from None
    if is_remote(data):
        if Path(data).suffix == ".parquet":
            from flowjax.data.parquet import read_rows

            return read_rows(as_url(data), columns, in_memory=RESIDENT_BYTES)
        data = download(data)  # the rows are memory-mapped
    path = Path(data)
    if (path / "manifest.json").exists():
        from flowjax.data.store import EmbeddingStore

        return EmbeddingStore.open(path).vectors
    if not path.is_file():
        found = "another folder" if path.is_dir() else "no such file"
        raise FlowjaxError(f"{data}: expected {ARRAYS}, got {found}")
    if path.suffix == ".parquet":
        from flowjax.data.parquet import read_rows

        return read_rows(path, columns, in_memory=RESIDENT_BYTES)
    if path.suffix == ".safetensors":
        from flowjax.data.tensors import load_tensor

        return load_tensor(path, columns)
    if path.suffix in OTHER_FORMATS:
        raise FlowjaxError(
            f"{data}: expected {ARRAYS}, got a file {path.suffix}; save the array with numpy.save"
        )
    return load_npy(path)


def holds_rows(path: str | Path, columns: str | None = None) -> bool:
    """Returns True if a file holds an array and not sentences, from its name or its columns.

    A Parquet file holds an array if the given columns, or by default the columns sentence and
    text, have no text.

    Args:
        path: path of a file or of an embedding store, or another name of a source of sentences.
        columns: names of columns of a Parquet file, separated by commas.

    Example:
        >>> holds_rows("x.npy"), holds_rows("x.txt"), holds_rows("-")
        (True, False, False)
    """
    remote, path = is_remote(path), Path(path)
    if path.suffix == ".parquet" and (remote or path.is_file()):
        from flowjax.data.formats import COLUMNS
        from flowjax.data.parquet import has_text

        return not has_text(path, COLUMNS if columns is None else columns.split(","))
    return path.suffix in (".npy", ".safetensors") or (path / "manifest.json").exists()


def check_rows(rows: Any, name: str = "data", *, labels: bool = False) -> np.ndarray:
    """Returns the rows as an array and checks that a flow can be fitted on them.

    The check reads one block at a time, so that a memory-mapped file does not fill the memory. In
    a job of several processes, each process checks its shard of the rows, and all processes raise
    the same error.

    Args:
        rows: real numbers, shape (n, d); see `open_rows`.
        name: name of the rows in error messages.
        labels: True adds a remedy to the error for an array of shape (n,).

    Raises:
        FlowjaxError: See `ArraySource`.

    Example:
        >>> check_rows(np.array([[1.0, np.nan]]))
        Traceback (most recent call last):
        flowjax.errors.FlowjaxError: data: expected finite numbers, got nan at row 0, column 1
    """
    check_mask(rows, name)
    array: np.ndarray = rows if isinstance(rows, np.ndarray) else open_rows(rows, name)
    if array.ndim != 2 or 0 in array.shape:
        flat = labels and array.ndim == 1
        remedy = "; pass labels as one-hot vectors and numbers as a column, x[:, None]"
        raise FlowjaxError(
            f"{name}: expected rows of shape (n, d), got {array.shape}{remedy if flat else ''}"
        )
    if array.dtype.name != "bfloat16" and array.dtype.kind not in "iuf":
        raise FlowjaxError(f"{name}: expected real numbers, got dtype {array.dtype}")
    if array.dtype.kind in "iu":
        return array
    mine = _first_bad(array, *bounds(len(array), processes.shard()))
    first = int(min(processes.gather_arrays(np.array(mine))))
    if first < len(array):
        column = int(np.argmin(_finite(array[first])))
        value = array[first, column]
        dtype = np.dtype(float_dtype(array.dtype)).name
        limit, place = (
            f" in {dtype}" if np.isfinite(value) else "",
            f"row {first}, column {column}",
        )
        raise FlowjaxError(f"{name}: expected finite numbers{limit}, got {value} at {place}")
    return array


def _first_bad(rows: np.ndarray, start: int, stop: int) -> int:
    """Returns the index of the first non-finite row in `[start, stop)`, or `len(rows)`."""
    step = max(1, (1 << 22) // rows.shape[1])
    for at in range(start, stop, step):
        finite = _finite(rows[at : min(at + step, stop)])
        if not finite.all():
            return at + int(np.argmin(finite.all(axis=1)))
        release(rows)
    return len(rows)


def _finite(numbers: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # float64 beyond float32 becomes infinite
        finite: np.ndarray = np.isfinite(_floats(numbers))
        return finite


def release(rows: np.ndarray) -> None:
    """Unmaps the pages of a memory-mapped array; they stay in the page cache of the system.

    Otherwise the resident memory of a process that reads a large file grows to the size of the
    file. The function has no effect on an array in memory.
    """
    base: Any = rows
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    # Releasing the pages of a writable private mapping would discard its changes.
    if isinstance(base, mmap.mmap) and not rows.flags.writeable and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)
