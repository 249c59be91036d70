"""Documents of sentences from any source of text: lines, records, lists and tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby, islice
from typing import Any, NamedTuple

import numpy as np

from flowjax.data.sentences import checked, open_source
from flowjax.data.splitting import is_wrapped, split_sentences
from flowjax.errors import FlowjaxError, check_integer

# Texts from which the structure of a source is determined.
_HEAD = 20_000
# Texts after which the reader stops, so that a very large source takes seconds.
_MOST = 2_000_000
# Sentences of one document, so that a few long documents do not fill a sample.
_PER_DOCUMENT = 20
# Blocks or texts are documents if this fraction of the first ones has several sentences.
_SEVERAL, _PROBE = 0.5, 2000


class Documents(NamedTuple):
    """Documents of sentences.

    Attributes:
        documents: sentences of each document, in the order of the source. Without documents
            (`unit` is "line"), each list has one sentence.
        unit: what a document is: "block" (texts between blank lines), "text" (a text of several
            sentences), or "line" (a single sentence, so that its neighbours are unknown).
        name: name of the source.
        read: number of texts (lines, records or items) that are not blank.
        complete: True if `documents` has all sentences, False if they are a sample.
        repeated: number of omitted sentences that occurred before.
    """

    documents: list[list[str]]
    unit: str
    name: str
    read: int
    complete: bool
    repeated: int

    @property
    def sentences(self) -> list[str]:
        """Sentences of all documents, in order."""
        return list(chain.from_iterable(self.documents))

    @property
    def known(self) -> bool:
        """True if neighbouring sentences are known."""
        return self.unit != "line"


def read_documents(
    source: Any, column: str | None = None, *, most: int = 5000, seed: int = 0
) -> Documents:
    r"""Reads documents of sentences, or a random sample of documents if there are too many.

    - If there are blank lines (or empty items), the texts between them are one document.
    - Otherwise, if most texts have several sentences, each text is a document.
    - Otherwise, each text is one sentence, and is not split.

    Texts of a document are split into sentences, see `split_sentences`. The line ends of a text
    separate paragraphs, but lines that were broken at a fixed width are joined. Repeated sentences
    are omitted.

    Args:
        source: source of texts, see `open_source`. At most the first two million texts are read.
        column: name of the field with the text.
        most: number of sentences after which no more documents are added. Only the first
            sentences of a long document are used (20, or more if there are few documents).
        seed: integer seed of the sample.

    Raises:
        FlowjaxError: The source cannot be read, has no text, or holds a NUL character.

    Example:
        >>> found = read_documents(["One here. Two there.", "Three.", "", "Four. Five."])
        >>> found.unit, found.documents
        ('block', [['One here.', 'Two there.', 'Three.'], ['Four.', 'Five.']])
        >>> read_documents(["One here. Two there.", "Three. Four."]).unit
        'text'
        >>> read_documents(["a man plays a flute", "rain falls"]).documents
        [['a man plays a flute'], ['rain falls']]
    """
    check_integer("most", most, least=1)
    rows = open_source(source, column)
    texts = _texts(rows, rows.name)
    head = list(islice(texts, _HEAD))
    if not any(head):
        raise FlowjaxError(f"{rows.name}: expected text, got no line with words")
    unit, wrapped = structure(head)
    sample = _Sample(most, np.random.default_rng(seed))
    for group in _groups(chain(head, islice(texts, _MOST - len(head))), unit):
        sample.add(group)
    limit = max(_PER_DOCUMENT, 4 * most // len(sample.groups))
    seen: set[str] = set()
    documents: list[tuple[int, list[str]]] = []
    used = repeated = cut = 0
    while used < len(sample.groups) and len(seen) < most:
        place, group = sample.groups[used]
        found = sentences_of(group, unit, wrapped)
        new = [s for s in dict.fromkeys(found[:limit]) if s not in seen]
        cut += max(0, len(found) - limit)
        repeated += min(limit, len(found)) - len(new)
        seen.update(new)
        documents += [(place, new)] if new else []
        used += 1
    complete = used == sample.seen and not cut
    ordered = [sentences for _, sentences in sorted(documents)]
    return Documents(ordered, unit, rows.name, sample.texts, complete, repeated)


def structure(texts: Sequence[str]) -> tuple[str, bool]:
    """Returns the unit of a source, see `Documents`, and True if its lines are wrapped.

    Args:
        texts: first texts of the source; a blank text is empty.

    Example:
        >>> structure(["One. Two.", "", "Three.", "Four."]), structure(["One.", "", "Two."])
        (('block', False), ('line', False))
    """
    wrapped = is_wrapped([line for text in texts for line in text.split("\n")])
    for unit in ("block", "text"):
        groups = list(islice(_groups(texts, unit), _PROBE))
        several = sum(len(sentences_of(group, unit, wrapped)) > 1 for group in groups)
        if several >= _SEVERAL * len(groups) and (len(groups) > 1 or unit == "text"):
            return unit, wrapped
    return "line", wrapped


def sentences_of(texts: Sequence[str], unit: str, wrapped: bool) -> list[str]:
    """Returns the sentences of the texts of one document; texts of the unit "line" are kept.

    Example:
        >>> sentences_of(["One. Two.", "Three."], "block", False)
        ['One.', 'Two.', 'Three.']
    """
    if unit == "line":
        return [" ".join(text.split()) for text in texts]
    lines = [line for text in texts for line in text.split("\n")]
    if wrapped:
        lines = [
            " ".join(part) for kept, part in groupby(lines, lambda x: bool(x.strip())) if kept
        ]
    return [sentence for line in lines for sentence in split_sentences(line)]


class _Sample:
    """Random sample of groups from a stream (reservoir sampling).

    Attributes:
        groups: index in the stream and texts of each sampled group, in random order.
        seen: number of groups of the stream.
        texts: number of texts of all groups.
    """

    def __init__(self, most: int, rng: np.random.Generator) -> None:
        self.groups: list[tuple[int, list[str]]] = []
        self.seen = self.texts = 0
        self._most, self._rng = most, rng

    def add(self, group: list[str]) -> None:
        """Adds a group; a random group is replaced if the sample is full."""
        self.seen += 1
        self.texts += len(group)
        place = int(self._rng.integers(self.seen))
        if self.seen <= self._most:
            # Insertion at a random place, so that a part of the sample is a random sample too.
            self.groups.append((self.seen, group))
            self.groups[place], self.groups[-1] = self.groups[-1], self.groups[place]
        elif place < self._most:
            self.groups[place] = (self.seen, group)


def _groups(texts: Iterable[str], unit: str) -> Iterator[list[str]]:
    """Yields the texts of each document: those between blank texts, or each text alone."""
    if unit == "block":
        for kept, group in groupby(texts, bool):
            if kept:
                yield list(group)
    else:
        yield from ([text] for text in texts if text)


def _texts(rows: Iterable[str], name: str) -> Iterator[str]:
    for number, text in enumerate(checked(rows), 1):
        if "\0" in text:
            raise FlowjaxError(f"{name}: expected text, got a NUL character in text {number}")
        yield text.strip()
