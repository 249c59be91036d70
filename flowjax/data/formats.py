"""Text columns of JSON lines, CSV, TSV and Parquet files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flowjax.errors import FlowjaxError
from flowjax.files.tables import json_text, read_json, read_table

# Default columns, in order of preference.
COLUMNS = ("sentence", "text")


def read_jsonl(lines: Iterable[str], name: str, column: str | None = None) -> Iterator[str]:
    r"""Yields the text of JSON lines. Each line is an object with a text field, or a string.

    Blank lines are skipped; null yields an empty string.

    Args:
        lines: lines without their line ends.
        name: name of the file in error messages.
        column: name of the field with the text; `sentence` or `text` by default.

    Raises:
        FlowjaxError: A line is not JSON, lacks the field, or its field is not text.

    Example:
        >>> list(read_jsonl(['{"text": "One."}', "", '"Two."'], "a.jsonl"))
        ['One.', 'Two.']
    """
    for number, row in read_json(lines, name):
        if isinstance(row, dict):
            chosen = pick_column(row, f"{name}: line {number}", column)
            yield json_text(row[chosen], name, number, repr(chosen))
        elif isinstance(row, str):
            yield json_text(row, name, number)
        else:
            raise FlowjaxError(
                f"{name}: line {number}: expected an object or a string, got {type(row).__name__}"
            )


def read_csv(
    lines: Iterable[str], name: str, column: str | None = None, *, tabs: bool = False
) -> Iterator[str]:
    """Yields the text column of a table with a header; see `read_table`.

    Args:
        lines: lines without their line ends.
        name: name of the file in error messages.
        column: name of the column in the header; `sentence` or `text` by default.
        tabs: True for TSV, False for CSV.

    Raises:
        FlowjaxError: The header or the column is missing, or a row is malformed.

    Example:
        >>> list(read_csv(["id,text", '1,"One, two."'], "a.csv"))
        ['One, two.']
    """
    header, rows = read_table(lines, name, tabs=tabs)
    place = header.index(pick_column(header, name, column))
    yield from (cells[place] for _, cells in rows)


def read_parquet(path: str | Path, column: str | None = None) -> Iterator[str]:
    """Yields a text column of a Parquet file, with one batch of rows in memory at a time.

    A null yields an empty string.

    Args:
        path: path of the file.
        column: name of the column; `sentence` or `text` by default.

    Raises:
        FlowjaxError: The file is not Parquet, the column is missing or is not text, or pyarrow is
            not installed.
    """
    with open_parquet(path) as (arrow, file):
        schema = file.schema_arrow
        column = pick_column(schema.names, str(path), column)
        kind = schema.field(column).type
        value = kind.value_type if arrow.types.is_dictionary(kind) else kind
        if not (arrow.types.is_string(value) or arrow.types.is_large_string(value)):
            raise FlowjaxError(f"{path}: expected text in {column!r}, got {kind}")
        for batch in file.iter_batches(columns=[column]):
            yield from (text or "" for text in batch.column(0).to_pylist())


@contextmanager
def open_parquet(path: str | Path) -> Iterator[tuple[Any, Any]]:
    """Context manager that opens a Parquet file and returns `(pyarrow, file)`.

    Args:
        path: path of the file.

    Raises:
        FlowjaxError: The file is not Parquet or is damaged (also within the `with` block), or
            pyarrow is not installed.
    """
    arrow, parquet = need_pyarrow("reading")
    try:
        with parquet.ParquetFile(path) as file:
            yield arrow, file
    except (OSError, arrow.ArrowException) as error:
        raise FlowjaxError(f"{path}: expected a Parquet file, got: {first_line(error)}") from None


def pick_column(names: Iterable[str], where: str, column: str | None = None) -> str:
    """Returns the name of the column to read.

    Args:
        names: names of all columns.
        where: name of the file, or file and line, in error messages.
        column: name of the wanted column; by default, the first name in `COLUMNS` that exists.

    Raises:
        FlowjaxError: The column is missing; the message lists the names of all columns.

    Example:
        >>> pick_column(["id", "text"], "a.csv")
        'text'
    """
    names = list(names)
    wanted = (column,) if column else COLUMNS
    for name in wanted:
        if name in names:
            return name
    expected, got = " or ".join(map(repr, wanted)), ", ".join(map(repr, names)) or "none"
    raise FlowjaxError(f"{where}: expected a column {expected}, got {got}")


def need_pyarrow(doing: str) -> tuple[Any, Any]:
    """Returns the modules `(pyarrow, pyarrow.parquet)`.

    Args:
        doing: first word of the error message, such as "reading".

    Raises:
        FlowjaxError: The package pyarrow is not installed; the message contains the command that
            installs it.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        advice = "pip install 'bert-flowjax[parquet]'"
        raise FlowjaxError(
            f"{doing} Parquet: expected an installed pyarrow, got none; {advice}"
        ) from None
    return pyarrow, pyarrow.parquet


def first_line(error: Exception) -> str:
    """Returns the first line of an error's message, or the class name for an empty message."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
