"""A stream of sentences cut into blocks of one size, counted and hashed on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from flowjax.data.fingerprint import Fingerprint
from flowjax.data.sentences import checked


class Blocks:
    """Blocks of `size` sentences, the last one shorter; never more than one in memory.

    Attributes:
        rows: sentences given out so far; all of them once the iteration has ended.
        empty: those left out because nothing but white space is in them.
        hash: of the sentences given out.

    Example:
        >>> blocks = Blocks(["a", "b", " ", "c"], 2, skip_empty=True)
        >>> list(blocks), blocks.rows, blocks.empty
        ([['a', 'b'], ['c']], 3, 1)
    """

    def __init__(self, sentences: Iterable[str], size: int, *, skip_empty: bool = False) -> None:
        """Names a stream; nothing is read yet. `skip_empty` leaves empty ones out and counts."""
        self._sentences, self.size, self.skip_empty = sentences, size, skip_empty
        self.rows = self.empty = 0
        self.hash = Fingerprint()

    def __iter__(self) -> Iterator[list[str]]:
        block: list[str] = []
        for sentence in checked(self._sentences):
            if self.skip_empty and not sentence.strip():
                self.empty += 1
                continue
            block.append(sentence)
            if len(block) == self.size:
                yield self._count(block)
                block = []
        if block:
            yield self._count(block)

    def _count(self, block: list[str]) -> list[str]:
        self.rows += len(block)
        self.hash.add(block)
        return block
