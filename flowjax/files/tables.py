"""Rows of CSV, TSV and JSON-lines files, with their line numbers."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from flowjax.errors import FlowjaxError

Row = tuple[int, list[str]]  # line number from 1, cells


def read_table(
    lines: Iterable[str], name: str | Path, *, tabs: bool = False
) -> tuple[list[str], Iterator[Row]]:
    """Returns the header and the rows of a table. Blank lines are skipped.

    Args:
        lines: lines without their line ends.
        name: name of the file in error messages.
        tabs: True for tab-separated cells, in which a quotation mark is an ordinary character.
            False for comma-separated cells with CSV quoting.

    Returns:
        `(header, rows)`: the header is empty for an empty file; each row is
        `(line_number, cells)` with as many cells as the header.

    Raises:
        FlowjaxError: A quoted cell is not closed, or a row has more or fewer cells than the header
            (otherwise an unquoted comma would split a sentence silently).

    Example:
        >>> header, rows = read_table(["id,text", "", '1,"One, two."'], "a.csv")
        >>> header, list(rows)
        (['id', 'text'], [(3, ['1', 'One, two.'])])
    """
    rows = read_cells(lines, name, tabs=tabs)
    _, header = next(rows, (0, []))
    n = len(header)

    def checked() -> Iterator[Row]:
        for number, row in rows:
            if len(row) != n:
                where = f"{name}: line {number}"
                raise FlowjaxError(f"{where}: expected {n} cells like the header, got {len(row)}")
            yield number, row

    return header, checked()


def read_cells(lines: Iterable[str], name: str | Path, *, tabs: bool = False) -> Iterator[Row]:
    r"""Yields the rows `(line_number, cells)` of a table without a header; see `read_table`.

    Example:
        >>> list(read_cells(["a\tb", "", "c"], "a.tsv", tabs=True))
        [(1, ['a', 'b']), (3, ['c'])]
    """
    if tabs:
        yield from ((n, line.split("\t")) for n, line in enumerate(lines, 1) if line)
        return
    csv.field_size_limit(1 << 30)
    reader = csv.reader((line + "\n" for line in lines), strict=True)
    try:
        yield from ((reader.line_num, row) for row in reader if row)
    except csv.Error as error:
        raise FlowjaxError(f"{name}: line {reader.line_num}: expected CSV, got: {error}") from None


def read_json(lines: Iterable[str], name: str | Path) -> Iterator[tuple[int, Any]]:
    """Yields the line number and the value of each JSON line. Blank lines are skipped.

    Args:
        lines: lines without their line ends.
        name: name of the file in error messages.

    Raises:
        FlowjaxError: A line is not JSON.

    Example:
        >>> list(read_json(['{"text": "One."}', "", '"Two."'], "a.jsonl"))
        [(1, {'text': 'One.'}), (3, 'Two.')]
    """
    for n, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            raise FlowjaxError(f"{name}: line {n}: expected JSON, got {line[:80]!r}") from None
        yield n, value


def json_text(value: Any, name: str | Path, number: int, field: str = "a string") -> str:
    """Returns a JSON value that must be a string; returns an empty string for null.

    Args:
        value: decoded JSON value.
        name: name of the file in error messages.
        number: line number.
        field: description of the value in error messages.

    Raises:
        FlowjaxError: The value is not a string, or holds an unpaired surrogate.

    Example:
        >>> json_text(None, "a.jsonl", 1)
        ''
    """
    if value is None:
        return ""
    where = f"{name}: line {number}: expected text in {field}, got"
    if not isinstance(value, str):
        raise FlowjaxError(f"{where} {type(value).__name__}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:  # JSON can escape half of a surrogate pair: "\ud83d"
        raise FlowjaxError(f"{where} the unpaired surrogate {value[error.start]!r}") from None
    return value
