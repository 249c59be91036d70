"""Vectors of packed rows: the device computation of a sentence encoder."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from flowjax.encoder.batching import slots
from flowjax.encoder.bert import Bert
from flowjax.encoder.pooling import layers_of, pool_packed

Array = jax.Array


def embed_rows(
    model: Bert,
    pooling: str,
    special_tokens: bool,
    params: Any,
    ids: Array,
    mask: Array,
    positions: Array,
) -> Array:
    """Returns the vectors of the sentences in packed rows.

    Args:
        model: BERT module.
        pooling: one of `pooling.POOLINGS`.
        special_tokens: True includes `[CLS]` and `[SEP]` in means.
        params: parameters of `model`.
        ids: token ids, shape `(rows, length)`; see `batching.Batch`.
        mask: sentence numbers within each row, shape `(rows, length)`.
        positions: token positions within each sentence, shape `(rows, length)`.

    Returns:
        Vectors, shape `(rows, slots(length), dim)`, float32; zeros for a missing sentence.
    """
    # The pooler is applied after the pooling, because a packed row has several first tokens.
    layers = tuple(-1 if i == "pooler" else i for i in layers_of(pooling))
    states: Any = model.apply({"params": params}, ids, mask, positions=positions, layers=layers)
    count = slots(ids.shape[-1])
    vectors = pool_packed(states, mask, pooling, slots=count, special_tokens=special_tokens)
    if pooling == "pooler":
        dense = nn.Dense(model.config.hidden_size, dtype=model.dtype)
        pooled: Any = dense.apply({"params": params["pooler"]}, vectors)
        vectors = jnp.tanh(pooled)
    return vectors.astype(jnp.float32)
