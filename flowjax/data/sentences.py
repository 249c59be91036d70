"""Sentences from whatever a user has: text, JSON lines, CSV/TSV, Parquet, compressed, stdin."""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from flowjax.data.text import decode_lines, open_binary

_COMPRESSED = {".gz", ".xz", ".bz2"}
# The columns tried when none is named, in this order.
COLUMNS = ("sentence", "text")


class SentenceFile:
    """A file of sentences that can be read again and again, one at a time.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.jsonl"
        >>> _ = path.write_text('{"text": "One."}\\n{"text": "Two."}\\n')
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
        self.name = "standard input" if str(path) == "-" else str(path)
        suffixes = [s.lower() for s in self.path.suffixes if s.lower() not in _COMPRESSED]
        self.kind = suffixes[-1] if suffixes else ".txt"
        if str(path) == "-":
            self.kind = "-"
        elif self.kind not in (".txt", ".jsonl", ".csv", ".tsv", ".parquet"):
            raise ValueError(
                f"{path}: expected .txt, .jsonl, .csv, .tsv or .parquet (or those as .gz, .xz, "
                f".bz2), got {self.kind!r}"
            )
        elif not self.path.is_file():
            what = "is a folder" if self.path.is_dir() else "no such file"
            raise ValueError(f"{path}: {what}; expected a file of sentences")

    def __iter__(self) -> Iterator[str]:
        if self.kind == "-":
            return decode_lines(sys.stdin.buffer, self.name)
        if self.kind == ".parquet":
            return self._parquet()
        lines = decode_lines(open_binary(self.path), self.name)
        return {".txt": self._text, ".jsonl": self._jsonl}.get(self.kind, self._csv)(lines)

    def fingerprint(self) -> str:
        """A hash of the file's bytes and the column, for manifests."""
        if self.kind == "-":
            return "standard input"
        digest = hashlib.sha256((self.column or "").encode())
        with self.path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()[:16]

    def _text(self, lines: Iterator[str]) -> Iterator[str]:
        return lines

    def _jsonl(self, lines: Iterator[str]) -> Iterator[str]:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f"{self.name}: line {number} is not JSON: {error}") from None
            if isinstance(row, str):
                yield row
            elif isinstance(row, dict):
                yield self._field(row, self._column(row), f"line {number}")
            else:
                raise ValueError(f"{self.name}: line {number}: expected an object or a string")

    def _csv(self, lines: Iterator[str]) -> Iterator[str]:
        csv.field_size_limit(1 << 30)
        delimiter = "\t" if self.kind == ".tsv" else ","
        reader = csv.DictReader((line + "\n" for line in lines), delimiter=delimiter)
        column = self._column(reader.fieldnames or [])
        for row in reader:
            yield self._field(row, column, f"line {reader.line_num}")

    def _parquet(self) -> Iterator[str]:
        try:
            import pyarrow.parquet as parquet
        except ImportError:
            raise ValueError(
                f"{self.path}: reading Parquet needs pyarrow: pip install 'bert-flowjax[parquet]'"
            ) from None
        try:
            with parquet.ParquetFile(self.path) as file:
                column = self._column(file.schema_arrow.names)
                number = 0
                for batch in file.iter_batches(columns=[column]):
                    for value in batch.column(0).to_pylist():
                        number += 1
                        yield self._field({column: value}, column, f"row {number}")
        except OSError as error:  # pyarrow's ArrowInvalid is a ValueError already
            raise ValueError(f"{self.path}: cannot be read: {error}") from None

    def _column(self, names: Iterable[str]) -> str:
        names = list(names)
        wanted = (self.column,) if self.column else COLUMNS
        for name in wanted:
            if name in names:
                return name
        raise ValueError(
            f"{self.name}: expected a column {' or '.join(map(repr, wanted))}, got "
            f"{', '.join(map(repr, names)) or 'none'}"
        )

    def _field(self, row: dict[str, Any], column: str, where: str) -> str:
        value = row.get(column)
        if value is None:
            return ""  # an empty cell is an empty sentence; it is counted by whoever reads it
        if not isinstance(value, str):
            kind = type(value).__name__
            raise ValueError(f"{self.name}: {where}: expected text in {column!r}, got {kind}")
        return value


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
    is_file = isinstance(source, (str, Path))
    rows = SentenceFile(source, column) if is_file else source  # type: ignore[arg-type]
    sentences, empty = [], 0
    for i, sentence in enumerate(rows):
        if not isinstance(sentence, str):
            raise ValueError(f"sentences: expected strings, got {type(sentence).__name__} at {i}")
        if sentence.strip():
            sentences.append(sentence)
        else:
            empty += 1
    if not sentences:
        name = rows.name if isinstance(rows, SentenceFile) else "sentences"
        raise ValueError(f"{name}: expected sentences, found {empty} empty lines and no other")
    return sentences, empty


def fingerprint(sentences: Iterable[str]) -> str:
    """A hash of sentences in their order, for manifests."""
    digest = hashlib.sha256()
    for sentence in sentences:
        digest.update(sentence.encode("utf-8", "surrogatepass"))
        digest.update(b"\n")
    return digest.hexdigest()[:16]

