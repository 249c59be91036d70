"""Sources of sentences: text, JSON, CSV, TSV and Parquet files, standard input, tables, lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from flowjax.data.fingerprint import fingerprint
from flowjax.data.sentence_files import SentenceFile, SentenceFiles, expand
from flowjax.data.tables import is_table, refuse_table, table_column
from flowjax.errors import FlowjaxError


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

    Returns:
        A `SentenceSource`, which yields the sentences as strings.

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
        files = [SentenceFile(path, column) for path in expand(source)]
        return files[0] if len(files) == 1 else SentenceFiles(files)
    if isinstance(source, (list, tuple)) and source and all(isinstance(x, Path) for x in source):
        return SentenceFiles([SentenceFile(path, column) for path in source])
    if is_table(source):
        return SentenceList(table_column(source, column))
    if column is not None:
        raise FlowjaxError(f"column: expected none for sentences without columns, got {column!r}")
    known = all(hasattr(source, name) for name in ("name", "is_stream", "fingerprint"))
    return cast(SentenceSource, source) if known else SentenceList(source)


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
