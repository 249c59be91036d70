"""Journals of a store: what each writer has finished, a line at a time, safe from kill -9.

A line is written after the rows it speaks of have reached the disk. A line that was cut by a kill
is no JSON and counts as never written. Each writer has a journal of its own, so none waits for
another; what is done is what any of them says.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple


class Done(NamedTuple):
    """What the journals of a store say together.

    Attributes:
        blocks: `{block: {"rows", "hash", "counts"}}` of the blocks whose vectors are on disk.
        ends: `{"rows", "empty", "hash"}` of each writer that has read the source to its end.
    """

    blocks: dict[int, dict[str, Any]]
    ends: list[dict[str, Any]]

    def missing(self, block: int) -> int | None:
        """How many blocks of size `block` are not written; None while their number is unknown."""
        return -(-self.ends[0]["rows"] // block) - len(self.blocks) if self.ends else None

    def beyond(self, rows: int, block: int) -> bool:
        """Whether there are blocks that a source of so many rows does not have."""
        return any(k * block >= rows for k in self.blocks)

    def rows_until(self, block: int) -> int:
        """The rows up to the end of the last written block, those between that are not too."""
        return max((k * block + line["rows"] for k, line in self.blocks.items()), default=0)


class Journal:
    """One writer's journal, open for appending.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with Journal(folder, 0) as journal:
        ...     journal.write({"block": 0, "rows": 2, "hash": "x", "counts": {}})
        >>> read_journals(folder).blocks[0]["rows"]
        2
    """

    def __init__(self, folder: Path, writer: int) -> None:
        path = folder / f"journal-{writer}.jsonl"
        self._file = path.open("ab", buffering=0)
        if self._file.tell() and not path.read_bytes().endswith(b"\n"):
            self._file.write(b"\n")  # ends a line that was cut

    def write(self, line: dict[str, Any]) -> None:
        """Appends a line; when this returns it is on the disk."""
        self._file.write(json.dumps(line).encode() + b"\n")
        os.fsync(self._file.fileno())

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def read_journals(folder: Path) -> Done:
    """What all writers of a store have finished."""
    blocks: dict[int, dict[str, Any]] = {}
    ends = []
    for path in sorted(folder.glob("journal-*.jsonl")):
        for raw in path.read_bytes().split(b"\n"):
            try:
                line = json.loads(raw)
            except ValueError:
                continue  # cut by a kill: its block is written again
            if "block" in line:
                blocks[line["block"]] = line
            else:
                ends.append(line)
    return Done(blocks, ends)
