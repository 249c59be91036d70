"""Sentences from whatever a user has: text, JSON lines, CSV/TSV, Parquet, compressed, stdin."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, cast

from flowjax.data.formats import read_csv, read_jsonl, read_parquet
from flowjax.data.text import decode_lines, open_binary

_COMPRESSED = {".gz", ".xz", ".bz2"}
_KINDS = (".txt", ".jsonl", ".csv", ".tsv", ".parquet")


class Source(Protocol):
    """Sentences that can be read one at a time, as often as wanted unless `is_stream`.

    Attributes:
        name: what errors and model cards call it.
        is_stream: it can be read only once.
    """

    name: str
    is_stream: bool

    def __iter__(self) -> Iterator[str]: ...

    def fingerprint(self) -> str | None:
        """A hash that changes with the sentences; None where that takes reading a stream."""
        ...


class SentenceFile:
    r"""A file of sentences that can be read again and again, one at a time.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.jsonl"
        >>> _ = path.write_text('{"text": "One."}\n{"text": "Two."}\n')
        >>> list(SentenceFile(path))
        ['One.', 'Two.']
    """

    def __init__(self, path: str | Path, column: str | None = None) -> None:
        """Names a file; nothing is read yet.

        Args:
            path: `.txt` (a sentence a line), `.jsonl`, `.csv`, `.tsv` or `.parquet`, the first
                four also as `.gz`, `.xz` or `.bz2`. `"-"` is standard input, a sentence a line,
                which can be read only once.
            column: the field that holds the sentence; `sentence` or `text` if left out.

        Raises:
            ValueError: no such file, or of a kind that is not known.
        """
        self.path, self.column = Path(path), column
        self.is_stream = str(path) == "-"
        self.name = "standard input" if self.is_stream else str(path)
        self._begun = False
        suffixes = [s.lower() for s in self.path.suffixes]
        packed = bool(suffixes) and suffixes[-1] in _COMPRESSED
        plain = suffixes[:-1] if packed else suffixes
        self.kind = plain[-1] if plain else ".txt"
        if self.is_stream:
            return
        if not self.path.is_file():
            what = "is a folder" if self.path.is_dir() else "no such file"
            raise ValueError(f"{path}: {what}; expected a file of sentences")
        if self.kind not in _KINDS or (packed and self.kind == ".parquet"):
            raise ValueError(
                f"{path}: expected .txt, .jsonl, .csv, .tsv (or those as .gz, .xz, .bz2) or "
                f".parquet, got {''.join(suffixes[-2:])!r}"
            )

    def __iter__(self) -> Iterator[str]:
        if self.is_stream:
            if self._begun:
                raise ValueError("standard input: expected one reading, got a second")
            self._begun = True
            return decode_lines(sys.stdin.buffer, self.name)
        if self.kind == ".parquet":
            return read_parquet(self.path, self.column)
        return self._lines()

    def fingerprint(self) -> str | None:
        """A hash of the file's bytes and the column, for manifests; None for standard input."""
        if self.is_stream:
            return None
        digest = hashlib.sha256((self.column or "").encode())
        with self.path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()[:16]

    def _lines(self) -> Iterator[str]:
        with open_binary(self.path) as file:
            lines = decode_lines(file, self.name)
            if self.kind == ".txt":
                yield from lines
            elif self.kind == ".jsonl":
                yield from read_jsonl(lines, self.name, self.column)
            else:
                yield from read_csv(lines, self.name, self.column, tabs=self.kind == ".tsv")


class SentenceList:
    """Sentences in memory, or any other iterable, as a source with a name and a hash.

    Example:
        >>> source = SentenceList(["One.", "Two."])
        >>> source.name, len(list(source)), source.is_stream
        ('a list of sentences', 2, False)
    """

    def __init__(self, sentences: Iterable[str]) -> None:
        """Takes sentences; an iterator that can be read only once is a stream."""
        self._sentences = sentences
        self.is_stream = not isinstance(sentences, Sequence)
        self.name = "a stream of sentences" if self.is_stream else "a list of sentences"

    def __iter__(self) -> Iterator[str]:
        return checked(self._sentences)

    def fingerprint(self) -> str | None:
        """A hash of the sentences; None for a stream."""
        return None if self.is_stream else fingerprint(self)


def open_source(source: str | Path | Iterable[str], column: str | None = None) -> Source:
    """What sentences come from: a file, standard input, a TFDS data set, or sentences themselves.

    Args:
        source: a path, `"-"`, `tfds:NAME[/SPLIT][:COLUMN]`, or an iterable of strings.
        column: the field that holds the sentence.

    Raises:
        ValueError: nothing of that name, or of a kind that is not known.

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
    return cast(Source, source) if known else SentenceList(source)


def checked(sentences: Iterable[str]) -> Iterator[str]:
    """Passes strings on and refuses anything else.

    Raises:
        ValueError: naming the type and the place of the first that is not a string.

    Example:
        >>> list(checked(["One.", 2]))
        Traceback (most recent call last):
        ValueError: sentences: expected strings, got int at 1
    """
    for i, sentence in enumerate(sentences):
        if not isinstance(sentence, str):
            raise ValueError(f"sentences: expected strings, got {type(sentence).__name__} at {i}")
        yield sentence


def read_sentences(
    source: str | Path | Iterable[str], column: str | None = None
) -> tuple[list[str], int]:
    """Reads all sentences of a file or iterable that are not empty.

    Returns:
        `(sentences, empty)`: the sentences, and how many empty ones were left out.

    Raises:
        ValueError: unreadable, not strings, or nothing but empty lines.

    Example:
        >>> read_sentences(["One.", " ", "Two."])
        (['One.', 'Two.'], 1)
    """
    rows = open_source(source, column)
    sentences, empty = [], 0
    for sentence in checked(rows):
        if sentence.strip():
            sentences.append(sentence)
        else:
            empty += 1
    if not sentences:
        raise ValueError(
            f"{rows.name}: expected sentences, found {empty} empty lines and no other"
        )
    return sentences, empty


def fingerprint(sentences: Iterable[str]) -> str:
    """A hash of sentences in their order, for manifests."""
    digest = hashlib.sha256()
    for sentence in sentences:
        digest.update(sentence.encode("utf-8", "surrogatepass"))
        digest.update(b"\n")
    return digest.hexdigest()[:16]
