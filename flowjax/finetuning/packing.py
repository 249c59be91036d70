"""Packing of the sentences of many batches into rows of one length, vectorised over batches.

All batches of a run have one shape, because one compiled loop runs them. `rows_needed` finds the
number of rows that the largest batch of a run needs, so that no sentence is dropped.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from flowjax.encoder.batching import lengths_upto, slots


class Places(NamedTuple):
    """Places of sentences in packed rows.

    Attributes:
        row: row of each sentence, shape `(groups, k)`.
        slot: index of each sentence within its row, shape `(groups, k)`.
        start: position of its first token in the row, shape `(groups, k)`.
        used: number of rows that each group uses, shape `(groups,)`.
    """

    row: np.ndarray
    slot: np.ndarray
    start: np.ndarray
    used: np.ndarray


def row_length(max_length: int) -> int:
    """Returns the length of a packed row for sentences of at most `max_length` tokens."""
    return lengths_upto(max_length)[0]


def pack(sizes: np.ndarray, length: int) -> Places:
    """Packs each group of sentences into rows: the first row with space, longest sentence first.

    Args:
        sizes: numbers of tokens, shape `(groups, k)`, each from 1 to `length`.
        length: length of a row in tokens. A row has at most `slots(length)` sentences.

    Example:
        >>> found = pack(np.array([[3, 60, 8]]), 64)
        >>> found.row.tolist(), found.start.tolist(), found.used.tolist()
        ([[0, 0, 1]], [[60, 0, 0]], [2])
    """
    groups, k = sizes.shape
    order = np.argsort(-sizes, axis=1, kind="stable")
    each = np.arange(groups)
    room = np.full((groups, 4), length)
    count = np.zeros((groups, 4), int)
    row, slot, start = np.empty((3, groups, k), int)
    for j in range(k):
        at = order[:, j]
        size = sizes[each, at]
        fits = (room >= size[:, None]) & (count < slots(length))
        if not fits.any(axis=1).all():
            more = room.shape[1]
            room = np.pad(room, ((0, 0), (0, more)), constant_values=length)
            count = np.pad(count, ((0, 0), (0, more)))
            fits = (room >= size[:, None]) & (count < slots(length))
        chosen = fits.argmax(axis=1)
        row[each, at], slot[each, at] = chosen, count[each, chosen]
        start[each, at] = length - room[each, chosen]
        room[each, chosen] -= size
        count[each, chosen] += 1
    return Places(row, slot, start, (count > 0).sum(axis=1))
