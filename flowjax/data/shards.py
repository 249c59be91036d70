"""Folders and patterns of `.parquet` or `.npy` shards, on disk or in object storage."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from glob import glob
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from flowjax.data.formats import open_parquet
from flowjax.data.npy import load_npy
from flowjax.data.parquet import choose_columns
from flowjax.errors import FlowjaxError, first_line
from flowjax.files import remote
from flowjax.files.json import field, parse_object

SUFFIXES = (".parquet", ".npy")
# Rows per decoded block.
BLOCK = 8192
# Column of the vectors that `flowjax encode --engine ray` writes, and its manifest.
VECTOR, MANIFEST, FORMAT = "vector", "manifest.json", "flowjax vectors"


class Shard(NamedTuple):
    """Facts about a shard, from its header or footer.

    Attributes:
        path: path or URL.
        groups: number of rows of each row group, in order.
        dim: number of columns.
        dtype: dtype of the decoded numbers.
        columns: names of the Parquet columns, see `choose_columns`; empty for `.npy`.
        lists: True for a single list column.
        offset: first byte of the numbers of a `.npy` file.
        stamp: result of `stamp` before the file was opened.
    """

    path: Any
    groups: tuple[int, ...]
    dim: int
    dtype: np.dtype[Any]
    columns: tuple[str, ...] = ()
    lists: bool = False
    offset: int = 0
    stamp: str = ""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(self.groups)


def shard_paths(data: Any) -> list[Any] | None:
    """Returns the paths or URLs of the shards of a folder or a pattern; None for other data.

    Args:
        data: folder, pattern, or URL of one of them or of one object; a list of paths; or any
            other argument of `open_rows`.

    Raises:
        FlowjaxError: There is no shard, `.parquet` and `.npy` shards are mixed, or the folder is
            an incomplete result of `flowjax encode --engine ray`.

    Example:
        >>> shard_paths("x.npy") is None, shard_paths(np.zeros((2, 2))) is None
        (True, True)
    """
    if isinstance(data, (list, tuple)) and data and all(isinstance(x, (str, Path)) for x in data):
        return _one_kind([remote.as_url(x) if remote.is_remote(x) else x for x in data], data)
    if not isinstance(data, (str, Path)):
        return None
    if remote.is_remote(data):
        url = remote.as_url(data).rstrip("/")
        if set(url) & set("*?["):
            return _one_kind(remote.matching(url), url)
        if remote.kind_of(url) != "folder":
            return None
        names: Iterable[str] = remote.entries_of(url)
        return _one_kind([remote.join(url, name) for name in _shards_in(names, url)], url)
    path = Path(data)
    if path.is_dir():
        names = (p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())
        chosen = _shards_in(names, path)
        return _one_kind([path / name for name in chosen], path) if chosen else None
    if path.exists() or not set(str(data)) & set("*?["):
        return None
    return _one_kind([Path(name) for name in sorted(glob(str(data), recursive=True))], data)


def stamp(path: Any) -> str:
    """Returns text that changes when a file changes: the version of an object, or size and time.

    Raises:
        FlowjaxError: There is no such file.
    """
    if remote.is_remote(path):
        return remote.version(path)
    try:
        found = Path(path).stat()
    except OSError as error:
        raise FlowjaxError(f"{path}: expected a readable file, got: {error.strerror}") from None
    return f"{found.st_size} {found.st_mtime_ns}"


def _shards_in(names: Iterable[str], folder: str | Path) -> list[str]:
    """Returns the sorted names of the shards of a folder; empty for an embedding store."""
    names = set(names)
    if any(name.startswith("shards/") for name in names):  # of `encode --engine ray`
        if MANIFEST not in names:
            raise FlowjaxError(
                f"{folder}: expected the vectors of a finished job, got shards without "
                f"{MANIFEST}; repeat the flowjax encode command that began them"
            )
        names = {name for name in names if name.startswith("shards/")}
    elif MANIFEST in names:
        return []
    return sorted(name for name in names if _is_shard(name))


def _is_shard(name: str) -> bool:
    """Returns True for a shard in a folder, or in folders of partitions such as `year=2024`."""
    *folders, file = name.split("/")
    partition = all(part == "shards" or "=" in part for part in folders)
    return partition and file[:1] not in "._" and file.endswith(SUFFIXES)


def _one_kind(paths: list[Any], name: Any) -> list[Any]:
    kinds = sorted({Path(path).suffix for path in paths})
    if not paths or len(kinds) > 1 or kinds[0] not in SUFFIXES:
        got = f"files {', '.join(kinds)}" if paths else "no such file"
        raise FlowjaxError(f"{name}: expected shards, all .parquet or all .npy, got {got}")
    return paths


def read_shards(paths: list[Any], columns: str | None = None) -> list[Shard]:
    """Returns the facts about shards, which must have the same dimension.

    Args:
        paths: result of `shard_paths`.
        columns: names of Parquet columns, see `parquet.read_rows`.

    Raises:
        FlowjaxError: A shard cannot be read, is empty or damaged, or has another dimension; or
            there are fewer or more rows than the manifest of the folder counts.
    """
    parquet = Path(paths[0]).suffix == ".parquet"
    if columns is not None and not parquet:
        raise FlowjaxError(f"columns: expected .parquet files with {columns}, got {paths[0]}")
    manifest = _manifest(paths[0]) if parquet else None
    if manifest and columns is None:
        columns = VECTOR
    read: Callable[[Any], Shard] = (
        (lambda p: _parquet_shard(p, columns)) if parquet else _npy_shard
    )
    with ThreadPoolExecutor(16) as pool:  # each footer is a request to the storage system
        shards = [shard for shard in pool.map(read, paths) if shard.rows]
    if not shards:
        raise FlowjaxError(f"{paths[0]}: expected rows of shape (n, d), got none")
    first = shards[0]
    for shard in shards:
        if shard.dim != first.dim:
            raise FlowjaxError(
                f"{shard.path}: expected {first.dim} columns like {first.path}, got {shard.dim}"
            )
    rows = sum(shard.rows for shard in shards)
    if manifest and (wanted := field(manifest, "rows", int, MANIFEST)) != rows:
        raise FlowjaxError(
            f"{paths[0]}: expected {wanted} rows in all shards, as in {MANIFEST}, got {rows}; "
            "copy the folder again, or repeat the flowjax encode command"
        )
    return shards


def _manifest(path: Any) -> dict[str, Any] | None:
    """Returns the manifest of `flowjax encode --engine ray` above a shard, or None."""
    folder, slash, _ = str(path).rpartition("/shards/")
    if not slash:
        return None
    file = f"{folder}/{MANIFEST}"
    if remote.is_remote(file):
        found = remote.read_remote(file) if remote.kind_of(file) else None
    else:
        found = Path(file).read_bytes() if Path(file).exists() else None
    manifest = parse_object(found, file) if found is not None else {}
    return manifest if manifest.get("format") == FORMAT else None


def _parquet_shard(path: Any, columns: str | None) -> Shard:
    found = stamp(path)
    with open_parquet(path) as (arrow, file):
        chosen, lists = choose_columns(arrow, file.schema_arrow, path, columns)
        meta = file.metadata
        groups = tuple(meta.row_group(i).num_rows for i in range(meta.num_row_groups))
        kind, dim = file.schema_arrow.field(chosen[0]).type, len(chosen)
        if lists:
            dim = getattr(kind, "list_size", 0)
            if not dim and sum(groups):  # lists of any length: the first row counts
                dim = len(next(file.iter_batches(1, columns=chosen)).column(0)[0])
            kind = kind.value_type
        half = lists and kind == arrow.float16()
    dtype = np.dtype(np.float16 if half else np.float32)
    return Shard(path, groups, dim, dtype, tuple(chosen), lists, stamp=found)


def _npy_shard(path: Any) -> Shard:
    found = stamp(path)
    if remote.is_remote(path):
        shape, fortran, dtype, offset = _npy_header(path)
    else:
        array: Any = load_npy(path)
        shape, dtype, fortran, offset = array.shape, array.dtype, False, 0
    if len(shape) != 2 or not shape[1]:
        raise FlowjaxError(f"{path}: expected rows of shape (n, d), got {shape}")
    if fortran or dtype.kind not in "iuf":
        got = "an array in Fortran order" if fortran else f"dtype {dtype}"
        raise FlowjaxError(f"{path}: expected real numbers in C order, got {got}")
    n = shape[0]
    # Any block of a file in object storage is one request.
    groups = tuple(min(BLOCK, n - at) for at in range(0, n, BLOCK))
    return Shard(path, groups, shape[1], dtype, offset=offset, stamp=found)


def _npy_header(url: str) -> tuple[tuple[int, ...], bool, Any, int]:
    with remote.open_remote(url) as file:
        try:
            version = np.lib.format.read_magic(file)
            read = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, fortran, dtype = read(file)
        except (ValueError, KeyError) as error:
            if isinstance(error, FlowjaxError):
                raise
            raise FlowjaxError(f"{url}: expected a .npy array, got: {first_line(error)}") from None
        offset, size = file.tell(), file.seek(0, 2)
    expected = offset + int(np.prod(shape)) * dtype.itemsize
    if size != expected:
        raise FlowjaxError(f"{url}: expected {expected} bytes, got {size}; the file is damaged")
    return shape, fortran, dtype, offset
