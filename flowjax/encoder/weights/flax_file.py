"""Reader of `flax_model.msgpack`, the Flax weights of transformers up to version 4.

The file holds nested dicts (`encoder/layer/0/attention/self/query/kernel`) of arrays, serialised
by `flax.serialization.to_bytes`. The format contains data only, no code.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from flowjax.errors import FlowjaxError

# Flax's name of a leaf -> PyTorch's name.
_LEAVES = {"kernel": "weight", "embedding": "weight", "scale": "weight"}


def read(file: Path) -> dict[str, np.ndarray]:
    """Reads a msgpack file of Flax weights."""
    from flax.serialization import msgpack_restore

    tree = msgpack_restore(file.read_bytes())
    if not isinstance(tree, dict):
        raise FlowjaxError(f"expected nested dicts of arrays, got {type(tree).__name__}")
    return dict(_flatten(tree.get("params", tree), ()))


def _flatten(tree: dict[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, np.ndarray]]:
    for name, node in tree.items():
        if isinstance(node, dict):
            yield from _flatten(node, (*path, name))
        elif not isinstance(node, np.ndarray):
            raise FlowjaxError(
                f"{'/'.join((*path, name))}: expected an array, got {type(node).__name__}"
            )
        else:
            value = node.T if name == "kernel" else node
            yield ".".join((*path, _LEAVES.get(name, name))), value
