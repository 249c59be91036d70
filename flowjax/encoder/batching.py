"""Token lists to batches of few fixed shapes, so that XLA compiles a handful of programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

# Steps of at most a third keep the padding small; twelve at most for any input.
LENGTHS = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)


class Batch(NamedTuple):
    """Sentences of about one length.

    `ids` and `mask` are `(rows, length)` int32; `where` `(n,)` says which sentence each of the
    first n rows is; the rows after them are padding.
    """

    ids: np.ndarray
    mask: np.ndarray
    where: np.ndarray


def lengths_upto(max_length: int) -> tuple[int, ...]:
    """The lengths that batches may have: those of `LENGTHS` below `max_length`, and itself."""
    return (*(n for n in LENGTHS[:11] if n < max_length), max_length)


def batches(
    tokens: Sequence[Sequence[int]], *, rows: int, max_length: int, pad_id: int = 0
) -> Iterator[Batch]:
    """Sorts token lists by length and cuts them into padded batches.

    Args:
        tokens: ids of each sentence, at most `max_length` each.
        rows: rows of every batch.
        max_length: the longest length.
        pad_id: what padding holds.

    Yields:
        Batches, longest first, so that a lack of memory shows at once.

    Example:
        >>> [(b.ids.shape, b.where.tolist()) for b in batches([[1], [1, 2]], rows=2, max_length=8)]
        [((2, 8), [1, 0])]
    """
    sizes = np.fromiter(map(len, tokens), int, len(tokens))
    allowed = np.array(lengths_upto(max_length))
    order = np.argsort(-sizes, kind="stable")
    for start in range(0, len(order), rows):
        where = order[start : start + rows]
        length = int(allowed[np.searchsorted(allowed, sizes[where[0]])])
        ids = np.full((rows, length), pad_id, np.int32)
        mask = np.zeros((rows, length), np.int32)
        for row, i in enumerate(where):
            ids[row, : sizes[i]] = tokens[i]
            mask[row, : sizes[i]] = 1
        yield Batch(ids, mask, where)
