"""Reader of Google's TensorFlow checkpoints (`bert_model.ckpt.index` and its data).

The index is a table in LevelDB's format: blocks of sorted keys, each stored as the difference from
the previous key. A key is the name of a variable; its value is a protocol buffer with the location
of the variable in the data files. TensorFlow is not required.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from flowjax.encoder.weights.formats import little_endian
from flowjax.errors import FlowjaxError

_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48
_DTYPES = {1: "float32", 2: "float64", 3: "int32", 9: "int64", 14: "bfloat16", 19: "float16"}


class _Entry(NamedTuple):
    """Location of a variable in the data files: TensorFlow's BundleEntryProto."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int


def read(file: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a TensorFlow checkpoint by name, given its `.index` file.

    Names and axis order are those of PyTorch. The arrays are memory-mapped.
    """
    entries = dict(_table(file.read_bytes()))
    shards = _fields(entries.pop(b"", b"")).get(1, 1)  # the key of the header is empty
    stem = str(file).removesuffix(".index")
    tensors: dict[str, np.ndarray] = {}
    data: dict[int, np.ndarray] = {}
    for key, value in entries.items():
        name, entry = key.decode(), _entry(value)
        bare, transpose = rename(name)
        if entry.dtype not in _DTYPES:  # strings and other metadata, not weights
            continue
        if entry.shard not in data:
            path = Path(f"{stem}.data-{entry.shard:05d}-of-{shards:05d}")
            if not path.exists():
                raise FlowjaxError(f"expected the data file {path.name}, got no such file")
            data[entry.shard] = np.memmap(path, np.uint8, "r")
        raw = data[entry.shard][entry.offset : entry.offset + entry.size]
        dtype = little_endian(_DTYPES[entry.dtype])
        if len(raw) < entry.size or entry.size != dtype.itemsize * math.prod(entry.shape):
            got = f"{len(raw)} bytes; the file is truncated"
            raise FlowjaxError(f"tensor {name}: expected {entry.shape} of {dtype}, got {got}")
        array = raw.view(dtype).reshape(entry.shape)
        tensors[bare] = array.T if transpose else array
    return tensors


def rename(name: str) -> tuple[str, bool]:
    """Returns the PyTorch name of a variable, and True if the variable must be transposed.

    Names that are not weights, such as those of the optimizer, stay unchanged.

    Example:
        >>> rename("bert/encoder/layer_11/output/dense/kernel")
        ('bert.encoder.layer.11.output.dense.weight', True)
        >>> rename("bert/pooler/dense/kernel/adam_m")
        ('bert/pooler/dense/kernel/adam_m', False)
    """
    parts = re.sub(r"/layer_(\d+)/", r"/layer/\1/", name).split("/")
    if parts[-1] == "kernel":
        return ".".join([*parts[:-1], "weight"]), True
    if parts[-1].endswith("_embeddings"):
        return ".".join([*parts, "weight"]), False
    if parts[-1] in ("bias", "gamma", "beta"):
        return ".".join(parts), False
    return name, False


def _table(raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields the keys and values of a LevelDB table."""
    if len(raw) < _FOOTER or struct.unpack("<Q", raw[-8:])[0] != _MAGIC:
        raise FlowjaxError("expected the index of a TensorFlow checkpoint, got no table footer")
    footer = raw[-_FOOTER:]
    _, at = _handle(footer, 0)  # skips the meta index, which is empty
    index, _ = _handle(footer, at)
    left = 100 * len(raw)  # bytes of keys: a small file may repeat blocks and prefixes
    for _, value in _block(raw, index):
        for key, entry in _block(raw, _handle(value, 0)[0]):
            left -= len(key) + 1
            if left < 0:
                raise FlowjaxError("expected an index without repeated blocks, got repeated ones")
            yield key, entry


def _block(raw: bytes, handle: tuple[int, int]) -> Iterator[tuple[bytes, bytes]]:
    start, size = handle
    if start + size + 5 > len(raw):
        raise FlowjaxError(f"expected {start + size + 5} bytes of index, got {len(raw)}")
    if raw[start + size] != 0:
        raise FlowjaxError("expected an uncompressed index, got a compressed index")
    block = raw[start : start + size]
    (restarts,) = struct.unpack("<I", block[-4:])
    at, end, key = 0, size - 4 - 4 * restarts, b""
    while at < end:
        shared, at = _varint(block, at)
        rest, at = _varint(block, at)
        length, at = _varint(block, at)
        if shared > len(key) or at + rest + length > end:
            raise FlowjaxError("expected complete entries in the index, got one beyond its block")
        key = key[:shared] + block[at : at + rest]
        at += rest
        yield key, block[at : at + length]
        at += length


def _handle(raw: bytes, at: int) -> tuple[tuple[int, int], int]:
    start, at = _varint(raw, at)
    size, at = _varint(raw, at)
    return (start, size), at


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise FlowjaxError("expected integers of at most 64 bits, got a longer one")


def _fields(raw: bytes) -> dict[int, Any]:
    """Returns the fields of a protocol buffer by number; byte fields are lists of their values."""
    found: dict[int, Any] = {}
    at = 0
    while at < len(raw):
        tag, at = _varint(raw, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(raw, at)
            found[number] = value
        elif wire == 2:
            size, at = _varint(raw, at)
            found.setdefault(number, []).append(raw[at : at + size])
            at += size
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            raise FlowjaxError(f"expected a protocol buffer, got wire type {wire}")
    return found


def _entry(raw: bytes) -> _Entry:
    found = _fields(raw)
    if 7 in found:
        raise FlowjaxError("expected complete variables, got a sliced one")
    dims = _fields(b"".join(found.get(2, []))).get(2, [])
    shape = tuple(_fields(dim).get(1, 0) for dim in dims)
    return _Entry(found.get(1, 0), shape, found.get(3, 0), found.get(4, 0), found.get(5, 0))
