"""Values that identify a training run, saved with its checkpoints."""

from __future__ import annotations

import hashlib
from typing import Any

import jax
import numpy as np

from flowjax.training.dispatch import ExampleSource

# Number of examples of which the digest is computed.
EXAMPLES = 256


def run_identity(
    source: ExampleSource, *, key: Any, batch_size: int, name: str = "data"
) -> dict[str, str]:
    """Returns the values that must not change when a run resumes, for `Checkpoints(run=...)`.

    Args:
        source: training examples.
        key: JAX key or integer seed of the run.
        batch_size: number of examples of a global batch.
        name: name of the examples.

    Returns:
        Dict of facts that a resumed run must share.

    Example:
        >>> from flowjax.data.arrays import ArraySource
        >>> found = run_identity(ArraySource(np.zeros((9, 2))), key=3, batch_size=4)
        >>> found["key"], found["batch_size"], found["data"]
        ('3', '4', '9 examples of x (2,)')
    """
    return {"key": _key_text(key), "batch_size": str(batch_size), **source_identity(source, name)}


def source_identity(source: ExampleSource, name: str) -> dict[str, str]:
    """Returns the number, the shapes and a digest of `EXAMPLES` equally spaced examples.

    Args:
        source: source of examples.
        name: name of the examples.

    Example:
        >>> from flowjax.data.arrays import ArraySource
        >>> list(source_identity(ArraySource(np.zeros((9, 2))), "validation"))
        ['validation', 'values of validation']
    """
    probe = getattr(source, "probe", None)
    if probe is not None:  # shards
        rows = probe(EXAMPLES)
    else:
        rows = np.unique(np.linspace(0, source.size - 1, EXAMPLES).round().astype(np.int64))
    resident = source.resident
    taken = source.read(rows) if resident is None else {k: v[rows] for k, v in resident.items()}
    shapes = ", ".join(f"{part} {taken[part].shape[1:]}" for part in sorted(taken))
    return {
        name: f"{source.size} examples of {shapes}",
        f"values of {name}": arrays_digest(taken),
    }


def arrays_digest(tree: Any) -> str:
    """Returns a digest of the numbers of a pytree of arrays.

    Example:
        >>> arrays_digest({"w": np.ones(2)}) == arrays_digest({"w": np.zeros(2)})
        False
    """
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return f"digest {digest.hexdigest()[:16]}"


def _key_text(key: Any) -> str:
    """Returns a key as text: the seed of `jax.random.key(seed)`, or the numbers of other keys."""
    if isinstance(key, int):
        return str(key)
    if jax.numpy.issubdtype(key.dtype, jax.dtypes.prng_key):
        key = jax.random.key_data(key)
    numbers = np.asarray(key).ravel().tolist()
    *high, low = numbers
    return " ".join(map(str, numbers)) if any(high) else str(low)
