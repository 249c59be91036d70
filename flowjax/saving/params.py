"""Reader and writer of parameters in a `.safetensors` file, which is safe to load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np

from flowjax.errors import FlowjaxError
from flowjax.files.replace import replacing


def save_params(params: Any, path: str | Path) -> None:
    """Writes the leaves of a pytree, each under its path, for example `layers/0/bias`.

    The file is written atomically.

    Args:
        params: pytree of arrays.
        path: file to write; an existing file is replaced.

    Raises:
        FlowjaxError: Two leaves have the same name, such as in `{"a/b": x, "a": {"b": y}}`.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "params.safetensors"
        >>> save_params({"bias": np.zeros(3)}, file)
        >>> load_params(file, {"bias": np.ones(3)})["bias"].tolist()
        [0.0, 0.0, 0.0]
    """
    from safetensors.numpy import save

    tensors: dict[str, np.ndarray] = {}
    for place, leaf in jax.tree_util.tree_flatten_with_path(params)[0]:
        name = leaf_name(place)
        if name in tensors:
            raise FlowjaxError(f"params: expected distinct leaf names, got {name!r} twice")
        tensors[name] = np.asarray(leaf, order="C")  # `ascontiguousarray` gives scalars shape (1,)
    content = save(tensors)
    with replacing(path) as new:
        new.write_bytes(content)  # `save_file` of safetensors would ignore the umask


def load_params(path: str | Path, like: Any) -> Any:
    """Returns the parameters in a file of `save_params`.

    Args:
        path: file to read.
        like: pytree of arrays or shapes with the structure of the parameters.

    Returns:
        Pytree of NumPy arrays.

    Raises:
        FlowjaxError: The file is missing, damaged, or has tensors of other names or shapes.
    """
    tensors = load_arrays(path)
    leaves, structure = jax.tree_util.tree_flatten_with_path(like)
    wanted = {leaf_name(p): tuple(leaf.shape) for p, leaf in leaves}
    for name in sorted({*wanted, *tensors}):
        got = tuple(tensors[name].shape) if name in tensors else "no such tensor"
        expected = wanted.get(name, "no such tensor")
        if got != expected:
            raise FlowjaxError(f"{path}: tensor {name!r}: expected {expected}, got {got}")
    return jax.tree_util.tree_unflatten(structure, [tensors[leaf_name(p)] for p, _ in leaves])


def load_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Returns the arrays in a `.safetensors` file by their names.

    Raises:
        FlowjaxError: The file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not Path(path).exists():
        raise FlowjaxError(f"{path}: expected a file of parameters, got no such file")
    try:
        return load_file(str(path))
    except (SafetensorError, OSError) as error:
        raise FlowjaxError(f"{path}: expected a .safetensors file, got: {error}") from None


def leaf_name(path: tuple[Any, ...]) -> str:
    """Returns the name of a leaf in the file, from its path in the pytree."""
    return jax.tree_util.keystr(path, simple=True, separator="/") or "value"
