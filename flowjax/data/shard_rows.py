"""Readers of rows of shards: at random from local `.npy` files, in blocks from all others."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np

from flowjax.data.formats import open_parquet
from flowjax.data.npy import load_npy
from flowjax.data.parquet import decoded_blocks
from flowjax.data.rowfile import RowFile
from flowjax.data.shards import BLOCK, Shard, stamp
from flowjax.errors import FlowjaxError
from flowjax.files import remote

# Most open files.
FILES = 64


class RandomRows:
    """Rows of local `.npy` shards, read one by one.

    Example:
        >>> import os, tempfile
        >>> from flowjax.data.shards import read_shards
        >>> path = os.path.join(tempfile.mkdtemp(), "a.npy")
        >>> np.save(path, np.arange(6.0).reshape(3, 2))
        >>> RandomRows(read_shards([path])).read(np.array([2, 0])).tolist()
        [[4.0, 5.0], [0.0, 1.0]]
    """

    def __init__(self, shards: Sequence[Shard]) -> None:
        self._shards = shards
        self._ends = np.cumsum([shard.rows for shard in shards])
        self._open = lru_cache(FILES)(self._opened)

    def _opened(self, number: int) -> Any:
        shard = self._shards[number]
        _check_same(shard)
        array: Any = load_npy(shard.path)
        if array.shape != (shard.rows, shard.dim):
            raise FlowjaxError(
                f"{shard.path}: expected shape {(shard.rows, shard.dim)}, got {array.shape}"
            )
        return RowFile(array).read if RowFile.can_read(array) else array.__getitem__

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Returns the rows with the given indices, shape (len(rows), d), in their order."""
        found = np.empty((len(rows), self._shards[0].dim), self._shards[0].dtype)
        numbers = np.searchsorted(self._ends, rows, "right")
        for number in np.unique(numbers).tolist():
            here = numbers == number
            first = self._ends[number] - self._shards[number].rows
            found[here] = self._open(number)(rows[here] - first)
        return found


class BlockRows:
    """Rows of shards that are decoded in blocks of at most `BLOCK` rows.

    Blocks that were read last stay in memory. Row groups are read from their start to their end,
    so the reader of a row group stays open until its next block is needed.
    """

    def __init__(self, shards: Sequence[Shard], cache_bytes: int) -> None:
        """Stores the shards.

        Args:
            shards: result of `read_shards`.
            cache_bytes: largest size of the decoded blocks in memory.
        """
        groups = [
            (number, group, rows)
            for number, shard in enumerate(shards)
            for group, rows in enumerate(shard.groups)
        ]
        blocks = [
            (number, group, at, min(BLOCK, rows - at))
            for number, group, rows in groups
            for at in range(0, rows, BLOCK)
        ]
        self._shards, self._blocks = shards, blocks
        self._ends = np.cumsum([block[3] for block in blocks])
        self._most = max(
            2, cache_bytes // max(1, BLOCK * shards[0].dim * shards[0].dtype.itemsize)
        )
        self._cache: OrderedDict[int, np.ndarray] = OrderedDict()
        # Readers of row groups by the number of their next block.
        self._readers: OrderedDict[int, tuple[Iterator[np.ndarray], ExitStack]] = OrderedDict()
        self._lock = Lock()  # a validation may read while the next batches are read

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Returns the rows with the given indices, shape (len(rows), d), in their order.

        Raises:
            FlowjaxError: A shard is damaged, changed, or has a number that is not finite.
        """
        found = np.empty((len(rows), self._shards[0].dim), self._shards[0].dtype)
        numbers = np.searchsorted(self._ends, rows, "right")
        order = np.argsort(numbers, kind="stable")
        wanted, starts = np.unique(numbers[order], return_index=True)
        with self._lock:
            for number, here in zip(wanted.tolist(), np.split(order, starts[1:]), strict=True):
                first = self._ends[number] - self._blocks[number][3]
                found[here] = self._block(number)[rows[here] - first]
        return found

    def _block(self, number: int) -> np.ndarray:
        if number in self._cache:
            self._cache.move_to_end(number)
            return self._cache[number]
        shard, group, at, size = self._blocks[number]
        if number in self._readers:
            blocks, stack = self._readers.pop(number)
        else:
            blocks, stack = self._reader(shard, group, at)
        block = next(blocks, None)
        if block is None or block.shape != (size, self._shards[shard].dim):
            got = "none" if block is None else str(block.shape)
            stack.close()
            raise FlowjaxError(
                f"{self._shards[shard].path}: expected a block of shape "
                f"{(size, self._shards[shard].dim)}, got {got}; the file is damaged"
            )
        self._cache[number] = block
        while len(self._cache) > self._most:
            self._cache.popitem(last=False)
        following = self._blocks[number + 1] if number + 1 < len(self._blocks) else (-1, -1, 0, 0)
        if following[:2] == (shard, group):
            self._readers[number + 1] = blocks, stack
        else:
            stack.close()
        while len(self._readers) > FILES:
            self._readers.popitem(last=False)[1][1].close()
        return block

    def _reader(self, number: int, group: int, at: int) -> tuple[Iterator[np.ndarray], ExitStack]:
        """Opens a row group and skips its first `at` rows."""
        shard, stack = self._shards[number], ExitStack()
        _check_same(shard)
        first = sum(shard.groups[:group])
        if not shard.columns:
            file = stack.enter_context(remote.open_remote(shard.path))
            return _npy_blocks(file, shard, first + at, shard.groups[group] - at), stack
        _, file = stack.enter_context(open_parquet(shard.path))
        blocks = decoded_blocks(
            file,
            shard.path,
            shard.columns,
            shard.lists,
            dtype=shard.dtype,
            group=group,
            first=first,
        )
        for _ in range(at // BLOCK):
            next(blocks, None)
        return blocks, stack


def _npy_blocks(file: Any, shard: Shard, first: int, rows: int) -> Iterator[np.ndarray]:
    width = shard.dim * shard.dtype.itemsize
    file.seek(shard.offset + first * width)
    for at in range(0, rows, BLOCK):
        size = min(BLOCK, rows - at) * width
        data = file.read(size)
        if len(data) != size:
            raise FlowjaxError(f"{shard.path}: expected {size} more bytes, got {len(data)}")
        yield np.frombuffer(data, shard.dtype).reshape(-1, shard.dim)


def _check_same(shard: Shard) -> None:
    if stamp(shard.path) != shard.stamp:
        raise FlowjaxError(
            f"{shard.path}: expected the file that was opened first, got a changed file; start "
            "again"
        )
