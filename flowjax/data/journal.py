"""Journals of an embedding store: one JSON line for each finished block.

Each process appends to its own journal, so no process waits for another. A block is finished if
any journal contains its line. An incomplete line of a killed process is not JSON and is ignored.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from flowjax.data.manifest import check_sizes
from flowjax.errors import FlowjaxError
from flowjax.files.json import field, parse_object
from flowjax.files.replace import named


class Done(NamedTuple):
    """Finished work of all processes.

    Attributes:
        blocks: journal line of each block whose vectors are on disk, by block index. A line is a
            dict: `rows` is the number of vectors of the block, `hash` the fingerprint of its
            sentences, `counts` the dict of counts that the encoder reported.
        ends: one dict for each process that read the source to its end: `rows` is the number of
            embedded sentences of the source, `empty` the number of omitted empty sentences,
            `hash` the fingerprint of the embedded sentences.
    """

    blocks: dict[int, dict[str, Any]]
    ends: list[dict[str, Any]]

    def progress(self, block: int) -> str:
        """Returns the number of blocks on disk as text, for error messages.

        Args:
            block: number of sentences per block.
        """
        total = -(-self.ends[0]["rows"] // block) if self.ends else "an unknown number of"
        return f"{len(self.blocks)} of {total} blocks"


def append(journal: Path, line: dict[str, Any]) -> None:
    """Appends a line and flushes it to the disk.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> append(folder / "journal-0.jsonl", {"block": 0, "rows": 2, "hash": "x", "counts": {}})
        >>> read_journals(folder).progress(block=2)
        '1 of an unknown number of blocks'
    """
    with named(journal), journal.open("ab", buffering=0) as file:
        # The leading line feed terminates an incomplete line of a killed process.
        file.write(b"\n" + json.dumps(line).encode() + b"\n")
        os.fsync(file.fileno())


def read_journals(folder: Path) -> Done:
    """Returns the finished work in all journals of a store."""
    done = Done({}, [])
    for path in sorted(folder.glob("journal-*.jsonl")):
        for raw in path.read_bytes().split(b"\n"):
            try:
                line = parse_object(raw, path)
                block = "block" in line
                check_sizes(line, ["rows", "block" if block else "empty"], path)
                field(line, "hash", str, path)
                if block:
                    counts = field(line, "counts", dict, path)
                    check_sizes(counts, counts, path)
            except FlowjaxError:
                continue  # an empty, incomplete or damaged line: its block is written again
            if block:
                done.blocks[line["block"]] = line
            else:
                done.ends.append(line)
    return done
