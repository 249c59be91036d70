"""`flax_model.msgpack`: the Flax weights that transformers wrote up to version 4.

Nested dicts (`encoder/layer/0/attention/self/query/kernel`) whose leaves are arrays, as
`flax.serialization.to_bytes` packs them. The format holds numbers and text alone: nothing runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

# Flax's name of a leaf -> PyTorch's.
_LEAVES = {"kernel": "weight", "embedding": "weight", "scale": "weight"}


def read(file: Path) -> dict[str, np.ndarray]:
    """Reads a msgpack file of Flax weights."""
    from flax.serialization import msgpack_restore

    tree = msgpack_restore(file.read_bytes())
    if not isinstance(tree, dict):
        raise ValueError(f"expected nested dicts of arrays, got {type(tree).__name__}")
    return dict(_flatten(tree.get("params", tree), ()))


def _flatten(tree: dict[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, np.ndarray]]:
    for name, node in tree.items():
        if isinstance(node, dict):
            yield from _flatten(node, (*path, name))
        elif not isinstance(node, np.ndarray):
            raise ValueError(
                f"{'/'.join((*path, name))}: expected an array, got {type(node).__name__}"
            )
        else:
            value = node.T if name == "kernel" else node
            yield ".".join((*path, _LEAVES.get(name, name))), value
