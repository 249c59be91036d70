"""Rows of a prepared TFDS data set, whatever it was prepared with, and without TensorFlow."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def read_rows(builder: Any, split: str, block: int = 1024) -> Iterator[dict[str, Any]]:
    """The rows of a split, in its order.

    Args:
        builder: of a prepared data set.
        split: in TFDS's language, such as `train[:10%]`.
        block: rows in memory.

    Raises:
        ValueError: a damaged file.
    """
    if builder.info.file_format.value == "tfrecord":
        yield from _read_tfrecords(builder, split)
        return
    source = builder.as_data_source(split=split)
    for start in range(0, len(source), block):
        yield from source.__getitems__(list(range(start, min(start + block, len(source)))))


def _read_tfrecords(builder: Any, split: str) -> Iterator[dict[str, Any]]:
    """What TensorFlow writes by default; it is simple, and TFDS needs TensorFlow to read it."""
    for part in builder.info.splits[split].file_instructions:
        path = Path(part.filename)
        stop = part.skip + part.take if part.take >= 0 else None
        for i, record in enumerate(tfrecords(path)):
            if stop is not None and i >= stop:
                break
            if i >= part.skip:
                yield builder.info.features.deserialize_example_np(record)


def tfrecords(path: Path) -> Iterator[bytes]:
    """The records of a TFRecord file: length, its checksum, bytes, their checksum.

    Raises:
        ValueError: the file ends within a record.
    """
    with path.open("rb") as file:
        while head := file.read(12):
            size = struct.unpack("<Q", head[:8])[0] if len(head) == 12 else 0
            record = file.read(size) if size <= path.stat().st_size else b""
            if len(head) < 12 or len(record) != size or len(file.read(4)) != 4:
                raise ValueError(f"{path}: expected whole records, got a damaged one")
            yield record
