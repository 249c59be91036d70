"""Safe reader of `pytorch_model.bin`, without PyTorch.

Unpickling can call any function that a file names. The unpickler of this module accepts only
functions that describe tensors, and raises an error for any other name without a call. The
descriptions are then converted to arrays, and all offsets are checked.

Two file formats are supported: the zip archive of torch >= 1.6, and the older sequence of pickles.
"""

from __future__ import annotations

import math
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from flowjax.encoder.weights.formats import little_endian
from flowjax.errors import FlowjaxError

_MAGIC = 0x1950A86A20F9469CFC6C
_BIG_ENDIAN = "expected little-endian values, got big-endian; save it on a little-endian machine"
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
    """Reference to a storage: the key of its bytes, and the first element of the view."""

    dtype: str
    key: str
    start: int


class _Tensor(NamedTuple):
    """Description of a tensor; offsets and strides count elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


_KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "Size"): tuple,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
    **{("torch", name): dtype for name, dtype in _DTYPES.items()},
}


class _Unpickler(pickle._Unpickler):  # type: ignore[name-defined, misc]
    """Unpickler of tensor descriptions; raises `FlowjaxError` for all other content.

    The class derives from the Python implementation, because the C implementation allocates
    gigabytes for a large memo index in a damaged file.

    Attributes:
        dtypes: dtypes of the storages read so far, by key.
    """

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.dtypes: dict[str, np.dtype] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Returns the entry of `_KNOWN` for a name; never imports anything."""
        if (module, name) not in _KNOWN:
            call = f"a call of {module}.{name}, which may run any code; it was not called"
            raise FlowjaxError(f"expected a pickle of tensors only, got {call}")
        return _KNOWN[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        """Returns the reference to a storage."""
        kind, dtype, key, _, _, *view = pid
        if kind != "storage" or dtype not in _DTYPES.values():
            raise FlowjaxError(f"expected a reference to a storage, got {pid!r}")
        # In older files, a storage may be a view of another storage: (key, offset, size).
        start = view[0][1] if view and view[0] is not None else 0
        self.dtypes[str(key)] = little_endian(dtype)
        return _Storage(dtype, str(key), int(start))


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
        with archive.open(root) as opened:
            tensors = _tensors(_Unpickler(opened).load())
        storages = {
            key: member(f"data/{key}") for key in {t.storage.key for t in tensors.values()}
        }
    return {name: _array(name, t, storages[t.storage.key]) for name, t in tensors.items()}


def _read_legacy(opened: IO[bytes]) -> dict[str, np.ndarray]:
    if _Unpickler(opened).load() != _MAGIC:
        raise FlowjaxError("expected the magic number of torch.save, got another pickle")
    _Unpickler(opened).load()  # skips the protocol version
    if not _Unpickler(opened).load().get("little_endian", True):
        raise FlowjaxError(_BIG_ENDIAN)
    unpickler = _Unpickler(opened)
    tensors, dtypes = _tensors(unpickler.load()), unpickler.dtypes
    storages: dict[str, bytes] = {}
    for key in _Unpickler(opened).load():
        (count,) = struct.unpack("<Q", opened.read(8))
        if key not in dtypes:
            raise FlowjaxError(f"storage {key!r}: expected a tensor that refers to it, got none")
        size = count * dtypes[key].itemsize
        if size > os.fstat(opened.fileno()).st_size - opened.tell():
            raise FlowjaxError(f"storage {key!r}: expected {size} bytes, got a truncated file")
        storages[key] = opened.read(size)
    return {name: _array(name, t, storages[t.storage.key]) for name, t in tensors.items()}


def _tensors(state: Any) -> dict[str, _Tensor]:
    """Returns the tensors of a state dict, which may be nested in `state_dict` or `model`."""
    if not isinstance(state, dict):
        raise FlowjaxError(f"expected a state dict, got {type(state).__name__}")
    for wrapper in ("state_dict", "model"):
        if isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    # dict.items, because a pickle may set attributes of an OrderedDict that hide its methods.
    found = {n: t for n, t in dict.items(state) if type(n) is str and type(t) is _Tensor}
    if not found:
        raise FlowjaxError("expected a state dict with tensors, got one without")
    return found


def _array(name: str, tensor: _Tensor, raw: bytes) -> np.ndarray:
    """Returns a tensor as an array, a view into `raw`, after a check of its shape and strides."""
    storage, offset, shape, strides = tensor
    if type(storage) is not _Storage or len(shape) != len(strides):
        raise FlowjaxError(f"tensor {name}: expected a description of a tensor, got {tensor!r}")
    if not all(type(n) is int and n >= 0 for n in (offset, storage.start, *shape, *strides)):
        raise FlowjaxError(f"tensor {name}: expected sizes of 0 or more, got {tensor!r}")
    dtype = little_endian(storage.dtype)
    values = np.frombuffer(raw, dtype, len(raw) // dtype.itemsize)[storage.start + offset :]
    last = sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if math.prod(shape) and last >= len(values):
        got = f"{len(values)}; the file is truncated"
        raise FlowjaxError(f"tensor {name}: expected {last + 1} values in its storage, got {got}")
    steps = [step * dtype.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(values, shape, steps, writeable=False)
