"""Blocks of equal size of a source's sentences or rows, counted and hashed while they are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from flowjax.data.fingerprint import Fingerprint
from flowjax.data.sentences import checked

if TYPE_CHECKING:
    from flowjax.data.arrays import ArraySource


class Blocks:
    """Blocks of `size` sentences (the last may be shorter), one in memory at a time.

    Attributes:
        rows: number of sentences read so far.
        empty: number of omitted sentences, which were only white space.
        hash: hash of the sentences read so far.

    Example:
        >>> blocks = Blocks(["a", "b", " ", "c"], 2, skip_empty=True)
        >>> list(blocks), blocks.rows, blocks.empty
        ([['a', 'b'], ['c']], 3, 1)
    """

    def __init__(self, sentences: Iterable[str], size: int, *, skip_empty: bool = False) -> None:
        """Stores the source.

        Args:
            sentences: source of the sentences, read once in each iteration.
            size: number of sentences per block.
            skip_empty: True to omit and count sentences that are only white space.
        """
        self._sentences, self.size, self.skip_empty = sentences, size, skip_empty
        self.rows = self.empty = 0
        self.hash = Fingerprint()

    def __iter__(self) -> Iterator[list[str]]:
        kept = self._kept()
        while block := list(islice(kept, self.size)):
            self.rows += len(block)
            self.hash.add(block)
            yield block

    def _kept(self) -> Iterator[str]:
        for sentence in checked(self._sentences):
            if self.skip_empty and not sentence.strip():
                self.empty += 1
            else:
                yield sentence


class RowBlocks:
    """Blocks of `size` rows of an array (the last may be shorter), one in memory at a time.

    Attributes:
        rows: number of rows read so far.
        empty: 0; no row is omitted.
        hash: hash of the rows read so far.

    Example:
        >>> from flowjax.data.arrays import ArraySource
        >>> blocks = RowBlocks(ArraySource(np.arange(3)[:, None], resident=False), 2)
        >>> [block.tolist() for block in blocks], blocks.rows
        ([[[0.0], [1.0]], [[2.0]]], 3)
    """

    def __init__(self, source: ArraySource, size: int) -> None:
        """Stores the source.

        Args:
            source: source of the rows, read once in each iteration.
            size: number of rows per block.
        """
        self._source, self.size = source, size
        self.rows = self.empty = 0
        self.hash = Fingerprint()

    def __iter__(self) -> Iterator[np.ndarray]:
        from flowjax.data.arrays import float_dtype  # imports jax

        given = getattr(self._source, "rows", None)  # shards have none, and are float32
        dtype = np.float32 if given is None else float_dtype(given.dtype)
        for rows in self._source.blocks(self.size):
            block = np.asarray(rows, dtype)
            self.rows += len(block)
            self.hash.add(block)
            yield block
