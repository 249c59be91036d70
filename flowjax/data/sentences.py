"""Sentences from whatever a user has: text, JSON lines, CSV/TSV, Parquet, compressed, stdin."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from flowjax.data.formats import read_csv, read_jsonl, read_parquet
from flowjax.data.text import decode_lines, open_binary

_COMPRESSED = {".gz", ".xz", ".bz2"}
_KINDS = (".txt", ".jsonl", ".csv", ".tsv", ".parquet")


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
    rows = SentenceFile(source, column) if isinstance(source, (str, Path)) else source
    sentences, empty = [], 0
    for sentence in checked(rows):
        if sentence.strip():
            sentences.append(sentence)
        else:
            empty += 1
    if not sentences:
        raise ValueError(none_found(rows, empty))
    return sentences, empty


def none_found(source: Iterable[str], empty: int) -> str:
    """What to say of a source without sentences."""
    name = getattr(source, "name", "sentences")
    return f"{name}: expected sentences, found {empty} empty lines and no other"


def fingerprint(sentences: Iterable[str]) -> str:
    """A hash of sentences in their order, for manifests."""
    digest = hashlib.sha256()
    for sentence in sentences:
        digest.update(sentence.encode("utf-8", "surrogatepass"))
        digest.update(b"\n")
    return digest.hexdigest()[:16]
