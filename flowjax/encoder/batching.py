"""Batches of tokenized sentences with sequence packing: several sentences per row.

`Bert` restricts attention to the tokens of the same sentence. Packing reduces padding (see
`benchmarks/encoder.md`). XLA compiles one program for each batch shape, so the number of shapes is
limited to twelve.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

Tokens = Sequence[Sequence[int]]
Rows = list[list[int]]  # sentence indices of each row

# Length of a row unless a sentence is longer. Attention is a small part of the cost of short rows.
LENGTH = 64
# Row length if all sentences fit into one row of this length, so that a single query is not padded
# to LENGTH.
SHORT = 32
# Assumed number of tokens per sentence: a full batch has TOKENS * batch_size tokens.
TOKENS = 16
# Allowed sizes of the final, partial batches of each row length, as fractions of a full batch (0
# means one row). Entry i is used with i + 1 different row lengths. Together with the SHORT row,
# there are at most twelve shapes.
FRACTIONS: tuple[tuple[float, ...], ...] = (
    (1, 3 / 4, 1 / 2, 3 / 8, 1 / 4, 1 / 8, 1 / 16, 0),
    (1, 1 / 2, 1 / 4, 1 / 8, 0),
    (1, 1 / 4, 0),
    (1, 1 / 4, 0),
)


class Batch(NamedTuple):
    """Rows of packed sentences.

    Attributes:
        ids: token ids, shape `(rows, length)`, int32; 0 at padding, which no sentence attends to.
        mask: number of each token's sentence within its row, 1, 2, 3 ..., or 0 at padding; shape
            and dtype of `ids`.
        positions: position of each token in its sentence, from 0; shape and dtype of `ids`.
        sentences: index of each packed sentence in the input, shape `(n,)`.
        row: row index of each packed sentence, shape `(n,)`.
        slot: index of each packed sentence within its row, shape `(n,)`.
    """

    ids: np.ndarray
    mask: np.ndarray
    positions: np.ndarray
    sentences: np.ndarray
    row: np.ndarray
    slot: np.ndarray


def slots(length: int) -> int:
    """Returns the largest number of sentences in a row of `length` tokens.

    A sentence has at least three tokens: `[CLS]`, a word and `[SEP]`.
    """
    return max(length // 3, 1)


def lengths_upto(max_length: int) -> tuple[int, ...]:
    """Returns the allowed row lengths, longest first: at most four, each half of the previous.

    Example:
        >>> lengths_upto(32), lengths_upto(300)
        ((64,), (304, 152, 76))
    """
    lengths = [max(-(-max_length // 8) * 8, LENGTH)]
    while len(lengths) < 4 and lengths[-1] // 2 >= LENGTH:
        lengths.append(lengths[-1] // 2)
    return tuple(lengths)


def batches(
    tokens: Tokens, batch_size: int, max_length: int, multiple: int = 1
) -> Iterator[Batch]:
    """Packs token lists into rows and cuts the rows into batches.

    Args:
        tokens: token ids of each sentence, at most `max_length` per sentence.
        batch_size: approximate number of sentences of `TOKENS` tokens in a batch.
        max_length: largest number of tokens in a sentence.
        multiple: divisor of the number of rows of every batch (the number of devices).

    Yields:
        Batches, longest rows first, so that a lack of memory raises an error early.

    Example:
        >>> batch, = batches([[1], [1, 2]], batch_size=64, max_length=64)
        >>> batch.mask[0, :4].tolist(), batch.sentences.tolist(), batch.slot.tolist()
        ([1, 1, 2, 0], [1, 0], [0, 1])
    """
    sizes = np.fromiter(map(len, tokens), int, len(tokens))
    lengths = lengths_upto(max_length)
    if len(tokens) <= slots(SHORT) and sizes.sum() <= SHORT:
        lengths = (SHORT,)
    for length, rows in _pack(sizes, lengths).items():
        for start, count in _cut(len(rows), row_counts(batch_size, length, multiple, lengths)):
            yield _batch(tokens, rows[start : start + count], (count, length))


def row_counts(batch_size: int, length: int, multiple: int, lengths: Sequence[int]) -> list[int]:
    """Returns the allowed numbers of rows in a batch with rows of `length`, largest first."""
    if length == SHORT:
        return [multiple]
    full = max(round(TOKENS * batch_size / length / multiple), 1)
    parts = FRACTIONS[len(lengths) - 1]
    if len(lengths) == 4 and length == lengths[0]:
        parts = parts[:2]  # keeps the limit of twelve shapes; batches of this length have few rows
    found = {max(round(full * part), 1) * multiple for part in parts}
    return sorted(found, reverse=True)


def _pack(sizes: np.ndarray, lengths: tuple[int, ...]) -> dict[int, Rows]:
    """Packs sentences into rows by best fit, longest first.

    Returns:
        Dict from row length to rows; a row is a list of sentence indices.
    """
    rows: dict[int, Rows] = {length: [] for length in lengths}
    # room[r] lists the rows with r free tokens; bit r of `filled` is set if room[r] is not empty.
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


def _cut(rows: int, counts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yields the first row and the number of rows, `(start, count)`, of each batch.

    Full batches come first, followed by few smaller batches with little padding.
    """
    start = 0
    while (left := rows - start) > 0:
        above = min((n for n in counts if n >= left), default=counts[0])
        below = max((n for n in counts if n <= left), default=above)
        count = above if below < left >= 0.75 * above else below
        yield start, count
        start += count


def _batch(tokens: Tokens, rows: Rows, shape: tuple[int, int]) -> Batch:
    sentences = np.array([i for row in rows for i in row], int)
    row = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    slot = np.concatenate([np.arange(len(row)) for row in rows])
    size = np.array([len(tokens[i]) for i in sentences])
    before = np.cumsum(size) - size  # number of tokens in all preceding sentences
    start = row * shape[1] + before - before[np.searchsorted(row, row)]
    position = np.arange(size.sum()) - np.repeat(before, size)
    place = np.repeat(start, size) + position
    ids, mask, positions = np.zeros((3, *shape), np.int32)
    ids.flat[place] = np.concatenate([np.asarray(tokens[i], np.int32) for i in sentences])
    mask.flat[place] = np.repeat(slot + 1, size)
    positions.flat[place] = position
    return Batch(ids, mask, positions, sentences, row, slot)
