"""Training examples in shards that together are larger than memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flowjax.data.arrays import RESIDENT_BYTES, ArraySource, Shard, bounds, open_rows
from flowjax.data.shard_rows import BlockRows, RandomRows
from flowjax.data.shards import Shard as File
from flowjax.data.shards import read_shards, shard_paths
from flowjax.data.shuffle import shuffled
from flowjax.data.windows import WindowOrder
from flowjax.errors import FlowjaxError, check_that
from flowjax.files.remote import is_remote

# Bytes of the rows that are shuffled together, and of the decoded blocks in memory.
WINDOW_BYTES, CACHE_BYTES = 256 << 20, 512 << 20
# Places of the data at which a sample is read.
PLACES = 64


class ShardSource(ArraySource):
    """Source of examples in shards, read by each process for its part of every batch.

    Local `.npy` shards are read at random, with the global shuffle of a single array. Parquet
    shards, and shards in object storage, are read in the order of `windows.WindowOrder`.

    Attributes:
        order: order of the examples; None means the global shuffle.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> np.save(folder / "a.npy", np.zeros((2, 3))), np.save(folder / "b.npy", np.ones((1, 3)))
        (None, None)
        >>> source = ShardSource(read_shards(shard_paths(folder)))
        >>> source.size, source.take(np.array([2, 0]))["x"][:, 0].tolist()
        (3, [1.0, 0.0])
    """

    def __init__(
        self,
        files: Sequence[File],
        *,
        name: str = "data",
        groups: np.ndarray | None = None,
    ) -> None:
        """Defines the source without reading rows.

        Args:
            files: shards, from `read_shards`.
            name: name of the examples in error messages.
            groups: first row and number of rows of the row groups to use, shape (m, 2); None
                means all.
        """
        sizes = np.array([size for file in files for size in file.groups], np.int64)
        if groups is None:
            groups = np.stack([np.cumsum(sizes) - sizes, sizes], axis=1)
        self._all, self._groups = files, groups[groups[:, 1] > 0]
        self._ends = np.cumsum(self._groups[:, 1])
        self.size, self.dim, self.name = int(self._ends[-1]), files[0].dim, name
        self.context = self.weights = self.resident = None
        self.order: WindowOrder | None = None
        if files[0].columns or is_remote(files[0].path):
            row = files[0].dim * files[0].dtype.itemsize
            self.order = WindowOrder(self._groups[:, 1], max(1, WINDOW_BYTES // row))
            self._reader: Any = BlockRows(files, CACHE_BYTES)
        else:
            self._reader = RandomRows(files)

    def take(self, rows: Any) -> dict[str, np.ndarray]:
        """Returns a dict with the array `x`, the examples with the given indices.

        Raises:
            FlowjaxError: A shard is damaged or changed, or a number is not finite (the message
                names the file, the row and the column).
        """
        rows = np.asarray(rows)
        group = np.searchsorted(self._ends, rows, "right")
        numbers = self._groups[group, 0] + rows - (self._ends - self._groups[:, 1])[group]
        with np.errstate(over="ignore"):  # float64 beyond float32 becomes infinite
            x = self._reader.read(numbers).astype(np.float32, copy=False)
        if not np.isfinite(x).all():
            raise self._not_finite(x, numbers)
        return {"x": x}

    def blocks(self, size: int, shard: Shard = (0, 1)) -> Iterator[np.ndarray]:
        """Yields the examples of a shard in order, in blocks of at most `size` examples."""
        start, stop = bounds(self.size, shard)
        for at in range(start, stop, size):
            yield self.take(np.arange(at, min(at + size, stop)))["x"]

    def probe(self, most: int) -> np.ndarray:
        """Returns the indices of up to `most` examples, at places that are cheap to read."""
        stride = max(1, -(-len(self._ends) // PLACES))
        chosen = np.arange(0, len(self._ends), stride)
        each = max(1, most // len(chosen))
        first = (self._ends - self._groups[:, 1])[chosen]
        counts = np.minimum(each, self._groups[chosen, 1])
        runs = [np.arange(at, at + n) for at, n in zip(first, counts, strict=True)]
        return np.concatenate(runs)[:most]

    def spaced(self, stride: int) -> np.ndarray:
        """Returns `probe` of the same number of examples as of another source."""
        return self.probe(-(-self.size // stride))

    def split(self, held: int, seed: int) -> tuple[ShardSource, ShardSource]:
        """Splits off the examples of row groups that are chosen at random.

        Examples of one row group are read together, so the held-out examples are whole row
        groups, and the first examples of one more.

        Args:
            held: number of examples to hold out.
            seed: integer seed of the choice.

        Returns:
            `(rest, held-out examples)`.
        """
        order = shuffled(np.arange(len(self._groups)), len(self._groups), seed=seed)
        mixed = self._groups[order]
        taken = np.clip(held - (np.cumsum(mixed[:, 1]) - mixed[:, 1]), 0, mixed[:, 1])
        back = np.argsort(order)
        parts = []
        for start, rows in ((taken, mixed[:, 1] - taken), (0 * taken, taken)):
            groups = np.stack([mixed[:, 0] + start, rows], axis=1)[back]
            parts.append(ShardSource(self._all, name=self.name, groups=groups))
        return parts[0], parts[1]

    def _not_finite(self, x: np.ndarray, numbers: np.ndarray) -> FlowjaxError:
        row, column = np.argwhere(~np.isfinite(x))[0].tolist()
        ends = np.cumsum([file.rows for file in self._all])
        file = int(np.searchsorted(ends, numbers[row], "right"))
        at = int(numbers[row] - ends[file] + self._all[file].rows)
        return FlowjaxError(
            f"{self._all[file].path}: expected finite numbers, got {x[row, column]} at row {at}, "
            f"column {column}"
        )


def open_examples(
    data: Any,
    context: np.ndarray | None = None,
    *,
    weights: Any = None,
    name: str = "data",
    columns: str | None = None,
    **names: Any,
) -> ArraySource:
    """Returns the source of examples of an array, a file, an embedding store or shards.

    Shards of at most `RESIDENT_BYTES` are read into memory and become one array.

    Args:
        data: see `open_rows`; also a folder or a pattern of shards, a list of their paths, or a
            URL of object storage.
        context: see `ArraySource`.
        weights: see `ArraySource`.
        name: name of an array in error messages.
        columns: names of Parquet columns, see `parquet.read_rows`, or the name of a tensor.
        **names: `context_name` and `weights_name` of `ArraySource`.

    Raises:
        FlowjaxError: The data cannot be read, see `open_rows` and `read_shards`; or a context or
            weights are given for shards that are larger than memory.
    """
    paths = shard_paths(data)
    if paths is None:
        rows = open_rows(data, name, columns)
        return ArraySource(rows, context, weights=weights, name=name, **names)
    files = read_shards(paths, columns)
    source = ShardSource(files, name=str(data) if isinstance(data, (str, Path)) else name)
    if source.size * source.dim * 4 <= RESIDENT_BYTES:
        rows = np.empty((source.size, source.dim), np.float32)
        at = 0
        for block in source.blocks(8192):
            rows[at : at + len(block)] = block
            at += len(block)
        return ArraySource(rows, context, weights=weights, name=source.name, **names)
    check_that(context is None, names.get("context_name", "context"), "None for shards", "rows")
    check_that(weights is None, names.get("weights_name", "weights"), "None for shards", "rows")
    return source
