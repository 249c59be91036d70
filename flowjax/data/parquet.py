"""Vectors of Parquet files, in one column of lists or in one column per dimension."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from flowjax.data.formats import first_line, need_pyarrow
from flowjax.data.npy import npy_header
from flowjax.errors import FlowjaxError

# Rows per decoded block.
_ROWS = 8192


def read_rows(
    path: str | Path, columns: str | None = None, *, in_memory: int = 1 << 31
) -> np.ndarray:
    """Returns the vectors of a Parquet file as float32.

    Training reads rows in random order, and Parquet would decode a whole row group for each row.
    Hence the file is decoded once. A file of more than `in_memory` bytes becomes a temporary
    `.npy` file in `TMPDIR`, which is deleted with the array.

    Args:
        path: path of the file.
        columns: comma-separated names of the columns: one column of lists of numbers with equal
            lengths, or numeric columns in the wanted order. The default is the only column of
            lists, or all columns if they are numeric.
        in_memory: maximum size in bytes of the float32 array in memory.

    Returns:
        Array in memory or memory-mapped, shape (n, d), float32.

    Raises:
        FlowjaxError: the file is not Parquet, a column is missing or not numeric, a value is null
            or a list has another length (the message has the row), or pyarrow is not installed.

    Example:
        >>> from flowjax.data.vectors import write_vectors
        >>> path = Path(tempfile.mkdtemp()) / "v.parquet"
        >>> write_vectors(path, np.eye(2, 3), ["One.", "Two."])
        >>> read_rows(path).tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    arrow, parquet = need_pyarrow("reading")
    try:
        with parquet.ParquetFile(path) as file:
            chosen, lists = _choose(arrow, file.schema_arrow, str(path), columns)
            blocks = _blocks(arrow, file, str(path), chosen, lists)
            first = next(blocks, None)
            if first is None:
                raise FlowjaxError(f"{path}: expected rows of shape (n, d), got none")
            shape = file.metadata.num_rows, first.shape[1]
            if shape[0] * shape[1] * 4 <= in_memory:
                rows, at = np.empty(shape, np.float32), 0
                for block in _chain(first, blocks, str(path)):
                    rows[at : at + len(block)] = block
                    at += len(block)
                return rows
            return _on_disk(_chain(first, blocks, str(path)), shape)
    except (OSError, arrow.ArrowException) as error:
        raise FlowjaxError(
            f"{path}: expected a Parquet file of numbers, got: {first_line(error)}"
        ) from None


def _choose(arrow: Any, schema: Any, path: str, columns: str | None) -> tuple[list[str], bool]:
    """Returns the names of the columns to read, and True if it is one column of lists."""
    kind = arrow.types

    def number(t: Any) -> bool:
        return kind.is_integer(t) or kind.is_floating(t)

    def vector(t: Any) -> bool:
        lists = kind.is_list(t) or kind.is_large_list(t) or kind.is_fixed_size_list(t)
        return lists and number(t.value_type)

    types = {name: schema.field(i).type for i, name in enumerate(schema.names)}
    if len(types) < len(schema.names):
        raise FlowjaxError(f"{path}: expected columns of different names, got {schema.names}")
    found = ", ".join(f"{name} ({t})" for name, t in types.items()) or "none"
    if columns is None:
        vectors = [name for name, t in types.items() if vector(t)]
        chosen = vectors if vectors else list(types)
        if len(vectors) > 1 or (not vectors and not all(number(t) for t in types.values())):
            raise FlowjaxError(
                f"{path}: expected one column of lists of numbers or only numeric columns; choose "
                f"columns (--columns) among {found}"
            )
    else:
        chosen = [name.strip() for name in columns.split(",")]
        for name in chosen:
            if name not in types:
                raise FlowjaxError(f"{path}: expected a column {name!r}, got {found}")
    lists = len(chosen) == 1 and vector(types[chosen[0]])
    for name in chosen:
        if not lists and not number(types[name]):
            raise FlowjaxError(f"{path}: expected numbers in {name!r}, got {types[name]}")
    if not chosen:
        raise FlowjaxError(f"{path}: expected columns of numbers, got none")
    return chosen, lists


def _blocks(
    arrow: Any, file: Any, path: str, columns: list[str], lists: bool
) -> Iterator[np.ndarray]:
    """Yields blocks of rows, shape (rows, d), float32."""
    at = 0  # number of rows before the block
    for batch in file.iter_batches(batch_size=_ROWS, columns=columns):
        for name in columns:
            _refuse_null(batch.column(name), path, name, at)
        if lists:
            yield _vectors(batch.column(columns[0]), path, columns[0], at)
        else:
            numbers = [batch.column(name).to_numpy(zero_copy_only=False) for name in columns]
            with np.errstate(over="ignore"):  # `check_rows` reports infinite numbers
                yield np.stack([x.astype(np.float32) for x in numbers], axis=1)
        at += len(batch)


def _vectors(column: Any, path: str, name: str, at: int) -> np.ndarray:
    lengths = column.value_lengths() if hasattr(column, "value_lengths") else None
    values = column.flatten()
    _refuse_null(values, path, name, None)
    width = len(values) // len(column)
    if lengths is not None:
        sizes = lengths.to_numpy(zero_copy_only=False)
        width = int(sizes[0])
        if (sizes != width).any():
            row = int(np.argmax(sizes != width))
            raise FlowjaxError(
                f"{path}: expected {width} numbers in {name!r}, got {sizes[row]} at row {at + row}"
            )
    with np.errstate(over="ignore"):
        flat = values.to_numpy(zero_copy_only=False).astype(np.float32)
    return flat.reshape(-1, width)


def _refuse_null(column: Any, path: str, name: str, at: int | None) -> None:
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        where = "inside of a list" if at is None else f"at row {at + row}"
        raise FlowjaxError(f"{path}: expected numbers in {name!r}, got null {where}")


def _chain(first: np.ndarray, blocks: Iterator[np.ndarray], path: str) -> Iterator[np.ndarray]:
    yield first
    at = len(first)
    for block in blocks:
        if block.shape[1] != first.shape[1]:
            raise FlowjaxError(
                f"{path}: expected {first.shape[1]} numbers, got {block.shape[1]} at row {at}"
            )
        yield block
        at += len(block)


def _on_disk(blocks: Iterator[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    folder = tempfile.TemporaryDirectory(prefix="flowjax-")
    try:
        path = Path(folder.name) / "rows.npy"
        with path.open("wb") as file:
            file.write(npy_header(*shape))
            for block in blocks:
                file.write(block.astype("<f4", copy=False).tobytes())
        rows = np.load(path, mmap_mode="r")
    except BaseException:
        folder.cleanup()
        raise
    weakref.finalize(rows, folder.cleanup)
    return rows
