"""Hashes of arrays and texts, which identify weights and models."""

from __future__ import annotations

import hashlib
from typing import Any

import jax
import numpy as np


def hash_arrays(tree: Any) -> str:
    """Returns a hash of the arrays of a pytree, which identifies the weights in a manifest."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        array = np.asarray(leaf, order="C")
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]


def hash_text(*texts: str) -> str:
    """Returns a hash of a sequence of texts.

    Example:
        >>> hash_text("a", "bc") == hash_text("ab", "c")
        False
    """
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(f"{len(data)} ".encode() + data)
    return digest.hexdigest()[:16]
