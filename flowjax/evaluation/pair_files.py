"""Reader of a file of labelled pairs with any columns and delimiter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from flowjax.errors import FlowjaxError
from flowjax.evaluation.readers import pairs_of
from flowjax.evaluation.tasks import PairTask
from flowjax.files.tables import Row, json_text, read_cells, read_json, read_table
from flowjax.files.text import read_lines, split_suffix

# Default columns; the first name in each entry that the file has is used.
COLUMNS = (("score", "label"), ("sentence1",), ("sentence2",))
_DELIMITERS = {".tsv": "\t", ".txt": "\t", ".csv": ","}
_JSON = (".jsonl", ".ndjson")


def load_pairs(
    path: str | Path,
    *,
    name: str | None = None,
    split: str = "test",
    columns: Sequence[str | int] | None = None,
    delimiter: str | None = None,
) -> PairTask:
    r"""Returns the labelled pairs of a user's file as a task with one split and one subset.

    Args:
        path: `.tsv`, `.csv` or `.txt` table, or `.jsonl`; also compressed (`.gz`, `.xz`, `.bz2`,
            `.zst`). Scores may have any scale; 0 and 1 are labels of two classes. A row with an
            empty or null score is skipped and counted. A row of empty cells is ignored.
        name: name of the task; the file name without its suffixes by default.
        split: name of the split.
        columns: names of the columns with the score, the first and the second sentence; by default
            `score` or `label`, `sentence1` and `sentence2`. Integers are positions, from 1, in a
            table without a header.
        delimiter: text between the cells of a table, such as `";"` or `"||"`; by default a tab for
            `.tsv` and `.txt`, and a comma for `.csv`. See `files.tables.read_cells` for quoting.

    Returns:
        A task with one split.

    Raises:
        FlowjaxError: A column, a score or a sentence is missing or malformed (the message names
            the file and the line), or an option does not fit the file.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "mine.txt"
        >>> _ = path.write_text("1||Hello.||Hi.||4.5\n")
        >>> load_pairs(path, columns=(4, 2, 3), delimiter="||").pairs("test").gold
        array([4.5])
    """
    path = Path(path)
    stem, suffix, packed = split_suffix(path)
    if suffix not in (*_DELIMITERS, *_JSON):
        expected = "a .tsv, .csv, .txt or .jsonl file (also .gz, .xz, .bz2 or .zst)"
        raise FlowjaxError(f"{path}: expected {expected}, got {suffix + packed!r}")
    if columns is not None:
        _check_columns(columns)
    if suffix in _JSON:
        if delimiter is not None or any(isinstance(c, int) for c in columns or ()):
            raise FlowjaxError(f"{path}: expected names of columns and no delimiter for JSON")
        rows = _json_rows(path, columns)
    else:
        rows = _table_rows(path, columns, delimiter or _DELIMITERS[suffix])
    pairs = pairs_of(rows, path)
    if not len(pairs):
        raise FlowjaxError(f"{path}: expected scored pairs, got none")
    name = name or stem
    notes = [f"{pairs.skipped} pairs have no gold score and are skipped"] if pairs.skipped else []
    return PairTask(name, {split: {name: pairs}}, notes=tuple(notes), source=str(path))


def _check_columns(columns: Sequence[str | int]) -> None:
    positions = [isinstance(c, int) for c in columns]
    mixed = any(positions) and any(not isinstance(c, int) or c < 1 for c in columns)
    if len(columns) != 3 or len(set(columns)) < 3 or mixed:
        raise FlowjaxError(
            "columns: expected three names, or three positions from 1, of the score and the two "
            f"sentences, got {', '.join(map(str, columns)) or 'none'}"
        )


def _table_rows(path: Path, columns: Sequence[str | int] | None, delimiter: str) -> Iterator[Row]:
    lines = read_lines(path)
    if columns is None or isinstance(columns[0], str):
        header, rows = read_table(lines, path, delimiter=delimiter)
        names = [name.strip() for name in header]
        wanted = _chosen(names, columns, f"{path}: line 1", "; without a header, give positions")
        places = [names.index(name) for name in wanted]
    else:
        rows = read_cells(lines, path, delimiter=delimiter)
        places = [int(column) - 1 for column in columns]
    for number, cells in rows:
        if not any(map(str.strip, cells)):
            continue  # spreadsheets write rows of empty cells after the last pair
        if len(cells) <= max(places):
            expected = f"expected at least {max(places) + 1} cells, got {len(cells)}"
            raise FlowjaxError(f"{path}: line {number}: {expected}; see the delimiter")
        yield number, [cells[place] for place in places]


def _json_rows(path: Path, columns: Sequence[str | int] | None) -> Iterator[Row]:
    for number, row in read_json(read_lines(path), path):
        where = f"{path}: line {number}"
        if not isinstance(row, dict):
            raise FlowjaxError(f"{where}: expected an object, got {type(row).__name__}")
        score, *texts = _chosen(list(row), columns, where)
        value: Any = row[score]
        number_text = (
            "" if value is None else str(float(value) if isinstance(value, bool) else value)
        )
        yield number, [number_text, *(json_text(row[key], where, repr(key)) for key in texts)]


def _chosen(
    names: Sequence[str], columns: Sequence[str | int] | None, where: str, hint: str = ""
) -> list[str]:
    """Returns the names of the score and the sentences among the names of all columns."""
    wanted = COLUMNS if columns is None else [(str(column),) for column in columns]
    found = [next((name for name in each if name in names), None) for each in wanted]
    if None in found:
        expected = ", ".join(" or ".join(each) for each in wanted)
        got = ", ".join(map(repr, names))[:200] or "none"
        advice = f"; give other names with columns{hint}"
        raise FlowjaxError(f"{where}: expected the columns {expected}, got {got}{advice}")
    chosen = [name for name in found if name is not None]
    if twice := [name for name in chosen if names.count(name) > 1]:
        raise FlowjaxError(f"{where}: expected one column {twice[0]!r}, got several")
    return chosen
