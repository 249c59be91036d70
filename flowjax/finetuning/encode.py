"""Vectors of the sentences of a packed batch in a training step, with gradient caching."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from flowjax.encoder.bert import Bert
from flowjax.encoder.embed_rows import embed_rows

Array = jax.Array
Encode = Callable[[Any, Any, Array | None], Array]


def make_encode(model: Bert, pooling: str, *, views: int, group: int, parts: int = 1) -> Encode:
    """Returns a function from a batch of `PackedExamples` to the vectors of its sentences.

    With several parts, the parts are encoded one after another, and the backward pass computes
    each part again (gradient caching, arXiv 2101.06983). The memory is that of one part, the loss
    sees all vectors, and the gradient is exact.

    Args:
        model: BERT module.
        pooling: one of `pooling.POOLINGS`.
        views: number of sentences of an example.
        group: number of examples of a part.
        parts: number of parts of a device's batch.

    Returns:
        `encode(params, batch, key)`, the vectors of a device's batch, shape `(views, parts *
        group, dim)`, float32. `key` is the key of the dropout; None means no dropout.
    """

    def one(params: Any, key: Array | None, part: tuple[Array, ...]) -> Array:
        ids, mask, positions, places, number = part
        noise = None if key is None else jax.random.fold_in(key, number)
        vectors = embed_rows(model, pooling, True, params, ids, mask, positions, noise)
        return vectors.reshape(-1, vectors.shape[-1])[places]

    def encode(params: Any, batch: Any, key: Array | None) -> Array:
        names = ("ids", "mask", "positions", "places")
        arrays = [batch[name].reshape(parts, -1, *batch[name].shape[1:]) for name in names]
        arrays.append(jnp.arange(parts))
        if parts == 1:
            vectors = one(params, key, tuple(x[0] for x in arrays))
        else:
            cached = jax.checkpoint(partial(one, params, key), prevent_cse=False)
            vectors = jax.lax.map(cached, tuple(arrays))
        vectors = vectors.reshape(parts, views, group, -1)
        return jnp.moveaxis(vectors, 0, 1).reshape(views, parts * group, -1)

    return encode
