"""Sources of sentences: text, JSON lines, CSV, TSV and Parquet files, standard input, lists."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol, cast

from flowjax.data.fingerprint import Fingerprint, fingerprint
from flowjax.data.formats import read_csv, read_jsonl, read_parquet
from flowjax.errors import FlowjaxError
from flowjax.files.text import OPENERS, decode_lines, read_lines

_KINDS = ".txt, .jsonl, .csv or .tsv (also .gz, .xz or .bz2), or .parquet"
_READERS: dict[str, Callable[..., Iterator[str]]] = {
    ".jsonl": read_jsonl,
    ".csv": read_csv,
    ".tsv": partial(read_csv, tabs=True),
}


class SentenceSource(Protocol):
    """Iterable of sentences with a name and a fingerprint.

    Attributes:
        name: name of the source in error messages and model cards.
        is_stream: True if the source can be iterated only once.
    """

    name: str
    is_stream: bool

    def __iter__(self) -> Iterator[str]: ...

    def fingerprint(self) -> str | None:
        """Returns a hash that changes with the sentences; None for a stream."""
        ...


class SentenceFile:
    r"""Sentences of a file, read one at a time in each iteration.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.jsonl"
        >>> _ = path.write_text('{"text": "One."}\n{"text": "Two."}\n')
        >>> list(SentenceFile(path))
        ['One.', 'Two.']
    """

    def __init__(self, path: str | Path, column: str | None = None) -> None:
        """Checks the path without reading the file.

        Args:
            path: `.txt` (one sentence per line), `.jsonl`, `.csv`, `.tsv` or `.parquet` file. All
                formats but Parquet may be compressed (`.gz`, `.xz` or `.bz2`). `"-"` is standard
                input with one sentence per line, which can be read only once.
            column: name of the field with the sentence; `sentence` or `text` by default.

        Raises:
            FlowjaxError: The file is missing or has an unknown suffix.
        """
        self.path, self.column = Path(path), column
        self.is_stream = str(path) == "-"
        self.name = "standard input" if self.is_stream else str(path)
        self._begun = False
        suffixes = [s.lower() for s in self.path.suffixes]
        packed = bool(suffixes) and suffixes[-1] in OPENERS
        plain = suffixes[:-1] if packed else suffixes
        self.kind = plain[-1] if plain else ".txt"
        if self.is_stream:
            return
        if not self.path.is_file():
            found = "a folder" if self.path.is_dir() else "no such file"
            raise FlowjaxError(f"{path}: expected a file of sentences, got {found}")
        kinds = (".txt", *_READERS) if packed else (".txt", ".parquet", *_READERS)
        if self.kind not in kinds:
            raise FlowjaxError(f"{path}: expected {_KINDS}, got {''.join(suffixes[-2:])!r}")

    def __iter__(self) -> Iterator[str]:
        if self.is_stream:
            if self._begun:
                raise FlowjaxError("standard input: expected a single iteration, got a second one")
            self._begun = True
            return decode_lines(sys.stdin.buffer, self.name)
        if self.kind == ".parquet":
            return read_parquet(self.path, self.column)
        lines, read = read_lines(self.path), _READERS.get(self.kind)
        return read(lines, self.name, self.column) if read else lines

    def fingerprint(self) -> str | None:
        """Returns a hash of the file's bytes and the column; None for standard input."""
        if self.is_stream:
            return None
        digest = Fingerprint()
        digest.add_text(self.column or "")
        digest.add_file(self.path)
        return str(digest)


class SentenceList:
    """Sentences of a list or another iterable.

    Example:
        >>> source = SentenceList(["One.", "Two."])
        >>> source.name, len(list(source)), source.is_stream
        ('a list of sentences', 2, False)
    """

    def __init__(self, sentences: Iterable[str]) -> None:
        """Wraps an iterable, which is a stream unless it is a sequence."""
        self._sentences = sentences
        self.is_stream = not isinstance(sentences, Sequence)
        self.name = "a stream of sentences" if self.is_stream else "a list of sentences"

    def __iter__(self) -> Iterator[str]:
        return checked(self._sentences)

    def fingerprint(self) -> str | None:
        """Returns a hash of the sentences; None for a stream."""
        return None if self.is_stream else fingerprint(self)


def open_source(source: str | Path | Iterable[str], column: str | None = None) -> SentenceSource:
    """Opens a file, standard input, a TFDS data set or an iterable as a source of sentences.

    Args:
        source: a path, `"-"`, `tfds:NAME[/SPLIT][:COLUMN]`, or an iterable of strings.
        column: name of the field with the sentence.

    Raises:
        FlowjaxError: The source does not exist or has an unknown format.

    Example:
        >>> list(open_source(["One."]))
        ['One.']
    """
    if isinstance(source, str) and source.startswith("tfds:"):
        from flowjax.data.tfds.source import TfdsSource

        return TfdsSource(source, column)
    if isinstance(source, (str, Path)):
        return SentenceFile(source, column)
    known = all(hasattr(source, name) for name in ("name", "is_stream", "fingerprint"))
    return cast(SentenceSource, source) if known else SentenceList(source)


def checked(sentences: Iterable[str]) -> Iterator[str]:
    """Yields the sentences and checks that each item is a string.

    Raises:
        FlowjaxError: An item is not a string; the message names its type and index.

    Example:
        >>> list(checked(["One.", 2]))
        Traceback (most recent call last):
        flowjax.errors.FlowjaxError: sentences: expected strings, got int at index 1
    """
    for i, text in enumerate(sentences):
        if not isinstance(text, str):
            kind = type(text).__name__
            raise FlowjaxError(f"sentences: expected strings, got {kind} at index {i}")
        yield text


def read_sentences(
    source: str | Path | Iterable[str], column: str | None = None
) -> tuple[list[str], int]:
    """Returns all sentences of a source that are not empty.

    Args:
        source: see `open_source`.
        column: name of the field with the sentence.

    Returns:
        `(sentences, empty)`: the non-empty sentences, and the number of omitted empty sentences.

    Raises:
        FlowjaxError: The source cannot be read, has items that are not strings, or has no
            sentence.

    Example:
        >>> read_sentences(["One.", " ", "Two."])
        (['One.', 'Two.'], 1)
    """
    rows = open_source(source, column)
    found = list(checked(rows))
    sentences = [sentence for sentence in found if sentence.strip()]
    empty = len(found) - len(sentences)
    if not sentences:
        raise FlowjaxError(
            f"{rows.name}: expected sentences, got {empty} empty lines and no sentence"
        )
    return sentences, empty
