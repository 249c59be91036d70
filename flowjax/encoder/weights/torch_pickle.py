"""Unpickler that reads the tensor descriptions of `torch.save` and refuses everything else.

Unpickling can call any function that a file names. This unpickler accepts the functions that
describe tensors, and raises an error for any other name without a call. It also refuses operations
that allocate memory from a claimed size, and never computes the hash or the text of a value from
the file other than a string or an integer: both may take forever for nested tuples.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from typing import IO, Any, NamedTuple

import numpy as np

from flowjax.encoder.weights.formats import little_endian
from flowjax.errors import FlowjaxError

_Unpickler: Any = vars(pickle)["_Unpickler"]  # not in the type stubs
_MOST_DIMENSIONS = 16
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


class Storage(NamedTuple):
    """Reference to a storage: the key of its bytes, and the first element of the view."""

    dtype: str
    key: str
    start: int


class Tensor(NamedTuple):
    """Description of a tensor; offsets and strides count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    return Tensor(storage, offset, _sizes(shape), _sizes(strides))


def _sizes(values: Any) -> tuple[Any, ...]:
    """Returns the dimensions of a shape; a file may have references to one long list."""
    if not isinstance(values, (tuple, list)) or len(values) > _MOST_DIMENSIONS:
        raise FlowjaxError("expected the shape of a tensor, got another value")
    return tuple(values)


def _ordered(pairs: Any = ()) -> OrderedDict[str, Any]:
    """Returns the items of an `OrderedDict`; the key of an item must be a string."""
    found: OrderedDict[str, Any] = OrderedDict()
    for key, value in pairs:
        found[key_of(key)] = value
    return found


def key_of(value: Any) -> Any:
    """Returns the key of a dict; the hash of nested tuples may take forever."""
    if type(value) not in (str, int):
        raise FlowjaxError(f"expected keys that are strings, got {type(value).__name__}")
    return value


_KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _ordered,
    ("torch", "Size"): _sizes,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
    **{("torch", name): dtype for name, dtype in _DTYPES.items()},
}


class Unpickler(_Unpickler):  # type: ignore[misc]
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

    def persistent_load(self, pid: Any) -> Storage:
        """Returns the reference to a storage."""
        # The message does not quote the value, because its text may be of any length.
        if type(pid) is not tuple or len(pid) not in (5, 6):
            raise FlowjaxError("expected a reference to a storage, got another value")
        kind, dtype, key, _, _, *view = pid
        if kind != "storage" or type(dtype) is not str or dtype not in _DTYPES.values():
            raise FlowjaxError("expected a reference to a storage, got another value")
        # In older files, a storage may be a view of another storage: (key, offset, size).
        start = view[0][1] if view and view[0] is not None else 0
        if type(key) not in (str, int) or type(start) is not int:
            raise FlowjaxError("expected the key of a storage, got another value")
        self.dtypes[str(key)] = little_endian(dtype)
        return Storage(dtype, str(key), start)


def _set_item(unpickler: Any) -> None:
    value, key = unpickler.stack.pop(), unpickler.stack.pop()
    _put(unpickler.stack[-1], [key, value])


def _set_items(unpickler: Any) -> None:
    items = unpickler.pop_mark()
    _put(unpickler.stack[-1], items)


def _put(target: Any, items: list[Any]) -> None:
    if not isinstance(target, dict):
        raise FlowjaxError(f"expected a dict to put items into, got {type(target).__name__}")
    for key, value in zip(items[::2], items[1::2], strict=True):
        target[key_of(key)] = value


def _skip_state(unpickler: Any) -> None:
    """Accepts the metadata of a state dict without using them; refuses other object states."""
    state, target = unpickler.stack.pop(), unpickler.stack[-1]
    if type(target) is not OrderedDict or type(state) is not dict or set(state) != {"_metadata"}:
        raise FlowjaxError("expected a pickle of tensors only, got the state of an object")


def _refuse(code: int) -> Any:
    def raises(unpickler: Any) -> None:
        raise FlowjaxError(f"expected a pickle of tensors only, got the operation {chr(code)!r}")

    return raises


# Operations in the files of `torch.save`; the others are refused.
_OPERATIONS = b"".join(
    (
        pickle.PROTO + pickle.FRAME + pickle.STOP + pickle.MARK + pickle.POP + pickle.POP_MARK,
        pickle.NONE + pickle.NEWTRUE + pickle.NEWFALSE + pickle.BINFLOAT,
        pickle.BININT + pickle.BININT1 + pickle.BININT2 + pickle.LONG1,
        pickle.BINUNICODE + pickle.SHORT_BINUNICODE + pickle.SHORT_BINSTRING + pickle.BINSTRING,
        pickle.EMPTY_TUPLE + pickle.TUPLE + pickle.TUPLE1 + pickle.TUPLE2 + pickle.TUPLE3,
        pickle.EMPTY_LIST + pickle.APPEND + pickle.APPENDS + pickle.EMPTY_DICT,
        pickle.BINPUT + pickle.LONG_BINPUT + pickle.BINGET + pickle.LONG_BINGET + pickle.MEMOIZE,
        pickle.GLOBAL + pickle.STACK_GLOBAL + pickle.REDUCE + pickle.BINPERSID,
    )
)
_known = _Unpickler.dispatch
Unpickler.dispatch = {
    **{code: _known[code] if code in _OPERATIONS else _refuse(code) for code in range(256)},
    pickle.SETITEM[0]: _set_item,
    pickle.SETITEMS[0]: _set_items,
    pickle.BUILD[0]: _skip_state,
}
