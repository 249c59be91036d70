"""Reader of prepared TFDS data sets in ArrayRecord or TFRecord, without TensorFlow."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from flowjax.errors import FlowjaxError


def read_rows(builder: Any, split: str, block: int = 1024) -> Iterator[dict[str, Any]]:
    """Yields the examples of a split in order.

    Args:
        builder: builder of a prepared data set.
        split: split in the syntax of TFDS, such as `train[:10%]`.
        block: number of examples in memory at a time.

    Raises:
        FlowjaxError: A file is damaged.
    """
    if builder.info.file_format.value == "tfrecord":
        yield from _read_tfrecords(builder, split)
        return
    source = builder.as_data_source(split=split)
    for start in range(0, len(source), block):
        yield from source.__getitems__(list(range(start, min(start + block, len(source)))))


def _read_tfrecords(builder: Any, split: str) -> Iterator[dict[str, Any]]:
    """Yields the examples of TFRecord files, which TFDS reads only with TensorFlow."""
    for part in builder.info.splits[split].file_instructions:
        stop = part.skip + part.take if part.take >= 0 else None
        for record in islice(tfrecords(Path(part.filename)), part.skip, stop):
            yield builder.info.features.deserialize_example_np(record)


def tfrecords(path: Path) -> Iterator[bytes]:
    """Yields the records of a TFRecord file.

    A record consists of the length (8 bytes), a checksum of the length (4), the data, and a
    checksum of the data (4). The checksums are not verified.

    Raises:
        FlowjaxError: The file ends within a record.
    """
    with path.open("rb") as file:
        while head := file.read(12):
            size = struct.unpack("<Q", head[:8])[0] if len(head) == 12 else 0
            record = file.read(size) if size <= path.stat().st_size else b""
            if len(head) < 12 or len(record) != size or len(file.read(4)) != 4:
                raise FlowjaxError(f"{path}: expected whole records, got a damaged one")
            yield record
