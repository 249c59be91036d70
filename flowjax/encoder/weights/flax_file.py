"""Reader of `flax_model.msgpack`, the Flax weights of transformers up to version 4.

The file holds nested dicts (`encoder/layer/0/attention/self/query/kernel`) of arrays, serialised
by `flax.serialization.to_bytes`. The format contains data only, no code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from flowjax.errors import FlowjaxError

# Maps the Flax name of a leaf to the PyTorch name.
_LEAVES = {"kernel": "weight", "embedding": "weight", "scale": "weight"}


def read(file: Path) -> dict[str, np.ndarray]:
    """Reads a msgpack file of Flax weights."""
    from flax.serialization import msgpack_restore
    from flax.traverse_util import flatten_dict

    tree = msgpack_restore(file.read_bytes())
    if not isinstance(tree, dict):
        raise FlowjaxError(f"expected nested dicts of arrays, got {type(tree).__name__}")
    tensors: dict[str, np.ndarray] = {}
    flat: Any = flatten_dict(tree.get("params", tree))
    path: tuple[str, ...]
    for path, value in flat.items():
        if not isinstance(value, np.ndarray):
            raise FlowjaxError(f"{'/'.join(path)}: expected an array, got {type(value).__name__}")
        name = ".".join((*path[:-1], str(_LEAVES.get(path[-1], path[-1]))))
        tensors[name] = value.T if path[-1] == "kernel" else value
    return tensors
