"""Text columns of JSON, CSV, TSV and Parquet files."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Sized
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from flowjax.errors import FlowjaxError, first_line
from flowjax.files.json import parse_json
from flowjax.files.remote import is_remote, open_remote
from flowjax.files.tables import json_text, read_json, read_table

# Default columns, in order of preference.
COLUMNS = ("sentence", "text")
# Rows per decoded block of a text column. Equal texts are stored once, but decoded for each row.
_ROWS = 1024


def read_jsonl(lines: Iterable[str], name: str, column: str | None = None) -> Iterator[str]:
    r"""Yields the text of JSON lines. Each line is an object with a text field, or a string.

    Blank lines are skipped; null yields an empty string.

    Args:
        lines: lines without their line ends.
        name: name of the file in error messages.
        column: name of the field with the text; `sentence` or `text` by default. `a.b` is the
            field b of the object a, unless there is a field of the name `a.b`.

    Raises:
        FlowjaxError: A line is not JSON, lacks the field, or its field is not text.

    Example:
        >>> list(read_jsonl(['{"text": "One."}', "", '"Two."'], "a.jsonl"))
        ['One.', 'Two.']
    """
    for number, row in read_json(lines, name):
        yield json_sentence(row, f"{name}: line {number}", column)


def read_json_file(lines: Iterable[str], name: str, column: str | None = None) -> Iterator[str]:
    """Yields the text of a `.json` file: JSON lines, or an array of such values.

    An array is read into memory.

    Args:
        lines: lines without their line ends.
        name: name of the file in error messages.
        column: name of the field with the text; see `read_jsonl`.

    Raises:
        FlowjaxError: The file is not JSON, or a value lacks the field, or its field is not text.

    Example:
        >>> list(read_json_file(["[", '{"text": "One."},', '"Two."', "]"], "a.json"))
        ['One.', 'Two.']
    """
    lines = iter(lines)
    start = next(lines, "")
    lines = chain([start], lines)
    if not start.lstrip().startswith("["):
        yield from read_jsonl(lines, name, column)
        return
    for i, value in enumerate(parse_json("\n".join(lines), name)):
        yield json_sentence(value, f"{name}: item {i}", column)


def json_sentence(value: Any, where: str, column: str | None) -> str:
    """Returns the text of a JSON value: an object with a text field, or a string."""
    if isinstance(value, dict):
        table, column = _holder(value, column)
        chosen = pick_column(table, where, column)
        return json_text(table[chosen], where, repr(chosen))
    if not isinstance(value, str):
        got = type(value).__name__
        raise FlowjaxError(f"{where}: expected an object or a string, got {got}")
    return json_text(value, where)


def _holder(table: dict[str, Any], column: str | None) -> tuple[dict[str, Any], str | None]:
    """Returns the object that holds the field `a.b`, and the name of the field in it."""
    head, _, rest = (column or "").partition(".")
    if rest and column not in table and isinstance(table.get(head), dict):
        return _holder(table[head], rest)
    return table, column


def read_csv(
    lines: Iterable[str], name: str, column: str | None = None, *, delimiter: str = ","
) -> Iterator[str]:
    """Yields the text column of a table with a header; see `read_table`.

    Args:
        lines: lines without their line ends.
        name: name of the file in error messages.
        column: name of the column in the header; `sentence` or `text` by default.
        delimiter: separator of the cells; see `read_cells`.

    Raises:
        FlowjaxError: The header or the column is missing, or a row is malformed.

    Example:
        >>> list(read_csv(["id,text", '1,"One, two."'], "a.csv"))
        ['One, two.']
    """
    header, rows = read_table(lines, name, delimiter=delimiter)
    place = header.index(pick_column(header, name, column))
    yield from (cells[place] for _, cells in rows)


def read_parquet(path: str | Path, column: str | None = None) -> Iterator[str]:
    """Yields a text column of a Parquet file, with one batch of rows in memory at a time.

    A null yields an empty string.

    Args:
        path: path of the file.
        column: name of the column; `sentence` or `text` by default.

    Raises:
        FlowjaxError: The file is not Parquet or is damaged, the column is missing or is not text,
            or pyarrow is not installed.
    """
    with open_parquet(path) as (arrow, file):
        schema = file.schema_arrow
        column = pick_column(schema.names, str(path), column)
        kind = schema.field(schema.names.index(column)).type
        value = kind.value_type if arrow.types.is_dictionary(kind) else kind
        if str(value) not in ("string", "large_string", "string_view"):
            raise FlowjaxError(f"{path}: expected text in {column!r}, got {kind}")
        batches = file.iter_batches(batch_size=_ROWS, columns=[column])
        for batch in counted(batches, file.metadata.num_rows, path):
            yield from (text or "" for text in batch.column(0).to_pylist())


Batch = TypeVar("Batch", bound=Sized)


def counted(batches: Iterable[Batch], rows: int, path: str | Path) -> Iterator[Batch]:
    """Yields batches of rows and checks that their number is the number in the file's footer.

    Args:
        batches: batches that a Parquet file holds.
        rows: number of rows in the footer. A reader that reserves memory for them would otherwise
            return uninitialised memory.
        path: name of the file in error messages.

    Raises:
        FlowjaxError: The batches have more or fewer rows.

    Example:
        >>> list(counted([[1, 2], [3]], 3, "a.parquet"))
        [[1, 2], [3]]
    """
    found = 0
    for batch in batches:
        found += len(batch)
        if found > rows:
            break
        yield batch
    if found != rows:
        got = f"{found}{' or more' if found > rows else ''}; the file is damaged"
        raise FlowjaxError(f"{path}: expected the {rows} rows of the footer, got {got}")


@contextmanager
def open_parquet(path: str | Path) -> Iterator[tuple[Any, Any]]:
    """Context manager that opens a Parquet file and returns `(pyarrow, file)`.

    Args:
        path: path of the file.

    Raises:
        FlowjaxError: The file is not Parquet, is damaged, or needs more memory than there is (also
            within the `with` block), or pyarrow is not installed.
    """
    arrow, parquet = need_pyarrow("reading")
    try:
        with ExitStack() as stack:
            opened = stack.enter_context(open_remote(path)) if is_remote(path) else path
            yield arrow, stack.enter_context(parquet.ParquetFile(opened))
    except FlowjaxError:
        raise
    except (MemoryError, OSError, UnicodeError, arrow.ArrowException) as error:
        code = getattr(error, "errno", None)
        if code == errno.ENOSPC:  # a temporary file, which is not the file's fault
            raise
        if isinstance(error, MemoryError) or code == errno.ENOMEM:
            # Some bytes can describe gigabytes of equal values.
            raise FlowjaxError(f"{path}: expected rows that fit into memory, got more") from None
        raise FlowjaxError(f"{path}: expected a Parquet file, got: {first_line(error)}") from None


def pick_column(names: Iterable[str], where: str, column: str | None = None) -> str:
    """Returns the name of the column to read.

    Args:
        names: names of all columns.
        where: name of the file, or file and line, in error messages.
        column: name of the wanted column; by default, the first name in `COLUMNS` that exists.

    Raises:
        FlowjaxError: The column is missing (the message lists the names of all columns), or
            several columns have its name.

    Example:
        >>> pick_column(["id", "text"], "a.csv")
        'text'
    """
    names = list(names)
    wanted = (column,) if column else COLUMNS
    for name in wanted:
        if names.count(name) > 1:
            raise FlowjaxError(f"{where}: expected one column {name!r}, got several")
        if name in names:
            return name
    expected, got = " or ".join(map(repr, wanted)), ", ".join(map(repr, names))[:300] or "none"
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
