"""Sources of sentences: text, JSON, CSV, TSV and Parquet files, standard input, tables, lists."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from glob import glob
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, cast

from flowjax.data.fingerprint import Fingerprint, fingerprint
from flowjax.data.formats import read_csv, read_json_file, read_jsonl, read_parquet
from flowjax.data.tables import is_table, refuse_table, table_column
from flowjax.errors import FlowjaxError
from flowjax.files.text import decode_lines, read_lines, split_suffix

_KINDS = ".txt, .jsonl, .json, .csv or .tsv (also .gz, .xz, .bz2 or .zst), or .parquet"
_ARCHIVES = (".zip", ".tar", ".tgz", ".7z", ".rar")
_READERS: dict[str, Callable[..., Iterator[str]]] = {
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_json_file,
    ".csv": read_csv,
    ".tsv": partial(read_csv, delimiter="\t"),
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
            path: `.txt` (one sentence per line), `.jsonl`, `.json` (an array, or JSON lines),
                `.csv`, `.tsv` or `.parquet` file. All formats but Parquet may be compressed
                (`.gz`, `.xz`, `.bz2`, `.zst`). `"-"` is standard input with one sentence per line,
                which can be read only once.
            column: name of the field with the sentence; `sentence` or `text` by default. In JSON,
                `a.b` is the field b of the object a.

        Raises:
            FlowjaxError: The file is missing, has an unknown suffix, or has no columns and
                `column` is given.
        """
        self.path, self.column = Path(path), column
        self.is_stream = str(path) == "-"
        self.name = "standard input" if self.is_stream else str(path)
        self._begun = False
        _, suffix, packed = ("", "", "") if self.is_stream else split_suffix(path)
        self.kind = suffix or ".txt"
        if not self.is_stream:
            self._check(suffix, packed)
        if column is not None and self.kind == ".txt":
            raise FlowjaxError(
                f"column: expected none for {self.name}, which has a sentence per line, got "
                f"{column!r}"
            )

    def _check(self, suffix: str, packed: str) -> None:
        if not self.path.is_file():
            found = "no such file"
            if self.path.is_dir():
                found = f"a folder; for its files, use a pattern such as '{self.path}/*.txt'"
            raise FlowjaxError(f"{self.path}: expected a file of sentences, got {found}")
        kinds = (".txt", *_READERS) if packed else (".txt", ".parquet", *_READERS)
        if self.kind not in kinds:
            advice = "; unpack the archive" if suffix in _ARCHIVES else ""
            got = f"{suffix + packed!r}{advice}"
            raise FlowjaxError(f"{self.path}: expected {_KINDS}, got {got}")

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


class SentenceFiles:
    """Sentences of several files, one file after another.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "b.txt").write_text("Two.")
        >>> _ = (folder / "a.txt").write_text("One.")
        >>> list(open_source(f"{folder}/*.txt"))
        ['One.', 'Two.']
    """

    is_stream = False

    def __init__(self, files: Sequence[SentenceFile]) -> None:
        """Stores the files in their order."""
        self.files = files
        self.name = ",".join(file.name for file in files)

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self.files)

    def fingerprint(self) -> str:
        """Returns a hash of the bytes of all files and of the column."""
        return fingerprint(str(file.fingerprint()) for file in self.files)


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


def open_source(source: Any, column: str | None = None) -> SentenceSource:
    """Opens files, standard input, a TFDS data set, a table or an iterable of sentences.

    Args:
        source: a path; several paths or patterns such as `"a.txt,parts/*.csv"` (the files of a
            pattern are sorted by name), or a list of `Path`; `"-"`;
            `tfds:NAME[/SPLIT][:COLUMN]`; an iterable of strings; a DataFrame of pandas or Polars,
            a `datasets.Dataset` or a pyarrow table.
        column: name of the field with the sentence. A table needs it; a source without columns
            refuses it.

    Raises:
        FlowjaxError: The source does not exist or has an unknown format, or `column` is missing or
            has no effect.

    Example:
        >>> list(open_source(["One."]))
        ['One.']
    """
    if isinstance(source, str) and source.startswith("tfds:"):
        from flowjax.data.tfds.source import TfdsSource

        return TfdsSource(source, column)
    if isinstance(source, (str, Path)):
        files = [SentenceFile(path, column) for path in _paths(source)]
        return files[0] if len(files) == 1 else SentenceFiles(files)
    if isinstance(source, (list, tuple)) and source and all(isinstance(x, Path) for x in source):
        return SentenceFiles([SentenceFile(path, column) for path in source])
    if is_table(source):
        return SentenceList(table_column(source, column))
    if column is not None:
        raise FlowjaxError(f"column: expected none for sentences without columns, got {column!r}")
    known = all(hasattr(source, name) for name in ("name", "is_stream", "fingerprint"))
    return cast(SentenceSource, source) if known else SentenceList(source)


def _paths(text: str | Path) -> list[str | Path]:
    """Returns the paths of a comma-separated list of paths and patterns, in its order."""
    if isinstance(text, Path) or text == "-" or Path(text).exists():
        return [text]
    found: list[str | Path] = []
    for part in filter(None, map(str.strip, text.split(","))):
        if Path(part).exists() or not set(part) & set("*?["):
            found.append(part)
            continue
        matches = sorted(path for path in glob(part, recursive=True) if Path(path).is_file())
        if not matches:
            raise FlowjaxError(f"{part}: expected a pattern of files, got no matching file")
        found += matches
    if "-" in found:
        raise FlowjaxError(f"{text}: expected files only, got - (standard input)")
    return found or [text]


def checked(sentences: Iterable[str], first: int = 0) -> Iterator[str]:
    """Yields the sentences and checks that each item is a string that UTF-8 can represent.

    Args:
        sentences: items to check.
        first: index of the first item in error messages.

    Raises:
        FlowjaxError: An item is not a string or holds a lone surrogate (the message names the
            index of the item), or the argument is a table or a dict.

    Example:
        >>> list(checked(["One.", 2]))
        Traceback (most recent call last):
        flowjax.errors.FlowjaxError: sentences: expected strings, got int at index 1
    """
    refuse_table(sentences)
    for i, text in enumerate(sentences, first):
        if not isinstance(text, str):
            kind = type(text).__name__
            raise FlowjaxError(f"sentences: expected strings, got {kind} at index {i}")
        if not text.isascii():
            try:
                text.encode("utf-8")
            except UnicodeEncodeError as error:  # half of an emoji, from JSON or a cut string
                got = f"the lone surrogate {text[error.start]!r} at index {i}"
                raise FlowjaxError(f"sentences: expected Unicode text, got {got}") from None
        yield text


def read_sentences(source: Any, column: str | None = None) -> tuple[list[str], int]:
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
