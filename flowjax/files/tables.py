"""Rows of CSV, TSV and JSON-lines files, with their line numbers."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from flowjax.errors import FlowjaxError
from flowjax.files.text import MAX_LINE

Row = tuple[int, list[str]]  # line number from 1, cells
_QUOTED = re.compile(r'"(?:[^"]|"")*"').fullmatch


def read_table(
    lines: Iterable[str], name: str | Path, *, delimiter: str = ",", literal: bool = False
) -> tuple[list[str], Iterator[Row]]:
    """Returns the header and the rows of a table. Blank lines are skipped.

    Args:
        lines: lines without their line ends.
        name: name of the file in error messages.
        delimiter: separator of the cells; see `read_cells`.
        literal: True for cells that are never quoted.

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
    rows = read_cells(lines, name, delimiter=delimiter, literal=literal)
    _, header = next(rows, (0, []))
    n = len(header)

    def checked() -> Iterator[Row]:
        for number, row in rows:
            if len(row) == 1 < n and not row[0].strip():
                continue
            if len(row) != n:
                where = f"{name}: line {number}"
                raise FlowjaxError(f"{where}: expected {n} cells like the header, got {len(row)}")
            yield number, row

    return header, checked()


def read_cells(
    lines: Iterable[str], name: str | Path, *, delimiter: str = ",", literal: bool = False
) -> Iterator[Row]:
    r"""Yields the rows `(line_number, cells)` of a table without a header; see `read_table`.

    A single character, such as a comma, separates cells with CSV quoting. Several characters
    separate cells that are never quoted. In a tab-separated file, a quotation mark is usually an
    ordinary character, but pandas and spreadsheets quote the cells that contain one. Hence a cell
    is unquoted if marks enclose it and it contains `""` but no single mark. If marks enclose every
    cell of the first line, the file has CSV quoting.

    Example:
        >>> list(read_cells(["a\tb", "", '"a ""b"" c"\t"d"'], "a.tsv", delimiter="\t"))
        [(1, ['a', 'b']), (3, ['a "b" c', '"d"'])]
    """
    lines = iter(lines)
    first = next(lines, "")
    lines = chain([first], lines)
    tabs = delimiter == "\t"
    if literal or len(delimiter) > 1 or (tabs and not all(map(_QUOTED, first.split("\t")))):
        for number, line in enumerate(lines, 1):
            if line:
                cells = line.split(delimiter)
                unquote = tabs and not literal and '""' in line
                yield number, list(map(_unquoted, cells)) if unquote else cells
        return
    csv.field_size_limit(MAX_LINE)
    reader = csv.reader((line + "\n" for line in lines), strict=True, delimiter=delimiter)
    try:
        yield from ((reader.line_num, row) for row in reader if row)
    except csv.Error as error:
        raise FlowjaxError(f"{name}: line {reader.line_num}: expected CSV, got: {error}") from None


def _unquoted(cell: str) -> str:
    return cell[1:-1].replace('""', '"') if '""' in cell and _QUOTED(cell) else cell


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


def json_text(value: Any, where: str, field: str = "a string") -> str:
    """Returns a JSON value that must be a string; returns an empty string for null.

    Args:
        value: decoded JSON value.
        where: name of the file and of the line in error messages.
        field: description of the value in error messages.

    Raises:
        FlowjaxError: The value is not a string, or holds an unpaired surrogate.

    Example:
        >>> json_text(None, "a.jsonl: line 1")
        ''
    """
    if value is None:
        return ""
    where = f"{where}: expected text in {field}, got"
    if not isinstance(value, str):
        raise FlowjaxError(f"{where} {type(value).__name__}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:  # JSON can escape half of a surrogate pair: "\ud83d"
        raise FlowjaxError(f"{where} the unpaired surrogate {value[error.start]!r}") from None
    return value
