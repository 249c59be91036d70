"""A params pytree as one `.safetensors` file: portable, and never unpickled."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jax
import numpy as np


def save_params(params: Any, path: str | Path) -> None:
    """Writes each leaf under its path, e.g. `layers/0/bias`; the whole file or none.

    Args:
        params: a pytree of arrays.
        path: the file; what is there is replaced.

    Raises:
        ValueError: two leaves of the same name, such as `{"a/b": x}` beside `{"a": {"b": y}}`.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "params.safetensors"
        >>> save_params({"bias": np.zeros(3)}, file)
        >>> load_params(file, {"bias": np.ones(3)})["bias"].tolist()
        [0.0, 0.0, 0.0]
    """
    from safetensors.numpy import save_file

    tensors: dict[str, np.ndarray] = {}
    for place, leaf in jax.tree_util.tree_flatten_with_path(params)[0]:
        name = _name(place)
        if name in tensors:
            raise ValueError(f"{path}: expected leaves of different names, got {name!r} twice")
        tensors[name] = np.asarray(leaf, order="C")  # ascontiguousarray would make scalars (1,)
    partial = Path(path).with_name(f".{Path(path).name}.partial")
    try:
        save_file(tensors, str(partial))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def load_params(path: str | Path, like: Any) -> Any:
    """Reads a file of `save_params` back.

    Args:
        path: the file.
        like: a tree of arrays or shapes with the structure to restore.

    Raises:
        ValueError: missing, damaged, or of another structure or shape.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not Path(path).exists():
        raise ValueError(f"{path}: no such file")
    try:
        tensors = load_file(str(path))
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from None
    leaves, structure = jax.tree_util.tree_flatten_with_path(like)
    wanted = {_name(p): tuple(leaf.shape) for p, leaf in leaves}
    for name in sorted({*wanted, *tensors}):
        got = tuple(tensors[name].shape) if name in tensors else "nothing"
        expected = wanted.get(name, "nothing")
        if got != expected:
            raise ValueError(f"{path}: tensor {name!r}: expected {expected}, got {got}")
    return jax.tree_util.tree_unflatten(structure, [tensors[_name(p)] for p, _ in leaves])


def _name(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/") or "value"
