"""Held-out sentences: a random sample of the distinct sentences of a source, in one pass."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from flowjax.data.arrays import RESIDENT_BYTES
from flowjax.data.sentences import SentenceSource, checked

# Fraction of the distinct sentences that is held out, and limits of their number. Small data sets
# need a larger fraction, because a measure on few pairs is noise.
FRACTION, MOST = 0.1, 2000
SMALL_FRACTION, SMALL_MOST = 0.25, 1000
_RANGE = 1 << 64


class Held(NamedTuple):
    """Held-out sentences.

    Attributes:
        sentences: distinct sentences in the order of the source.
        first: row of the first occurrence of each of them among the non-empty sentences.
        rows: rows of all occurrences, sorted.
        distinct: number of distinct non-empty sentences of the source, estimated if it is large.
    """

    sentences: list[str]
    first: np.ndarray
    rows: np.ndarray
    distinct: int


class SampledSource:
    """Source of sentences that chooses the held-out sentences while it is read.

    A sentence is chosen by a hash of its text and the seed. All occurrences of a repeated sentence
    are therefore held out together, the choice does not depend on the order, and all processes of
    a job make the same choice.

    Example:
        >>> source = SampledSource([f"Sentence {i}." for i in range(1000)], seed=0)
        >>> len(source.held().sentences), source.held().distinct
        (250, 1000)
    """

    def __init__(self, source: SentenceSource, seed: int) -> None:
        """Wraps a source.

        Args:
            source: source of the sentences; empty sentences are not counted as rows.
            seed: integer seed of the choice.
        """
        self._source, self._seed = source, seed
        self.name = getattr(source, "name", "sentences")
        self.is_stream = getattr(source, "is_stream", False)
        self._held: Held | None = None

    def __iter__(self) -> Iterator[str]:
        key = str(self._seed).encode()[:64]
        rows: dict[str, list[int]] = {}
        largest: list[tuple[int, str]] = []  # heap of the negative hashes
        total = 0
        for text in checked(self._source):
            if text.strip():
                if text in rows:
                    rows[text].append(total)
                else:
                    digest = hashlib.blake2b(text.encode(), digest_size=8, key=key).digest()
                    number = int.from_bytes(digest, "little")
                    if len(largest) < MOST:
                        heapq.heappush(largest, (-number, text))
                        rows[text] = [total]
                    elif number < -largest[0][0]:
                        del rows[heapq.heappushpop(largest, (-number, text))[1]]
                        rows[text] = [total]
                total += 1
            yield text
        order = [text for _, text in sorted(largest, reverse=True)]
        # The smallest of n uniform hashes: the MOST-th smallest one determines n approximately.
        distinct = len(order)
        if distinct == MOST:
            distinct = max(MOST, int(MOST * _RANGE / (1 - largest[0][0])))
        chosen = sorted(order[: held_count(distinct)], key=lambda text: rows[text][0])
        found = sorted(row for text in chosen for row in rows[text])
        first = [rows[text][0] for text in chosen]
        self._held = Held(chosen, np.array(first, np.int64), np.array(found, np.int64), distinct)

    def fingerprint(self) -> str | None:
        """Returns the hash of the wrapped source; None for a stream."""
        return self._source.fingerprint()

    def held(self) -> Held:
        """Returns the held-out sentences; reads the source if it was not read to its end."""
        if self._held is None:
            for _ in self:
                pass
        if self._held is None:
            raise AssertionError(self.name)
        return self._held


def held_count(distinct: int) -> int:
    """Returns the number of sentences to hold out.

    Args:
        distinct: number of distinct sentences.

    Example:
        >>> held_count(400), held_count(8000), held_count(10**6)
        (100, 1000, 2000)
    """
    small = min(int(SMALL_FRACTION * distinct), SMALL_MOST)
    return min(MOST, max(int(FRACTION * distinct), small))


def rest_of(values: np.ndarray, held: Held) -> np.ndarray:
    """Returns the rows that are not held out; all rows of an array that is too large to copy.

    Args:
        values: array with one row per non-empty sentence of the source.
        held: held-out sentences.

    Example:
        >>> rest_of(np.arange(4), Held(["a"], np.array([0]), np.array([0, 2]), 3))
        array([1, 3])
    """
    if values.size * values.dtype.itemsize > RESIDENT_BYTES:
        return values
    return np.delete(values, held.rows, axis=0)
