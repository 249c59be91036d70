"""A params pytree as one `.safetensors` file: portable, and never unpickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np


def save_params(params: Any, path: str | Path) -> None:
    """Writes each leaf under its path, e.g. `layers/0/bias`."""
    from safetensors.numpy import save_file

    leaves = jax.tree_util.tree_flatten_with_path(params)[0]
    save_file({_name(p): np.ascontiguousarray(np.asarray(v)) for p, v in leaves}, str(path))


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
