"""Arrays as training sources: resident on the device where they fit, else memory-mapped."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from flowjax.data.rowfile import RowFile
from flowjax.data.shuffle import shuffled
from flowjax.parallel import processes

# Larger data stays on the host and is read a batch at a time.
RESIDENT_BYTES = 2 << 30
# Part i of k, from 0.
Share = tuple[int, int]


def bounds(n: int, share: Share) -> tuple[int, int]:
    """Which of `n` rows are a share's: `(start, stop)`.

    Example:
        >>> bounds(7, (0, 2)), bounds(7, (1, 2))
        ((0, 3), (3, 7))
    """
    i, k = share
    return n * i // k, n * (i + 1) // k


class ArraySource:
    """Rows `(n, d)` for a flow, with an optional context `(n, c)`.

    A `resident` source keeps its rows on every device, and a batch is a list of row numbers;
    another one is read from (mapped) host memory while the devices compute.

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
        name: str = "data",
        resident: bool | None = None,
    ) -> None:
        """Takes rows as they are; `resident=None` decides by size.

        With several processes all make the source together: each looks for numbers that are not
        finite in its share of the rows. Nothing is resident then unless asked for: each reads its
        share of a batch only.

        Raises:
            ValueError: not two-dimensional, empty, not numbers, or not finite in float32 (the
                first such row and column are named); a context of another length.
        """
        rows = check_rows(rows, name)
        if context is not None:
            context = check_rows(context, "context")
            if len(context) != len(rows):
                raise ValueError(f"context: expected {len(rows)} rows, got {len(context)}")
        self.size, self.dim = rows.shape
        self.rows, self.context = rows, context
        if resident is None:
            resident = rows.size * 4 <= RESIDENT_BYTES and not processes.several()
        small = resident
        self.resident: Any = self.take(slice(None)) if small else None
        self._file = None if small or not RowFile.can_read(rows) else RowFile(rows)

    def read(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The vectors of these rows; nothing where they are resident."""
        if self.resident is not None:
            return {}
        return self.take(rows)

    def blocks(self, size: int, share: Share = (0, 1)) -> Iterator[np.ndarray]:
        """The rows of a share in their order, `(size, d)` at a time, the last block shorter."""
        start, stop = bounds(self.size, share)
        for at in range(start, stop, size):
            yield self.rows[at : min(at + size, stop)]
            release(self.rows)

    def take(self, rows: Any) -> dict[str, np.ndarray]:
        """The vectors of these rows (numbers or a slice) as float32, wherever they are kept."""
        file = None if isinstance(rows, slice) else self._file
        x = self.rows[rows] if file is None else file.read(rows)
        taken = {"x": np.asarray(x, np.float32)}
        if self.context is not None:
            taken["context"] = np.asarray(self.context[rows], np.float32)
        return taken


class Part(ArraySource):
    """Rows `start` to `stop` of a shuffled source, read through the shuffle: never in memory.

    Example:
        >>> whole = ArraySource(np.arange(8.0).reshape(8, 1), resident=False)
        >>> parts = Part(whole, 0, 3, seed=0), Part(whole, 3, 8, seed=0)
        >>> sorted(x for part in parts for block in part.blocks(2) for x in block[:, 0].tolist())
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    """

    def __init__(self, whole: ArraySource, start: int, stop: int, *, seed: int) -> None:
        """Takes a source that is not resident."""
        self.size, self.dim, self.resident = stop - start, whole.dim, None
        self._whole, self._start, self._seed = whole, start, seed

    def take(self, rows: Any) -> dict[str, np.ndarray]:
        """The vectors of these row numbers of the part."""
        whole = self._whole
        return whole.take(shuffled(rows + self._start, whole.size, seed=self._seed))

    def blocks(self, size: int, share: Share = (0, 1)) -> Iterator[np.ndarray]:
        """The part's rows in a share of the file, in its order, at most `(size, d)` at a time."""
        whole, step = self._whole, 1 << 20
        mine, stop = np.zeros(whole.size, bool), self._start + self.size
        for start in range(self._start, stop, step):
            numbers = np.arange(start, min(start + step, stop))
            mine[shuffled(numbers, whole.size, seed=self._seed)] = True
        at, _ = bounds(whole.size, share)
        for block in whole.blocks(size, share):
            yield block[mine[at : at + len(block)]]
            at += len(block)


def open_rows(data: Any, name: str = "data", columns: str | None = None) -> np.ndarray:
    """Opens an array, a path to `.npy` or `.parquet`, or a folder with an embedding store.

    Args:
        data: the array or path.
        name: what errors call it.
        columns: of Parquet: see `parquet.read_rows`.

    Returns:
        The array; that of a file or store is memory-mapped.

    Raises:
        ValueError: no such file, not an array, or a store that is not finished.
    """
    if not isinstance(data, (str, Path)):
        try:
            return np.asarray(data)
        except ValueError as error:  # rows of different lengths
            raise ValueError(f"{name}: expected rows of shape (n, d): {error}") from None
    path = Path(data)
    if (path / "manifest.json").exists():
        from flowjax.data.store import EmbeddingStore

        return EmbeddingStore.open(path).vectors
    if not path.is_file():
        raise ValueError(
            f"{data}: expected a .npy or .parquet file or an embedding store, found none"
        )
    if path.suffix == ".parquet":
        from flowjax.data.parquet import read_rows

        return read_rows(path, columns, in_memory=RESIDENT_BYTES)
    if columns is not None:
        raise ValueError(f"columns: expected a .parquet file to take {columns} from, got {path}")
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        # NumPy takes all that does not begin as an array for a pickle, and advises to trust it
        reason = "it is something else" if "pickled" in str(error) else error
        raise ValueError(f"{path}: expected a .npy array: {reason}") from None


def check_rows(rows: Any, name: str = "data") -> np.ndarray:
    """Refuses what no flow can be fitted on, a block at a time so that mapped data stays on disk.

    Of several processes each reads its share of the rows, and all raise the same error.

    Args:
        rows: `(n, d)` real numbers; integers are taken as such.
        name: what errors call them.

    Returns:
        The rows as they came, as a numpy array.

    Raises:
        ValueError: see `ArraySource`.

    Example:
        >>> check_rows(np.array([[1.0, np.nan]]))
        Traceback (most recent call last):
        ValueError: data: expected finite numbers, got nan at row 0, column 1
    """
    rows = rows if isinstance(rows, np.ndarray) else open_rows(rows, name)
    if rows.ndim != 2 or 0 in rows.shape:
        raise ValueError(f"{name}: expected rows of shape (n, d), got {rows.shape}")
    if rows.dtype.name != "bfloat16" and rows.dtype.kind not in "iuf":
        raise ValueError(f"{name}: expected real numbers, got dtype {rows.dtype}")
    if rows.dtype.kind in "iu":
        return rows
    mine = _first_bad(rows, *bounds(len(rows), processes.share()))
    first = int(min(processes.gather_arrays(np.array(mine))))
    if first < len(rows):
        column = int(np.argmin(_finite(rows[first])))
        value = rows[first, column]
        limit = " in float32" if np.isfinite(value) else ""
        raise ValueError(
            f"{name}: expected finite numbers{limit}, got {value} at row {first}, column {column}"
        )
    return rows


def _first_bad(rows: np.ndarray, start: int, stop: int) -> int:
    """The first of these rows that is not finite in float32, and the number of rows if none is."""
    step = max(1, (1 << 22) // rows.shape[1])
    for at in range(start, stop, step):
        finite = _finite(rows[at : min(at + step, stop)])
        if not finite.all():
            return at + int(np.argmin(finite.all(axis=1)))
        release(rows)
    return len(rows)


def _finite(numbers: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and named
        return np.isfinite(np.asarray(numbers, np.float32))


def release(rows: np.ndarray) -> None:
    """Gives the mapped pages of an array back; they stay in the system's cache of the file.

    Without it a pass over a large file makes this process look (and, where memory is limited by
    a container, be) as large as the file. Does nothing to an array in memory.
    """
    base: Any = rows
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    # A writable private mapping may hold changes, which this would throw away.
    if isinstance(base, mmap.mmap) and not rows.flags.writeable and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)
