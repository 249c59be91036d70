"""Folder of vector shards: the identity of its job, the finished blocks, and the manifest.

shards/FFFFFF-BBBBBBBB.parquet  vectors of block B of file F; sorted names have the input's order
manifest.json                   result, written last: the folder is complete if it exists
job.json                        inputs that determine the vectors, written first
_journal/, _checkpoint/         finished blocks of an unfinished job (`_` hides them from readers)
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from flowjax.data.manifest import OtherStore
from flowjax.errors import FlowjaxError
from flowjax.files.json import parse_object
from flowjax.files.remote import (
    as_url,
    filesystem,
    is_remote,
    join,
    kind_of,
    read_remote,
    version,
    write_remote,
)
from flowjax.files.replace import replacing

JOB, MANIFEST = "job.json", "manifest.json"
SHARDS, JOURNAL, CHECKPOINT = "shards", "_journal", "_checkpoint"
# Counts of a block in the journal and in the footer of its shard.
COUNTS = ("empty", "cut", "tokens", "unknown")
# Factor of the number of the file in block and sentence numbers.
BLOCKS_OF_FILE, ROWS_OF_FILE = 1 << 32, 1 << 40
# Fields of a job, and their meaning in error messages.
_MEANING = {
    "encoder_hash": "another encoder",
    "flow_hash": "another flow",
    "input": "another input",
}


class Folder:
    """Output folder, local or in object storage.

    Attributes:
        path: absolute path or URL.
        filesystem: file system for pyarrow and Ray.
        root: path in this file system.
        resumed: True if an earlier run of the same job wrote to the folder.
    """

    resumed = False

    def __init__(self, path: str | Path) -> None:
        """Stores the path; a local folder need not exist."""
        if is_remote(path):
            self.path = as_url(path).rstrip("/")
            handler = pyarrow.fs.FSSpecHandler(filesystem(self.path)[0])
            self.filesystem: Any = pyarrow.fs.PyFileSystem(handler)
            self.root = filesystem(self.path)[1]
        else:
            self.path = self.root = os.path.abspath(path)
            self.filesystem = pyarrow.fs.LocalFileSystem()

    def at(self, name: str) -> str:
        """Returns the path or URL of a name in the folder."""
        return join(self.path, name) if is_remote(self.path) else f"{self.path}/{name}"

    def write(self, name: str, content: bytes) -> None:
        """Writes a file; after a failure, the file is complete or absent."""
        if is_remote(self.path):
            write_remote(self.at(name), content)
            return
        with replacing(self.at(name)) as new:
            new.write_bytes(content)

    def read(self, name: str) -> dict[str, Any] | None:
        """Returns the object of a JSON file; None if there is no such file."""
        path = self.at(name)
        if is_remote(path):
            return parse_object(read_remote(path), path) if kind_of(path) == "file" else None
        file = Path(path)
        return parse_object(file.read_bytes(), path) if file.is_file() else None

    def tables(self, name: str) -> pa.Table | None:
        """Returns the rows of all Parquet files of a subfolder; None if there are none."""
        selector = pyarrow.fs.FileSelector(f"{self.root}/{name}", allow_not_found=True)
        paths = [
            info.path
            for info in self.filesystem.get_file_info(selector)
            if info.is_file and info.path.endswith(".parquet")
        ]
        found = [pq.read_table(path, filesystem=self.filesystem) for path in sorted(paths)]
        return pa.concat_tables(found) if found else None

    def make(self) -> None:
        """Creates the folder."""
        if not is_remote(self.path):
            Path(self.at(SHARDS)).mkdir(parents=True, exist_ok=True)

    def remove(self, *names: str) -> None:
        """Removes files and subfolders that a job wrote."""
        for name in names:
            if is_remote(self.path):
                fs, path = filesystem(self.at(name))
                if fs.exists(path):
                    fs.rm(path, recursive=True)
            else:
                local = Path(self.at(name))
                shutil.rmtree(local) if local.is_dir() else local.unlink(missing_ok=True)


def stamp(path: str) -> str:
    """Returns text that changes when a file changes: its size and time, or the object's version.

    Raises:
        FlowjaxError: There is no such file.
    """
    if is_remote(path):
        return version(path)
    try:
        facts = os.stat(path)
    except OSError as error:
        raise FlowjaxError(f"{path}: expected a readable file, got: {error.strerror}") from None
    return f"{facts.st_size} {facts.st_mtime_ns}"


def check_stamp(path: str, expected: str) -> None:
    """Raises FlowjaxError if a file changed after the start of its job."""
    found = stamp(path)
    if found != expected:
        raise FlowjaxError(
            f"{path}: expected the file that this job began with (size and time {expected}), got "
            f"another version ({found}); start again with --overwrite"
        )


def begin(folder: Folder, job: Mapping[str, Any], *, overwrite: bool) -> dict[str, Any] | None:
    """Starts or resumes a job in a folder.

    Args:
        folder: the output folder.
        job: inputs that determine the vectors.
        overwrite: True removes the shards of another job.

    Returns:
        The manifest if the job is complete, otherwise None.

    Raises:
        OtherStore: The folder has the shards of another job.
        FlowjaxError: The folder contains other files.
    """
    found, job = folder.read(JOB), json.loads(json.dumps(job))
    if found == job:
        folder.resumed = True
        folder.make()
        return folder.read(MANIFEST)
    if found is not None and not overwrite:
        name = next(k for k in [*job, *found] if found.get(k) != job.get(k))
        raise OtherStore(f"{folder.path}: {_difference(name, found, job)}")
    own = () if found is None else (MANIFEST, SHARDS, JOURNAL, CHECKPOINT, JOB)
    selector = pyarrow.fs.FileSelector(folder.root, allow_not_found=True)
    names = (info.base_name for info in folder.filesystem.get_file_info(selector))
    if foreign := sorted(name for name in names if name not in own and name != SHARDS):
        raise FlowjaxError(
            f"{folder.path}: expected a folder of vector shards only, got {foreign[0]}; use a new "
            "folder"
        )
    folder.remove(*own)
    folder.make()
    folder.write(JOB, json.dumps(job, indent=1).encode())
    return None


def _difference(name: str, found: Mapping[str, Any], job: Mapping[str, Any]) -> str:
    meaning = _MEANING.get(name, f"another {name}")
    old, new = found.get(name), job.get(name)
    if name == "input" and isinstance(old, list) and isinstance(new, list):
        pairs = [(a, b) for a, b in zip(old, new, strict=False) if a != b]
        old, new = pairs[0] if pairs else (f"{len(old)} files", f"{len(new)} files")
    return (
        f"expected shards of {new!r}, got shards of {meaning} ({old!r}); use another folder or "
        "--overwrite"
    )


def finished(folder: Folder) -> dict[int, dict[str, np.ndarray]]:
    """Returns the finished blocks of each file, sorted by their index.

    Returns:
        For each file, the columns of the journal: `index`, `rows`, `last` and the counts. A block
        that was written again counts once.
    """
    table = folder.tables(JOURNAL)
    if table is None:
        return {}
    columns = {name: table[name].to_numpy() for name in table.column_names}
    _, first = np.unique(columns["block"], return_index=True)
    columns = {name: values[first] for name, values in columns.items()}
    ends = np.flatnonzero(np.diff(columns["file"])) + 1
    parts = {name: np.split(values, ends) for name, values in columns.items()}
    return {
        int(file[0]): {name: parts[name][i] for name in parts}
        for i, file in enumerate(parts["file"])
        if len(file)
    }


def is_complete(blocks: Mapping[str, np.ndarray] | None) -> bool:
    """Returns True if the blocks 0 to the last block of a file are finished."""
    if blocks is None:
        return False
    n = len(blocks["index"])
    return bool(blocks["last"][-1]) and int(blocks["index"][-1]) == n - 1


def publish(folder: Folder, job: Mapping[str, Any], dim: int) -> dict[str, Any]:
    """Writes the manifest of a finished job and removes the journal.

    Args:
        folder: the output folder.
        job: the job of `begin`.
        dim: dimension of the vectors.

    Returns:
        The manifest.

    Raises:
        FlowjaxError: A block or a shard is missing, an input file has changed, or there are no
            sentences.
    """
    files: Sequence[Mapping[str, Any]] = job["input"]
    found = finished(folder)
    totals, rows, shards = dict.fromkeys(COUNTS, 0), [], set()
    for number, file in enumerate(files):
        check_stamp(file["path"], file["stamp"])
        blocks = found.get(number)
        if blocks is None or not is_complete(blocks):
            raise FlowjaxError(
                f"{folder.path}: expected all blocks of {file['path']}, got only "
                f"{0 if blocks is None else len(blocks['index'])}; repeat the command to resume"
            )
        rows.append(int(blocks["rows"].sum()))
        shards |= {shard_name(number, i) for i in blocks["index"][blocks["rows"] > 0].tolist()}
        for name in COUNTS:
            totals[name] += int(blocks[name].sum())
    selector = pyarrow.fs.FileSelector(f"{folder.root}/{SHARDS}", allow_not_found=True)
    present = {f"{SHARDS}/{i.base_name}" for i in folder.filesystem.get_file_info(selector)}
    if missing := sorted(shards - present):
        raise FlowjaxError(
            f"{folder.path}: expected {len(shards)} shards, got {len(shards) - len(missing)} "
            f"(without {missing[0]}); with several machines, --out must be object storage or a "
            "disk that all of them share"
        )
    if not sum(rows):
        raise FlowjaxError(f"{files[0]['path']}: expected sentences, got none")
    manifest = {
        "format": "flowjax vectors",
        **job,
        "rows": sum(rows),
        "dim": dim,
        "shards": len(shards),
        "sentences": sum(rows),
        **{name: totals[name] for name in COUNTS[:3]},
        "unknown_tokens": totals["unknown"],
        "input": [{**file, "rows": n} for file, n in zip(files, rows, strict=True)],
    }
    folder.write(MANIFEST, json.dumps(manifest, indent=1).encode())
    folder.remove(JOURNAL, CHECKPOINT)
    return manifest


def shard_name(file: int, index: int) -> str:
    """Returns the name of a shard.

    Example:
        >>> shard_name(3, 12)
        'shards/000003-00000012.parquet'
    """
    return f"{SHARDS}/{file:06d}-{index:08d}.parquet"
