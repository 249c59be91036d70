"""Order of training examples in shards that cannot be read at random, such as Parquet files.

A batch is a pure function of (seed, step), as with the global shuffle of `shuffle.py`, so a run
resumes exactly on another number of processes. The examples are cut into contiguous lanes, and
every batch has equally many examples of each lane. In each epoch, a lane reads its row groups in
another order, and shuffles the rows inside of windows of fixed length. A process reads only the
lanes of its part of the batch.

Randomness that is lost: the lane of an example never changes, and examples of one window meet in
the batches of that window only. Row groups that hold one topic each are mixed less than by a
global shuffle.
"""

from __future__ import annotations

import numpy as np

from flowjax.data.shuffle import shuffled

# Most lanes, and fewest row groups of a lane.
LANES, GROUPS = 16, 4


class WindowOrder:
    """Order of examples that are stored in row groups.

    Attributes:
        size: number of examples.
        window: number of examples that are shuffled together, over all lanes.

    Example:
        >>> order = WindowOrder([3, 3, 3, 3], window=4)
        >>> rows = order.batches_rows(0, 3, 4, seed=0)
        >>> rows.shape, sorted(rows.ravel().tolist()) == list(range(12))
        ((3, 4), True)
    """

    def __init__(self, groups: np.ndarray | list[int], window: int) -> None:
        """Stores the sizes of the row groups.

        Args:
            groups: number of examples of each row group, all positive.
            window: number of examples that are shuffled together, over all lanes.
        """
        self._ends = np.cumsum(np.asarray(groups, np.int64))
        self.size, self.window = int(self._ends[-1]), window

    def lanes(self, batch_size: int) -> int:
        """Returns the number of lanes, a power of two that divides the batch size.

        Args:
            batch_size: number of examples of a global batch.
        """
        lanes = LANES
        while lanes > 1 and (batch_size % lanes or len(self._ends) < lanes * GROUPS):
            lanes //= 2
        return lanes

    def batches_rows(self, start: int, stop: int, batch_size: int, *, seed: int) -> np.ndarray:
        """Returns the examples of the steps `start` to `stop - 1`, shape (stop - start, batch).

        Args:
            start: first step.
            stop: step after the last.
            batch_size: number of examples of a global batch.
            seed: integer seed of the run.
        """
        lanes = self.lanes(batch_size)
        each = batch_size // lanes
        place = np.arange(start * each, stop * each, dtype=np.int64)
        columns = []
        for lane in range(lanes):
            first, end = (self.size * k // lanes for k in (lane, lane + 1))
            epochs, positions = place // (end - first), place % (end - first)
            rows = [
                self._lane_rows(positions[epochs == e], (first, end), lane, lanes, (seed, int(e)))
                for e in range(int(epochs[0]), int(epochs[-1]) + 1)
            ]
            columns.append(np.concatenate(rows).reshape(stop - start, each))
        return np.concatenate(columns, axis=1)

    def _lane_rows(
        self,
        positions: np.ndarray,
        bounds: tuple[int, int],
        lane: int,
        lanes: int,
        key: tuple[int, int],
    ) -> np.ndarray:
        """Returns the examples at some positions of a lane in one epoch; see the module."""
        first, end = bounds
        seed, epoch = key
        # The row groups of a lane, cut at its bounds.
        low = int(np.searchsorted(self._ends, first, "right"))
        high = int(np.searchsorted(self._ends, end, "left")) + 1
        stops = np.minimum(self._ends[low:high], end)
        starts = np.concatenate([[first], stops[:-1]])
        mixed = (epoch * lanes + lane) << 40
        order = shuffled(np.arange(len(starts)), len(starts), seed=seed, epoch=mixed)
        starts, sizes = starts[order], (stops - starts)[order]
        ends = np.cumsum(sizes)
        # The lanes change their windows at different steps, so that the reads are spread in time.
        width = max(1, self.window // lanes)
        shift = width * lane // lanes
        windows = (positions + shift) // width
        places = np.empty_like(positions)
        for k in np.unique(windows).tolist():
            here = windows == k
            left, right = max(0, k * width - shift), min(end - first, (k + 1) * width - shift)
            inside = shuffled(positions[here] - left, right - left, seed=seed, epoch=mixed + k + 1)
            places[here] = left + inside
        group = np.searchsorted(ends, places, "right")
        found: np.ndarray = starts[group] + places - (ends - sizes)[group]
        return found
