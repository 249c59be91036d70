"""Safe reader of `pytorch_model.bin`, without PyTorch.

`torch_pickle.py` reads the descriptions of the tensors. This module converts them to arrays, after
a check of all offsets and sizes.

Two file formats are supported: the zip archive of torch >= 1.6, and the older sequence of pickles.
"""

from __future__ import annotations

import io
import math
import os
import struct
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from flowjax.encoder.weights.formats import little_endian
from flowjax.encoder.weights.torch_pickle import Storage, Tensor, Unpickler, key_of
from flowjax.errors import FlowjaxError

_MOST_VALUES = 1 << 48
_MAGIC = 0x1950A86A20F9469CFC6C
_BIG_ENDIAN = "expected little-endian values, got big-endian; save it on a little-endian machine"


def read(file: Path) -> dict[str, np.ndarray]:
    """Reads a state dict written by `torch.save`, from a zip archive or the older container."""
    if zipfile.is_zipfile(file):
        return _read_zip(file)
    with open(file, "rb") as opened:
        if opened.read(1) != b"\x80":
            raise FlowjaxError("expected a zip archive or a pickle of torch.save, got neither")
        opened.seek(0)
        return _read_legacy(opened)


def _read_zip(file: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(file) as archive:
        root = next((n for n in archive.namelist() if n.endswith("/data.pkl")), None)
        if root is None:
            raise FlowjaxError("expected a data.pkl in the zip archive, got none")
        folder = root.removesuffix("data.pkl")

        def member(name: str) -> bytes:
            # torch does not compress; a compressed member could expand to any size.
            if archive.getinfo(folder + name).compress_type != zipfile.ZIP_STORED:
                raise FlowjaxError(f"expected uncompressed members, got a compressed {name}")
            return archive.read(folder + name)

        if folder + "byteorder" in archive.namelist() and member("byteorder") != b"little":
            raise FlowjaxError(_BIG_ENDIAN)
        tensors = _tensors(Unpickler(io.BytesIO(member("data.pkl"))).load())
        keys = {t.storage.key for t in tensors.values()}
        size = sum(archive.getinfo(f"{folder}data/{key}").file_size for key in keys)
        if size > file.stat().st_size:  # members that overlap
            raise FlowjaxError(f"expected storages smaller than the file, got {size} bytes")
        storages = {key: member(f"data/{key}") for key in keys}
    return {name: _array(name, t, storages[t.storage.key]) for name, t in tensors.items()}


def _read_legacy(opened: IO[bytes]) -> dict[str, np.ndarray]:
    if Unpickler(opened).load() != _MAGIC:
        raise FlowjaxError("expected the magic number of torch.save, got another pickle")
    Unpickler(opened).load()  # skips the protocol version
    system = Unpickler(opened).load()
    if not isinstance(system, dict) or not dict.get(system, "little_endian", True):
        raise FlowjaxError(_BIG_ENDIAN)
    unpickler = Unpickler(opened)
    tensors, dtypes = _tensors(unpickler.load()), unpickler.dtypes
    storages: dict[str, bytes] = {}
    for key in map(key_of, Unpickler(opened).load()):
        (count,) = struct.unpack("<Q", opened.read(8))
        key = str(key)
        if key not in dtypes:
            raise FlowjaxError(f"storage {key!r}: expected a tensor that refers to it, got none")
        size = count * dtypes[key].itemsize
        if size > os.fstat(opened.fileno()).st_size - opened.tell():
            raise FlowjaxError(f"storage {key!r}: expected {size} bytes, got a truncated file")
        storages[key] = opened.read(size)
    return {name: _array(name, t, storages[t.storage.key]) for name, t in tensors.items()}


def _tensors(state: Any) -> dict[str, Tensor]:
    """Returns the tensors of a state dict, which may be nested in `state_dict` or `model`."""
    if not isinstance(state, dict):
        raise FlowjaxError(f"expected a state dict, got {type(state).__name__}")
    for wrapper in ("state_dict", "model"):
        if isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    # dict.items, because a pickle may set attributes of an OrderedDict that hide its methods.
    found = {n: t for n, t in dict.items(state) if type(n) is str and type(t) is Tensor}
    if not found:
        raise FlowjaxError("expected a state dict with tensors, got one without")
    for name, tensor in found.items():
        if type(tensor.storage) is not Storage:
            raise FlowjaxError(f"tensor {name}: expected a storage, got another value")
    return found


def _array(name: str, tensor: Tensor, raw: bytes) -> np.ndarray:
    """Returns a tensor as an array, a view into `raw`, after a check of its shape and strides."""
    storage, offset, shape, strides = tensor
    sizes = (offset, storage.start, *shape, *strides)
    if len(shape) != len(strides) or not all(
        type(n) is int and 0 <= n < _MOST_VALUES for n in sizes
    ):
        raise FlowjaxError(f"tensor {name}: expected sizes of 0 or more, got other values")
    dtype = little_endian(storage.dtype)
    values = np.frombuffer(raw, dtype, len(raw) // dtype.itemsize)[storage.start + offset :]
    last = sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if math.prod(shape) and last >= len(values):
        got = f"{len(values)}; the file is truncated"
        raise FlowjaxError(f"tensor {name}: expected {last + 1} values in its storage, got {got}")
    if math.prod(shape) > len(values):  # strides of 0 repeat values
        got = f"shape {shape} of {len(values)} values"
        raise FlowjaxError(f"tensor {name}: expected a value for each element, got {got}")
    steps = [step * dtype.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(values, shape, steps, writeable=False)
