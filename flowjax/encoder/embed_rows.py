"""Vectors of packed rows: the device computation of a sentence encoder."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from flowjax.encoder.batching import Batch, Tokens, batches, slots
from flowjax.encoder.bert import Bert, BertConfig
from flowjax.encoder.pooling import layers_of, pool_packed
from flowjax.errors import FlowjaxError, check_choice
from flowjax.parallel import devices

Array = jax.Array


def embed_rows(
    model: Bert,
    pooling: str,
    special_tokens: bool,
    params: Any,
    ids: Array,
    mask: Array,
    positions: Array,
    dropout: Array | None = None,
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
        dropout: JAX key of the dropout of a training step; None means no dropout.

    Returns:
        Vectors, shape `(rows, slots(length), dim)`, float32; zeros for a missing sentence.
    """
    # The pooler is applied after the pooling, because a packed row has several first tokens.
    layers = tuple(-1 if i == "pooler" else i for i in layers_of(pooling))
    training: Any = {} if dropout is None else {"train": True, "rngs": {"dropout": dropout}}
    states: Any = model.apply(
        {"params": params}, ids, mask, positions=positions, layers=layers, **training
    )
    count = slots(ids.shape[-1])
    vectors = pool_packed(states, mask, pooling, slots=count, special_tokens=special_tokens)
    if pooling == "pooler":
        dense = nn.Dense(model.config.hidden_size, dtype=model.dtype)
        pooled: Any = dense.apply({"params": params["pooler"]}, vectors)
        vectors = jnp.tanh(pooled)
    return vectors.astype(jnp.float32)


# Encoders of the same sizes and options share their compiled programs.
_compiled = jax.jit(embed_rows, static_argnums=(0, 1, 2))


class Embedder:
    """Compiled computation of the vectors of tokenized sentences.

    Attributes:
        options: `(params, pooling, special_tokens, dtype)` of the computation.
    """

    def __init__(
        self, params: Any, config: BertConfig, pooling: str, special_tokens: bool, dtype: str
    ) -> None:
        """Prepares the computation for parameters and options of `SentenceEncoder`.

        Raises:
            FlowjaxError: An option is unknown, or the pooling needs a pooler and the model has
                none.
        """
        if "pooler" in layers_of(pooling) and "pooler" not in params:
            raise FlowjaxError(
                "pooling: expected an encoder with a pooler, got one without a pooler"
            )
        check_choice("dtype", dtype, ("float32", "bfloat16"))
        self.options = (params, pooling, special_tokens, dtype)
        self._config = config
        self._mesh: Any = None  # created at the first use: a forked child can unpickle an encoder
        self._placed: Any = None
        model = Bert(config, jnp.dtype(dtype), with_pooler="pooler" in params)
        self._embed = partial(_compiled, model, pooling, special_tokens)

    def with_params(self, params: Any) -> Embedder:
        """Returns the same compiled computation for other parameters of the same shapes."""
        other = copy(self)
        other.options, other._placed = (params, *self.options[1:]), None
        return other

    def vectors(
        self, tokens: Tokens, batch_size: int, max_length: int, advance: Callable[[int], Any]
    ) -> np.ndarray:
        """Returns the vectors of tokenized sentences, shape `(n, dim)`, float32, in their order.

        Args:
            tokens: token ids of each sentence, at most `max_length` per sentence.
            batch_size: approximate number of sentences per batch.
            max_length: largest number of tokens in a sentence.
            advance: function that is called with the number of sentences of each batch.

        Raises:
            FlowjaxError: A token id is beyond the vocabulary of the model.
        """
        if self._placed is None:
            self._mesh = devices.local_mesh()
            self._placed = devices.replicate(self.options[0], self._mesh)
        vectors = np.empty((len(tokens), self._config.hidden_size), np.float32)
        pending: list[tuple[Batch, jax.Array]] = []

        def collect(batch: Batch, result: jax.Array) -> None:
            vectors[batch.sentences] = np.asarray(result)[batch.row, batch.slot]
            advance(len(batch.sentences))

        for batch in batches(tokens, batch_size, max_length, self._mesh.size):
            if (largest := int(batch.ids.max())) >= self._config.vocab_size:
                # XLA would read other rows of the table, or NaN.
                raise FlowjaxError(
                    f"tokenizer: expected ids below {self._config.vocab_size}, got {largest}"
                )
            arrays = devices.shard_rows((batch.ids, batch.mask, batch.positions), self._mesh)
            pending.append((batch, self._embed(self._placed, *arrays)))
            if len(pending) > 2:  # the device computes two batches while the host copies a third
                collect(*pending.pop(0))
        for done in pending:
            collect(*done)
        return vectors
