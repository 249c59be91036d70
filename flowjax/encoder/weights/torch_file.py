"""`pytorch_model.bin` without PyTorch, and without running what the file says.

A pickle is a program: a free unpickler calls whatever function the file names. The one here knows
five names, all of which only describe tensors; any other name is refused before anything is
called. The description is turned into arrays afterwards, with every offset checked.

Two containers: the zip archive of torch >= 1.6, and the plain sequence of pickles before it.
"""

from __future__ import annotations

import math
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

_MAGIC = 0x1950A86A20F9469CFC6C
_DTYPES = {
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "DoubleStorage": "float64",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}


class _Storage(NamedTuple):
    """Where a tensor's numbers lie: `key` names the bytes, `start` is counted in numbers."""

    dtype: str
    key: str
    start: int


class _Tensor(NamedTuple):
    """A tensor's description; no array is made while the pickle is read."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _parameter(data: Any, *_: Any) -> Any:
    return data


_KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "Size"): tuple,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    **{("torch", name): dtype for name, dtype in _DTYPES.items()},
}


class _Unpickler(pickle._Unpickler):  # type: ignore[name-defined, misc]
    """Reads descriptions of tensors and refuses everything else.

    The one in Python, because the one in C allocates gigabytes where a damaged file gives a large
    memo index; a model's description is a few kilobytes. `dtypes` collects the storages that were
    met: key -> dtype.
    """

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.dtypes: dict[str, np.dtype] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Looks a name up in the list; nothing is ever imported."""
        if (module, name) not in _KNOWN:
            raise ValueError(
                f"expected a pickle of tensors alone, got a call of {module}.{name}, which may "
                f"run anything; it was not run"
            )
        return _KNOWN[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        """Reads the reference to a storage."""
        kind, dtype, key, _, _, *view = pid
        if kind != "storage" or dtype not in _DTYPES.values():
            raise ValueError(f"expected a reference to a storage, got {pid!r}")
        # Older files may have storages that are views into others: (key, offset, size).
        start = view[0][1] if view and view[0] is not None else 0
        self.dtypes[str(key)] = _dtype(dtype)
        return _Storage(dtype, str(key), int(start))


def read(file: Path) -> dict[str, np.ndarray]:
    """Reads a state dict that `torch.save` wrote, in its new or its old container."""
    if zipfile.is_zipfile(file):
        return _read_zip(file)
    with open(file, "rb") as opened:
        if opened.read(1) != b"\x80":
            raise ValueError("expected what torch.save writes, a zip archive or a pickle")
        opened.seek(0)
        return _read_legacy(opened)


def _read_zip(file: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(file) as archive:
        root = next((n for n in archive.namelist() if n.endswith("/data.pkl")), None)
        if root is None:
            raise ValueError("expected a data.pkl in the zip archive, found none")
        folder = root.removesuffix("data.pkl")

        def member(name: str) -> bytes:
            # torch never compresses; a small file must not unpack to a huge one.
            if archive.getinfo(folder + name).compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{folder + name}: expected an uncompressed member")
            return archive.read(folder + name)

        if folder + "byteorder" in archive.namelist() and member("byteorder") != b"little":
            raise ValueError("expected little-endian numbers; save it again on such a machine")
        with archive.open(root) as opened:
            tensors = dict(_tensors(_Unpickler(opened).load()))
        storages: dict[str, bytes] = {}
        for tensor in tensors.values():
            if tensor.storage.key not in storages:
                storages[tensor.storage.key] = member(f"data/{tensor.storage.key}")
        return {name: _array(name, t, storages[t.storage.key]) for name, t in tensors.items()}


def _read_legacy(opened: IO[bytes]) -> dict[str, np.ndarray]:
    if _Unpickler(opened).load() != _MAGIC:
        raise ValueError("expected torch.save's magic number; a plain pickle is not read")
    _Unpickler(opened).load()  # the protocol's version
    if not _Unpickler(opened).load().get("little_endian", True):
        raise ValueError("expected little-endian numbers; save it again on such a machine")
    unpickler = _Unpickler(opened)
    tensors = dict(_tensors(unpickler.load()))
    dtypes = unpickler.dtypes
    storages: dict[str, bytes] = {}
    for key in _Unpickler(opened).load():
        (count,) = struct.unpack("<Q", opened.read(8))
        if key not in dtypes:
            raise ValueError(f"storage {key!r}: expected one that a tensor uses")
        size = count * dtypes[key].itemsize
        if size > os.fstat(opened.fileno()).st_size - opened.tell():
            raise ValueError(f"storage {key!r}: expected {size} bytes; the file is cut short")
        storages[key] = opened.read(size)
    return {name: _array(name, t, storages[t.storage.key]) for name, t in tensors.items()}


def _tensors(state: Any) -> Iterator[tuple[str, _Tensor]]:
    """The tensors of a state dict; training scripts wrap it in `state_dict` or `model`."""
    if not isinstance(state, dict):
        raise ValueError(f"expected a state dict, got {type(state).__name__}")
    for wrapper in ("state_dict", "model"):
        if isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    # dict.items, because a pickle may give an OrderedDict attributes that hide its methods.
    found = [(n, t) for n, t in dict.items(state) if type(n) is str and type(t) is _Tensor]
    if not found:
        raise ValueError("expected a state dict with tensors, got one without")
    yield from found


def _dtype(name: str) -> np.dtype:
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name).newbyteorder("<")


def _array(name: str, tensor: _Tensor, raw: bytes) -> np.ndarray:
    """The numbers of a tensor, a view into `raw`, once its description proves to fit."""
    storage, offset, shape, strides = tensor
    if type(storage) is not _Storage or len(shape) != len(strides):
        raise ValueError(f"tensor {name}: expected a description of a tensor, got {tensor!r}")
    if not all(type(n) is int and n >= 0 for n in (offset, storage.start, *shape, *strides)):
        raise ValueError(f"tensor {name}: expected sizes of 0 or more, got {tensor!r}")
    dtype = _dtype(storage.dtype)
    numbers = np.frombuffer(raw, dtype, len(raw) // dtype.itemsize)[storage.start + offset :]
    last = sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if math.prod(shape) and last >= len(numbers):
        raise ValueError(
            f"tensor {name}: expected {last + 1} numbers in storage {storage.key}, got "
            f"{len(numbers)}; the file is cut short"
        )
    steps = [step * dtype.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(numbers, shape, steps, writeable=False)
