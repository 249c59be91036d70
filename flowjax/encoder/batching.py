"""Token lists to batches of few fixed shapes, with little padding: several sentences to a row.

A row of 64 tokens holds four or five sentences of 14. Attention stays inside a sentence (`Bert`
compares the mask's numbers), so a row costs what its tokens cost and padding all but vanishes;
XLA compiles one program for each shape, so their number is bounded whatever comes in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

# Rows are this long unless a sentence is longer: attention's share of the work stays small.
LENGTH = 64
# What fits in this is not padded to a whole row: one short query is answered at once.
SHORT = 32
# A batch holds about this many tokens for each sentence of `batch_size`.
TOKENS = 16
# Which parts of a full batch's rows the last batches of a length may have (0: one row), for one
# to four lengths. With SHORT that makes at most twelve shapes.
FRACTIONS: tuple[tuple[float, ...], ...] = (
    (1, 3 / 4, 1 / 2, 3 / 8, 1 / 4, 1 / 8, 1 / 16, 0),
    (1, 1 / 2, 1 / 4, 1 / 8, 0),
    (1, 1 / 4, 0),
    (1, 1 / 4, 0),
)


class Batch(NamedTuple):
    """Rows of sentences, and where each sentence stands.

    `ids`, `mask` and `positions` are `(rows, length)` int32: token ids; 0 at padding and 1, 2,
    3 ... at the tokens of a row's first, second, third ... sentence; each token's place in its
    sentence. Sentence `where[i]` is number `slot[i] + 1` of row `row[i]`.
    """

    ids: np.ndarray
    mask: np.ndarray
    positions: np.ndarray
    where: np.ndarray
    row: np.ndarray
    slot: np.ndarray


def slots(length: int) -> int:
    """How many sentences a row may hold: as many as have three tokens, `[CLS] word [SEP]`."""
    return max(length // 3, 1)


def lengths_upto(max_length: int) -> tuple[int, ...]:
    """The lengths that rows may have, longest first: at most four, each half the one before.

    Example:
        >>> lengths_upto(32), lengths_upto(300)
        ((64,), (304, 152, 76))
    """
    lengths = [max(-(-max_length // 8) * 8, LENGTH)]
    while len(lengths) < 4 and lengths[-1] // 2 >= LENGTH:
        lengths.append(lengths[-1] // 2)
    return tuple(lengths)


def shapes(batch_size: int, max_length: int, multiple: int = 1) -> list[tuple[int, int]]:
    """All `(rows, length)` that `batches` may give, twelve at most.

    Example:
        >>> shapes(64, 64)[:4]
        [(16, 64), (12, 64), (8, 64), (6, 64)]
    """
    lengths = lengths_upto(max_length)
    found = [(n, m) for m in lengths for n in _sizes(batch_size, m, multiple, lengths)]
    return [*found, (multiple, SHORT)]


def batches(
    tokens: Sequence[Sequence[int]],
    *,
    batch_size: int,
    max_length: int,
    pad_id: int = 0,
    multiple: int = 1,
) -> Iterator[Batch]:
    """Packs token lists into rows and cuts the rows into batches.

    Args:
        tokens: ids of each sentence, at most `max_length` each.
        batch_size: about how many sentences of `TOKENS` tokens a batch holds.
        max_length: the longest length.
        pad_id: what padding holds.
        multiple: rows come in multiples of this (the number of devices).

    Yields:
        Batches, longest rows first, so that a lack of memory shows at once.

    Example:
        >>> batch, = batches([[1], [1, 2]], batch_size=64, max_length=64)
        >>> batch.mask[0, :4].tolist(), batch.where.tolist(), batch.slot.tolist()
        ([1, 1, 2, 0], [1, 0], [0, 1])
    """
    sizes = np.fromiter(map(len, tokens), int, len(tokens))
    lengths = lengths_upto(max_length)
    if len(tokens) <= slots(SHORT) and sizes.sum() <= SHORT:
        lengths = (SHORT,)
    for length, rows in _pack(sizes, lengths).items():
        counts = (multiple,) if length == SHORT else _sizes(batch_size, length, multiple, lengths)
        for start, count in _cut(len(rows), counts):
            yield _batch(tokens, sizes, rows[start : start + count], (count, length), pad_id)


def _sizes(
    batch_size: int, length: int, multiple: int, lengths: tuple[int, ...]
) -> tuple[int, ...]:
    """The numbers of rows that batches of this length may have, largest first."""
    full = max(round(TOKENS * batch_size / length / multiple), 1)
    parts = FRACTIONS[len(lengths) - 1]
    if len(lengths) == 4 and length == lengths[0]:
        parts = parts[:2]  # few rows to a batch: two sizes do, and twelve shapes is the limit
    found = {max(round(full * part), 1) * multiple for part in parts}
    return tuple(sorted(found, reverse=True))


def _pack(sizes: np.ndarray, lengths: tuple[int, ...]) -> dict[int, list[list[int]]]:
    """For each length its rows, each a list of sentences: longest first, where it fits best."""
    rows: dict[int, list[list[int]]] = {length: [] for length in lengths}
    # room[r] are the rows with r tokens left; bit r of `filled` says that there are any.
    room: list[list[tuple[int, list[int]]]] = [[] for _ in range(lengths[0] + 1)]
    filled = 0
    for i in np.argsort(-sizes, kind="stable").tolist():
        size = int(sizes[i])
        if fitting := filled >> size:
            left = size + (fitting & -fitting).bit_length() - 1
            length, row = room[left].pop()
            filled ^= 0 if room[left] else 1 << left
        else:
            left = length = min(n for n in lengths if n >= size)
            row = []
            rows[length].append(row)
        row.append(i)
        if len(row) < slots(length):
            room[left - size].append((length, row))
            filled |= 1 << (left - size)
    return rows


def _cut(rows: int, counts: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Cuts rows into batches of the allowed counts: full ones, then few with little padding."""
    start = 0
    while (left := rows - start) > 0:
        above = min((n for n in counts if n >= left), default=counts[0])
        below = max((n for n in counts if n <= left), default=above)
        count = above if below < left >= 0.75 * above else below
        yield start, count
        start += count


def _batch(
    tokens: Sequence[Sequence[int]],
    sizes: np.ndarray,
    rows: list[list[int]],
    shape: tuple[int, int],
    pad_id: int,
) -> Batch:
    where = np.array([i for row in rows for i in row], int)
    row = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    slot = np.concatenate([np.arange(len(row)) for row in rows])
    size = sizes[where]
    before = np.cumsum(size) - size  # tokens before each sentence, then those of its row alone
    start = row * shape[1] + before - before[np.searchsorted(row, row)]
    position = np.arange(size.sum()) - np.repeat(before, size)
    place = np.repeat(start, size) + position
    ids = np.full(shape, pad_id, np.int32)
    mask, positions = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    ids.flat[place] = np.concatenate([np.asarray(tokens[i], np.int32) for i in where])
    mask.flat[place] = np.repeat(slot + 1, size)
    positions.flat[place] = position
    return Batch(ids, mask, positions, where, row, slot)
