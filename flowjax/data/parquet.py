"""Reader of vectors in Parquet files, from one list column or one column per dimension."""

from __future__ import annotations

import importlib
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from flowjax.data.formats import counted, open_parquet
from flowjax.data.npy import float32_bytes, npy_header
from flowjax.errors import FlowjaxError

# Rows per decoded block.
_ROWS = 8192


def read_rows(
    path: str | Path, columns: str | None = None, *, in_memory: int = 1 << 31
) -> np.ndarray:
    """Returns the vectors of a Parquet file as float32.

    Training reads rows in random order, and Parquet would decode a whole row group for each row.
    Hence the file is decoded once. Vectors of more than `in_memory` bytes are written to a
    temporary `.npy` file in `TMPDIR`, which is deleted with the array.

    Args:
        path: path of the file.
        columns: comma-separated column names: one list column with number lists of equal lengths,
            or numeric columns in the wanted order. The default is the only list column, or all
            columns if they are numeric, without the index of a pandas frame.
        in_memory: maximum size in bytes of the float32 array in memory.

    Returns:
        Array in memory or memory-mapped, shape (n, d), float32.

    Raises:
        FlowjaxError: The file is not Parquet or is damaged, a column is missing or not numeric, a
            value is null or a list has another length (the message names the row), the temporary
            folder is too small, or pyarrow is not installed.

    Example:
        >>> from flowjax.data.vectors import write_vectors
        >>> path = Path(tempfile.mkdtemp()) / "v.parquet"
        >>> write_vectors(path, np.eye(2, 3), ["One.", "Two."])
        >>> read_rows(path).tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    with open_parquet(path) as (arrow, file):
        chosen, lists = choose_columns(arrow, file.schema_arrow, path, columns)
        blocks = decoded_blocks(file, path, chosen, lists)
        first = next(blocks, None)
        if first is None:
            raise FlowjaxError(f"{path}: expected rows of shape (n, d), got none")
        shape = (file.metadata.num_rows, first.shape[1])
        blocks = counted(chain([first], blocks), shape[0], path)
        if shape[0] * shape[1] * 4 > in_memory:
            return _on_disk(blocks, shape, path)
        rows, at = np.empty((max(0, shape[0]), shape[1]), np.float32), 0
        for block in blocks:
            rows[at : at + len(block)] = block
            at += len(block)
        return rows


def has_text(path: str | Path, columns: Iterable[str]) -> bool:
    """Returns True if one of the named columns of a Parquet file has text.

    Raises:
        FlowjaxError: The file is not Parquet or is damaged, or pyarrow is not installed.
    """
    with open_parquet(path) as (arrow, file):
        kind, schema = arrow.types, file.schema_arrow
        types = (schema.field(name).type for name in columns if name in schema.names)
        kinds = [t.value_type if kind.is_dictionary(t) else t for t in types]
        return any(kind.is_string(t) or kind.is_large_string(t) for t in kinds)


def choose_columns(
    arrow: Any, schema: Any, path: str | Path, columns: str | None
) -> tuple[list[str], bool]:
    """Returns the names of the columns to read, and True if they are a single list column.

    Args:
        arrow: module `pyarrow`.
        schema: Arrow schema of the file.
        path: name of the file in error messages.
        columns: see `read_rows`.

    Raises:
        FlowjaxError: A column is missing or not numeric, or several list columns exist.
    """
    kind = arrow.types

    def number(t: Any) -> bool:
        real: bool = kind.is_integer(t) or kind.is_floating(t)
        return real

    def vector(t: Any) -> bool:
        lists = kind.is_list(t) or kind.is_large_list(t) or kind.is_fixed_size_list(t)
        return lists and number(t.value_type)

    types = dict(zip(schema.names, schema.types, strict=True))
    if len(types) < len(schema.names):
        raise FlowjaxError(f"{path}: expected distinct column names, got {schema.names}")
    vectors = [name for name, t in types.items() if vector(t)]
    chosen = [name.strip() for name in columns.split(",")] if columns is not None else vectors
    # pandas writes the index of a frame, such as row numbers, as columns.
    index = [k for k in (schema.pandas_metadata or {}).get("index_columns", ()) if type(k) is str]
    chosen = chosen or [name for name in types if name not in index]
    if len(chosen) == 1 and chosen[0] in vectors:
        return chosen, True
    if not chosen or not all(name in types and number(types[name]) for name in chosen):
        found = ", ".join(f"{name} ({t})" for name, t in types.items())
        raise FlowjaxError(
            f"{path}: expected one list column of numbers or only numeric columns, got "
            f"{', '.join(chosen)}; choose columns (--columns) among {found}"
        )
    return chosen, False


def decoded_blocks(
    file: Any,
    path: str | Path,
    columns: Sequence[str],
    lists: bool,
    *,
    dtype: Any = np.float32,
    group: int | None = None,
    first: int = 0,
) -> Iterator[np.ndarray]:
    """Yields blocks of rows, shape (rows, d).

    Args:
        file: `pyarrow.parquet.ParquetFile`.
        path: name of the file in error messages.
        columns: names of the columns to read, see `choose_columns`.
        lists: True for a single list column.
        dtype: dtype of the blocks.
        group: number of the row group to read; None means all.
        first: number of the first row that is read, for error messages.

    Raises:
        FlowjaxError: A value is null, or a list has another length.
    """
    compute: Any = importlib.import_module("pyarrow.compute")

    at, width = first, None  # index of the first row of the block, length of the lists
    groups = None if group is None else [group]
    for batch in file.iter_batches(batch_size=_ROWS, columns=list(columns), row_groups=groups):
        chosen = [batch.column(name) for name in columns]
        for name, column in zip(columns, chosen, strict=True):
            _refuse_null(column, path, name, at)
        if lists:
            chosen = [chosen[0].flatten()]
            _refuse_null(chosen[0], path, columns[0], None)
            sizes = compute.list_value_length(batch.column(columns[0])).to_numpy()
            width = sizes[0] if width is None else width
            if (sizes != width).any():
                row = int(np.argmax(sizes != width))
                got = f"{sizes[row]} at row {at + row}"
                raise FlowjaxError(
                    f"{path}: expected {width} numbers in {columns[0]!r}, got {got}"
                )
        with np.errstate(over="ignore"):  # `check_rows` reports infinite numbers
            numbers = [x.to_numpy(zero_copy_only=False).astype(dtype, copy=False) for x in chosen]
        yield np.stack(numbers, axis=1).reshape(len(batch), -1)
        at += len(batch)


def _refuse_null(column: Any, path: str | Path, name: str, at: int | None) -> None:
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        where = "inside of a list" if at is None else f"at row {at + row}"
        raise FlowjaxError(f"{path}: expected numbers in {name!r}, got null {where}")


def _on_disk(
    blocks: Iterable[np.ndarray], shape: tuple[int, int], source: str | Path
) -> np.ndarray:
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="flowjax-"))
        size, free = shape[0] * shape[1] * 4, shutil.disk_usage(folder).free
        if size > free:
            raise FlowjaxError(
                f"{source}: expected {size:,} free bytes for its rows in {tempfile.gettempdir()}, "
                f"got {free:,}; set TMPDIR to another folder"
            )
        path = Path(folder) / "rows.npy"
        with path.open("wb") as file:
            file.write(npy_header(*shape))
            for block in blocks:
                file.write(float32_bytes(block))
        rows: np.ndarray = np.load(path, mmap_mode="r")
        weakref.finalize(rows, stack.pop_all().close)
        return rows
