"""Reader of one array in a `.safetensors` file, memory-mapped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from flowjax.errors import FlowjaxError, first_line

# NumPy dtypes by their names in the file.
_DTYPES: dict[str, Any] = {
    **{f"F{8 * size}": f"<f{size}" for size in (2, 4, 8)},
    **{f"I{8 * size}": f"<i{size}" for size in (1, 2, 4, 8)},
    **{f"U{8 * size}": f"<u{size}" for size in (1, 2, 4, 8)},
    "BF16": ml_dtypes.bfloat16,
    "BOOL": "?",
}


def load_tensor(path: str | Path, name: str | None = None) -> np.ndarray:
    """Returns an array of a `.safetensors` file, memory-mapped and read-only.

    Args:
        path: path of the file.
        name: name of the tensor; None means the only tensor, or the only one of two axes.

    Raises:
        FlowjaxError: The file is not a `.safetensors` file or is damaged, there is no such tensor,
            or the name is not given and there are several.

    Example:
        >>> import tempfile
        >>> from flowjax.data.vectors import write_vectors
        >>> path = Path(tempfile.mkdtemp()) / "v.safetensors"
        >>> write_vectors(path, np.ones((2, 3)))
        >>> load_tensor(path).tolist()
        [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy"):  # checks the header and the file size
            pass
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            tensors: dict[str, Any] = json.loads(file.read(length))
    except (SafetensorError, OSError, ValueError) as error:
        raise FlowjaxError(
            f"{path}: expected a .safetensors file, got: {first_line(error)}"
        ) from None
    tensors.pop("__metadata__", None)
    matrices = [key for key, tensor in tensors.items() if len(tensor["shape"]) == 2]
    chosen = [name] if name is not None else list(tensors) if len(tensors) == 1 else matrices
    if len(chosen) != 1 or chosen[0] not in tensors:
        known = ", ".join(f"{key} {tuple(t['shape'])}" for key, t in list(tensors.items())[:8])
        got = f"no tensor {name!r}" if name is not None else f"{len(chosen)}"
        raise FlowjaxError(
            f"{path}: expected one tensor of shape (n, d), got {got}; choose a tensor (--columns) "
            f"among {known or 'none'}"
        )
    tensor = tensors[chosen[0]]
    shape, kind = tuple(tensor["shape"]), tensor["dtype"]
    if kind not in _DTYPES:
        raise FlowjaxError(f"{path}: expected real numbers, got dtype {kind}")
    dtype = np.dtype(_DTYPES[kind])
    if 0 in shape:  # an empty array cannot be mapped
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype, "r", 8 + length + tensor["data_offsets"][0], shape)
