"""Training examples of one or several sentences each, in packed batches of constant shape."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from flowjax.data.shuffle import batches_rows
from flowjax.encoder.batching import slots
from flowjax.errors import FlowjaxError
from flowjax.finetuning.packing import pack, row_length

# Batches whose rows are counted at a time.
_STEPS = 2048


class TokenTable(NamedTuple):
    """Token ids of sentences in one array.

    Attributes:
        ids: token ids of all sentences, one after another.
        starts: index of the first token of each sentence and the total, shape `(n + 1,)`.
    """

    ids: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, tokens: Sequence[Sequence[int]]) -> TokenTable:
        """Returns the table of a list of token ids.

        Example:
            >>> TokenTable.of([[2, 3], [2, 7, 3]]).starts.tolist()
            [0, 2, 5]
        """
        sizes = np.fromiter(map(len, tokens), np.int64, len(tokens))
        ids = np.fromiter((i for one in tokens for i in one), np.int32, int(sizes.sum()))
        return cls(ids, np.concatenate([[0], np.cumsum(sizes)]))

    @property
    def sizes(self) -> np.ndarray:
        """Number of tokens of each sentence, shape `(n,)`."""
        return np.diff(self.starts)


class PackedExamples:
    """Examples (`training.ExampleSource`) that are read as packed groups.

    A group is the part of a batch that a device encodes at a time. A batch of `b` examples of a
    device has `b / group` groups, one after another.

    Attributes:
        size: number of examples.
        views: number of sentences of an example.
        group: number of examples in a group.
        rows: number of packed rows of a group.
        fill: fraction of the packed tokens that are not padding.
    """

    resident: Any = None

    def __init__(
        self,
        table: TokenTable,
        sentences: np.ndarray,
        extra: dict[str, np.ndarray],
        *,
        group: int,
        max_length: int,
        batch_size: int,
        steps: int,
        seed: int,
    ) -> None:
        """Counts the rows that the largest group of the run needs.

        Args:
            table: token ids of the distinct sentences.
            sentences: index in the table of each sentence of each example, shape `(n, views)`.
            extra: other arrays of the examples by name, shape `(n, ...)`.
            group: number of examples in a group.
            max_length: largest number of tokens of a sentence.
            batch_size: number of examples of a global batch, a multiple of `group`.
            steps: number of batches of the run.
            seed: integer seed of the shuffle.
        """
        self._table, self._sentences, self._extra = table, sentences, extra
        self.size, self.views = map(int, sentences.shape)
        self.group, self._length = group, row_length(max_length)
        self.rows = 1
        tokens = groups = 0
        for start in range(0, steps, _STEPS):
            stop = min(start + _STEPS, steps)
            numbers = batches_rows(start, stop, batch_size, self.size, seed=seed)
            sizes = table.sizes[self._grouped(numbers.reshape(-1))]
            self.rows = max(self.rows, int(pack(sizes, self._length).used.max()))
            tokens, groups = tokens + int(sizes.sum()), groups + len(sizes)
        self.fill = tokens / max(1, groups * self.rows * self._length)

    def _grouped(self, numbers: np.ndarray) -> np.ndarray:
        """Returns the sentences of each group, all first views before the second ones."""
        found = self._sentences[numbers].reshape(-1, self.group, self.views)
        grouped: np.ndarray = found.transpose(0, 2, 1).reshape(len(found), -1)
        return grouped

    def read(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the packed groups of the selected examples.

        Args:
            rows: numbers of examples, shape `(m,)`; m is a multiple of `group`.

        Returns:
            `ids`, `mask`, `positions`: shape `(groups * self.rows, length)`, as in
            `batching.Batch`; `places`: index `row * slots + slot` of each sentence in its group,
            shape `(groups * views * group,)`; and the other arrays of the examples.

        Raises:
            FlowjaxError: The examples need more rows than any batch of the run.
        """
        numbers = self._grouped(rows)
        sizes = self._table.sizes[numbers]
        found = pack(sizes, self._length)
        if (used := int(found.used.max())) > self.rows:
            raise FlowjaxError(f"rows: expected a batch of the run, got {used} packed rows")
        shape = (len(numbers) * self.rows, self._length)
        flat, sentence = sizes.ravel(), numbers.ravel()
        first = np.arange(len(numbers))[:, None] * self.rows + found.row
        start = (first * self._length + found.start).ravel()
        before = np.cumsum(flat) - flat
        position = np.arange(flat.sum()) - np.repeat(before, flat)
        place = np.repeat(start, flat) + position
        ids, mask, positions = np.zeros((3, *shape), np.int32)
        ids.flat[place] = self._table.ids[np.repeat(self._table.starts[sentence], flat) + position]
        mask.flat[place] = np.repeat(found.slot.ravel() + 1, flat)
        positions.flat[place] = position
        places = (found.row * slots(self._length) + found.slot).astype(np.int32).ravel()
        packed = {"ids": ids, "mask": mask, "positions": positions, "places": places}
        return packed | {name: values[rows] for name, values in self._extra.items()}

    @property
    def nbytes(self) -> int:
        """Approximate size of a packed group in bytes."""
        return 12 * self.rows * self._length + 8 * int(self.views * self.group)

    def digest(self) -> str:
        """Returns a hash of all examples, which does not depend on devices and groups."""
        found = hashlib.sha256()
        arrays = [*self._table, self._sentences, *(self._extra[k] for k in sorted(self._extra))]
        for array in arrays:
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()[:16]
