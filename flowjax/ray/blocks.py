"""Blocks of input files: a fixed number of sentences with the other columns of their file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any, NamedTuple

import pyarrow as pa

from flowjax.data.formats import COLUMNS, counted, json_sentence, open_parquet, pick_column
from flowjax.encoder.embed import CHUNK
from flowjax.errors import FlowjaxError, first_line
from flowjax.files.json import parse_json
from flowjax.files.tables import read_json, read_table
from flowjax.files.text import read_lines, split_suffix

# Column of the sentences in a block; the other columns have the names of the file.
SENTENCE = "__sentence__"
# Columns of a shard besides those of the input.
OWN = ("id", "vector")
_TEXT = ("string", "large_string", "string_view")


class Columns(NamedTuple):
    """Columns to read.

    Attributes:
        sentence: name of the column of sentences; None means `sentence` or `text`.
        kept: names and types of the other columns; None before `columns_of`.
        id: name of the column with the ids; None numbers the sentences.
    """

    sentence: str | None
    kept: pa.Schema | None = None
    id: str | None = None


class Block(NamedTuple):
    """Consecutive sentences of a file.

    Attributes:
        number: number of the block in its file, from 0.
        last: True for the last block of the file, which may be shorter or empty.
        table: the column `SENTENCE`, and the other columns.
    """

    number: int
    last: bool
    table: pa.Table


def read_blocks(path: str, columns: Columns) -> Iterator[Block]:
    """Yields the blocks of a file of sentences, each of `CHUNK` sentences but the last.

    Args:
        path: `.txt`, `.jsonl`, `.json`, `.csv`, `.tsv` (also compressed) or `.parquet` file.
        columns: columns to read.

    Raises:
        FlowjaxError: The file is damaged, lacks a column, or a value has another type than in the
            first file.
    """
    tables = _tables(path, columns)
    table = next(tables, None)
    index = 0
    while table is not None:
        following = next(tables, None)
        yield Block(index, following is None, table)
        table, index = following, index + 1
    if not index:
        fields = columns.kept or ()
        empty = pa.schema([pa.field(SENTENCE, pa.string()), *fields]).empty_table()
        yield Block(0, True, empty)


def columns_of(path: str, columns: Columns, carry: list[str] | None) -> Columns:
    """Returns the columns with the types of the first file.

    Args:
        path: the file.
        columns: columns whose `kept` is None.
        carry: names of the columns to keep; None keeps all but the sentences.

    Raises:
        FlowjaxError: A column is missing, or has the name of a column of the shards.
    """
    table = next(read_blocks(path, columns)).table
    names = table.column_names[1:]
    sentence = columns.sentence or next((name for name in COLUMNS if name in names), None)
    wanted = [name for name in names if name != sentence] if carry is None else carry
    for name in [*wanted, *filter(None, [columns.id])]:
        if name not in names:
            got = ", ".join(map(repr, names)) or "none"
            raise FlowjaxError(f"{path}: expected a column {name!r}, got {got}")
    number = columns.id or ("id" if "id" in wanted else None)
    wanted = list(dict.fromkeys([*wanted, *filter(None, [number])]))
    for name in wanted:
        if name in OWN and name != number:
            raise FlowjaxError(
                f"{path}: expected no column {name!r}, which is a column of the vector shards; "
                "choose the other columns with --carry"
            )
    fields = [table.schema.field(name).remove_metadata() for name in wanted]
    # A column of nulls in the first block may hold text later.
    kept = [f.with_type(pa.string()) if pa.types.is_null(f.type) else f for f in fields]
    return Columns(columns.sentence, pa.schema(kept), number)


def _tables(path: str, columns: Columns) -> Iterator[pa.Table]:
    """Yields tables of `CHUNK` rows."""
    kind = split_suffix(path)[1]
    if kind == ".parquet":
        yield from _parquet(path, columns)
        return
    if kind in (".csv", ".tsv"):
        rows = _csv(path, columns, "\t" if kind == ".tsv" else ",")
    elif kind in (".jsonl", ".ndjson", ".json"):
        rows = _json(path, columns, kind)
    else:
        rows = ((line, {}) for line in read_lines(path))
    while block := list(islice(rows, CHUNK)):
        table = pa.table({SENTENCE: pa.array([text for text, _ in block], pa.string())})
        for field, values in _kept(path, columns, [others for _, others in block]):
            table = table.append_column(field, values)
        yield table


def _kept(path: str, columns: Columns, rows: list[dict[str, Any]]) -> Iterator[tuple[Any, Any]]:
    """Yields the fields and arrays of the kept columns."""
    with _same_types(path):
        if columns.kept is None:
            names = dict.fromkeys(name for row in rows for name in row)
            for name in names:
                values = pa.array([row.get(name) for row in rows])
                yield pa.field(name, values.type), values
            return
        for field in columns.kept:
            if rows and not any(field.name in row for row in rows):
                raise FlowjaxError(f"{path}: expected a column {field.name!r}, got none")
            yield field, pa.array([row.get(field.name) for row in rows], field.type)


@contextmanager
def _same_types(path: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise FlowjaxError(
            f"{path}: expected values of one type in each column, got: {first_line(error)}; "
            "choose the columns with --carry"
        ) from None


def _csv(path: str, columns: Columns, delimiter: str) -> Iterator[tuple[str, dict[str, str]]]:
    header, rows = read_table(read_lines(path), path, delimiter=delimiter)
    chosen = header.index(pick_column(header, path, columns.sentence))
    names = None if columns.kept is None else set(columns.kept.names)
    kept = [(i, name) for i, name in enumerate(header) if names is None or name in names]
    for _, cells in rows:
        yield cells[chosen], {name: cells[i] for i, name in kept}


def _json(path: str, columns: Columns, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    lines, unit = read_lines(path), "line"
    start = next(lines, "")
    values: Iterator[tuple[int, Any]] = read_json(chain([start], lines), path)
    if kind == ".json" and start.lstrip().startswith("["):
        values, unit = enumerate(parse_json("\n".join([start, *lines]), path)), "item"
    for number, value in values:
        text = json_sentence(value, f"{path}: {unit} {number}", columns.sentence)
        yield text, value if isinstance(value, dict) else {}


def _parquet(path: str, columns: Columns) -> Iterator[pa.Table]:
    with open_parquet(path) as (arrow, file):
        schema = file.schema_arrow
        sentence = pick_column(schema.names, path, columns.sentence)
        kind = schema.field(sentence).type
        value = kind.value_type if arrow.types.is_dictionary(kind) else kind
        if str(value) not in _TEXT:
            raise FlowjaxError(f"{path}: expected text in {sentence!r}, got {kind}")
        kept = columns.kept
        for name in kept.names if kept is not None else ():
            pick_column(schema.names, path, name)
        names = schema.names if kept is None else list(dict.fromkeys([sentence, *kept.names]))
        batches = file.iter_batches(batch_size=CHUNK, columns=names)
        waiting: list[pa.Table] = []
        for batch in counted(batches, file.metadata.num_rows, path):
            table = pa.Table.from_batches([batch])
            texts = table[sentence].cast(pa.string()).fill_null("")
            others = table.select(table.column_names if kept is None else kept.names)
            if kept is not None:
                with _same_types(path):
                    others = others.cast(kept)
            waiting.append(pa.table([texts, *others], [SENTENCE, *others.column_names]))
            if sum(map(len, waiting)) >= CHUNK:
                whole = pa.concat_tables(waiting)
                yield whole.slice(0, CHUNK)
                waiting = [whole.slice(CHUNK)] if len(whole) > CHUNK else []
        if waiting:
            yield pa.concat_tables(waiting)
