"""One column of text out of JSON lines, CSV/TSV and Parquet, a row at a time."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

# The columns tried when none is named, in this order.
COLUMNS = ("sentence", "text")


def read_jsonl(lines: Iterable[str], name: str, column: str | None = None) -> Iterator[str]:
    r"""The text of JSON lines: objects with a field, or plain strings. Blank lines are no rows.

    Args:
        lines: without their line ends.
        name: what errors call the file.
        column: the field; `sentence` or `text` if left out.

    Raises:
        ValueError: a line that is not JSON, lacks the field, or has no text in it.

    Example:
        >>> list(read_jsonl(['{"text": "One."}', "", '"Two."'], "a.jsonl"))
        ['One.', 'Two.']
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{name}: line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{where} is not JSON: {error}") from None
        if isinstance(row, str):
            yield _text(row, where, "the string")
        elif isinstance(row, dict):
            chosen = pick_column(row, where, column)
            yield _text(row[chosen], where, repr(chosen))
        else:
            raise ValueError(f"{where}: expected an object or a string, got {type(row).__name__}")


def read_csv(
    lines: Iterable[str], name: str, column: str | None = None, *, tabs: bool = False
) -> Iterator[str]:
    """The text of a table with a header. Blank lines are no rows; empty cells are empty text.

    Args:
        lines: without their line ends.
        name: what errors call the file.
        column: its name in the header; `sentence` or `text` if left out.
        tabs: between cells, which are then never quoted: a lone `"` belongs to the sentence.
            Otherwise commas, and quotes as usual.

    Raises:
        ValueError: no header, no such column, or a row of more or fewer cells than the header: an
            unquoted comma would cut a sentence silently.

    Example:
        >>> list(read_csv(["id,text", '1,"One, two."'], "a.csv"))
        ['One, two.']
    """
    csv.field_size_limit(1 << 30)
    ends = (line + "\n" for line in lines)
    if tabs:
        reader = csv.reader(ends, delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(ends, strict=True)
    try:
        header = next(reader, [])
        place = header.index(pick_column(header, name, column))
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise ValueError(
                    f"{name}: line {reader.line_num}: expected {len(header)} cells like the "
                    f"header, got {len(row)}"
                )
            yield row[place]
    except csv.Error as error:
        kind = "tab" if tabs else "comma"
        raise ValueError(
            f"{name}: line {reader.line_num}: expected {kind}-separated values: {error}"
        ) from None


def read_parquet(path: str | Path, column: str | None = None) -> Iterator[str]:
    """The text of a Parquet column, a batch of rows in memory at a time; null is empty text.

    Args:
        path: the file.
        column: `sentence` or `text` if left out.

    Raises:
        ValueError: not Parquet, no such column, a column of something else, or no pyarrow.
    """
    arrow, parquet = need_pyarrow("reading")
    try:
        file = parquet.ParquetFile(path)
    except (OSError, arrow.ArrowException) as error:
        raise ValueError(f"{path}: expected a Parquet file: {_short(error)}") from None
    with file:
        schema = file.schema_arrow
        column = pick_column(schema.names, str(path), column)
        kind = schema.field(column).type
        value = kind.value_type if arrow.types.is_dictionary(kind) else kind
        if not (arrow.types.is_string(value) or arrow.types.is_large_string(value)):
            raise ValueError(f"{path}: expected text in {column!r}, got {kind}")
        batches = file.iter_batches(columns=[column])
        while True:
            try:
                batch = next(batches, None)
            except (OSError, arrow.ArrowException) as error:
                raise ValueError(f"{path}: cannot be read: {_short(error)}") from None
            if batch is None:
                return
            for text in batch.column(0).to_pylist():
                yield text or ""


def pick_column(names: Iterable[str], where: str, column: str | None = None) -> str:
    """The column to read, or a ValueError that names those there are.

    Example:
        >>> pick_column(["id", "text"], "a.csv")
        'text'
    """
    names = list(names)
    wanted = (column,) if column else COLUMNS
    for name in wanted:
        if name in names:
            return name
    raise ValueError(
        f"{where}: expected a column {' or '.join(map(repr, wanted))}, got "
        f"{', '.join(map(repr, names)) or 'none'}"
    )


def need_pyarrow(doing: str) -> tuple[Any, Any]:
    """The modules `(pyarrow, pyarrow.parquet)`, or a ValueError that says how to get them."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ValueError(
            f"{doing} Parquet needs pyarrow: pip install 'bert-flowjax[parquet]'"
        ) from None
    return pyarrow, pyarrow.parquet


def _text(value: Any, where: str, field: str) -> str:
    """A JSON value that must be text; null is empty."""
    if value is None:
        return ""  # counted by whoever reads it
    if not isinstance(value, str):
        raise ValueError(f"{where}: expected text in {field}, got {type(value).__name__}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:  # JSON can escape half of a character: "\ud83d"
        raise ValueError(
            f"{where}: expected text in {field}, got half a character {value[error.start]!r}"
        ) from None
    return value


def _short(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
