"""Parts of a shuffled source, such as the held-out examples of a large file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from flowjax.data.arrays import ArraySource, Shard, bounds
from flowjax.data.shuffle import shuffled


class Part(ArraySource):
    """Rows `start` to `stop` of a shuffled source, without a copy of the rows.

    Example:
        >>> whole = ArraySource(np.arange(8.0).reshape(8, 1), resident=False)
        >>> parts = Part(whole, 0, 3, seed=0), Part(whole, 3, 8, seed=0)
        >>> sorted(x for part in parts for block in part.blocks(2) for x in block[:, 0].tolist())
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    """

    def __init__(self, whole: ArraySource, start: int, stop: int, *, seed: int) -> None:
        """Defines the part.

        Args:
            whole: source that is not resident.
            start: first position in the shuffled order.
            stop: position after the last row of the part.
            seed: integer seed of the shuffle.
        """
        self.size, self.dim, self.resident = stop - start, whole.dim, None
        self.name, self.context, self.weights = whole.name, whole.context, whole.weights
        self._whole, self._start, self._seed = whole, start, seed

    def take(self, rows: Any) -> dict[str, np.ndarray]:
        """Returns a dict with the arrays `x` and, if there are any, `context` and `weight`.

        Args:
            rows: row indices within the part.
        """
        whole = self._whole
        return whole.take(shuffled(rows + self._start, whole.size, seed=self._seed))

    def blocks(self, size: int, shard: Shard = (0, 1)) -> Iterator[np.ndarray]:
        """Yields those rows of a shard of the whole source that belong to the part.

        The rows have the order of the whole source.

        Args:
            size: maximum number of rows of a block.
            shard: shard of the whole source.
        """
        whole, step = self._whole, 1 << 20
        mine, stop = np.zeros(whole.size, bool), self._start + self.size
        for start in range(self._start, stop, step):
            numbers = np.arange(start, min(start + step, stop))
            mine[shuffled(numbers, whole.size, seed=self._seed)] = True
        at, _ = bounds(whole.size, shard)
        for block in whole.blocks(size, shard):
            yield block[mine[at : at + len(block)]]
            at += len(block)
