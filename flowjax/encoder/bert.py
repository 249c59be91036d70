"""BERT as a Flax module (arXiv 1810.04805).

The parameter names follow Hugging Face, so that `weights/` needs only a table of names. The module
returns only the requested hidden states and does not compute the layers above the highest
requested layer.

RoBERTa, XLM-R, DistilBERT and MPNet use the same module. `bert_config.FAMILIES` lists their
differences: first position, token types, pooler and relative position bias.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from flowjax.encoder.activations import ACTIVATIONS
from flowjax.encoder.bert_config import BertConfig
from flowjax.encoder.dense import Dense
from flowjax.encoder.dropout import Dropout
from flowjax.errors import FlowjaxError

__all__ = ["ACTIVATIONS", "Bert", "BertConfig", "resolve_layer"]

Array = jax.Array


class LayerNorm(nn.LayerNorm):
    """Layer normalisation with float32 statistics and the variance E[(x - E[x])^2]."""

    use_fast_variance: bool = False


class Embeddings(nn.Module):
    """Normalised sum of the word, position and token type embeddings: `hidden_states[0]`.

    The sum is float32 for every `dtype`. Its gradient adds the rows of equal tokens: in bfloat16,
    the sum over a frequent token would stop growing, and GPUs would add many 16-bit numbers to one
    address (see `benchmarks/accelerator.md`).
    """

    config: BertConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, ids: Array, positions: Array, types: Array, train: bool) -> Array:
        """Returns the embeddings `(batch, length, hidden)` of token ids `(batch, length)`."""
        c = self.config

        def table(rows: int, name: str) -> nn.Embed:
            init = nn.initializers.normal(c.initializer_range)
            return nn.Embed(rows, c.hidden_size, embedding_init=init, name=name)

        x = table(c.vocab_size, "word_embeddings")(ids)
        x += table(c.max_position_embeddings, "position_embeddings")(positions + c.first_position)
        if c.type_vocab_size:
            x += table(c.type_vocab_size, "token_type_embeddings")(types)
        x = LayerNorm(epsilon=c.layer_norm_eps, dtype=self.dtype, name="LayerNorm")(x)
        dropped: Array = Dropout(c.hidden_dropout_prob)(x, deterministic=not train)
        return dropped


def distance_buckets(buckets: int, farthest: int = 128) -> np.ndarray:
    """Returns the T5 bucket (arXiv 1910.10683) of each distance from 0 to `farthest`.

    Buckets of small distances hold one distance each; larger distances share logarithmic buckets.

    Example:
        >>> distance_buckets(32)[[0, 7, 8, 15, 16, 128]].tolist()
        [0, 7, 8, 9, 10, 15]
    """
    half, exact = buckets // 2, buckets // 4
    distance = np.arange(farthest + 1)
    ratio = np.log(np.maximum(distance, 1) / exact) / math.log(farthest / exact)
    # 1e-9 prevents rounding down at the exact bucket limits.
    far = np.minimum(exact + (ratio * (half - exact) + 1e-9).astype(int), half - 1)
    return np.where(distance < exact, distance, far)


class RelativeBias(nn.Module):
    """Relative position bias of MPNet: a learned score per head and bucket of distances."""

    config: BertConfig

    @nn.compact
    def __call__(self, positions: Array) -> Array:
        """Returns the bias of the attention logits, shape (batch, heads, length, length).

        Args:
            positions: token positions, shape (batch, length).
        """
        c = self.config
        buckets = c.relative_attention_num_buckets
        distance = positions[:, None, :] - positions[:, :, None]
        table = jnp.asarray(distance_buckets(buckets))
        index = jnp.take(table, jnp.minimum(jnp.abs(distance), len(table) - 1))
        index += jnp.where(distance > 0, buckets // 2, 0)
        init = nn.initializers.normal(c.initializer_range)
        values = self.param("embedding", init, (buckets, c.num_attention_heads))
        return jnp.moveaxis(jnp.take(values.astype(jnp.float32), index, axis=0), -1, 1)


class Layer(nn.Module):
    """Transformer layer: attention and a feed-forward network, each with residual and norm."""

    config: BertConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, bias: Array, train: bool) -> Array:
        """Returns the layer's output for hidden states `x`.

        Args:
            x: hidden states, shape `(batch, length, hidden)`.
            bias: term added to the attention scores, broadcastable to `(batch, heads, length,
                length)`.
            train: True applies dropout.
        """
        c = self.config
        heads, width = c.num_attention_heads, c.hidden_size // c.num_attention_heads
        init = nn.initializers.normal(c.initializer_range)

        def dense(features: int, name: str) -> Dense:
            return Dense(features, dtype=self.dtype, kernel_init=init, name=name)

        def norm(name: str) -> nn.Module:
            return LayerNorm(epsilon=c.layer_norm_eps, dtype=self.dtype, name=name)

        def drop(x: Array, rate: float) -> Array:
            dropped: Array = Dropout(rate)(x, deterministic=not train)
            return dropped

        def split_heads(x: Array) -> Array:
            return jnp.swapaxes(x.reshape(*x.shape[:-1], heads, width), 1, 2)

        query = split_heads(dense(c.hidden_size, "query")(x)) * (width**-0.5)
        key = split_heads(dense(c.hidden_size, "key")(x))
        value = split_heads(dense(c.hidden_size, "value")(x))
        scores = jnp.einsum("bhqd,bhkd->bhqk", query, key).astype(jnp.float32) + bias
        weights = jax.nn.softmax(scores, axis=-1).astype(self.dtype)
        weights = drop(weights, c.attention_probs_dropout_prob)
        mixed = jnp.einsum("bhqk,bhkd->bhqd", weights, value)
        mixed = jnp.swapaxes(mixed, 1, 2).reshape(x.shape)
        mixed = drop(dense(c.hidden_size, "attention_output")(mixed), c.hidden_dropout_prob)
        x = norm("attention_LayerNorm")(x + mixed)
        y = ACTIVATIONS[c.hidden_act](dense(c.intermediate_size, "intermediate")(x))
        y = drop(dense(c.hidden_size, "output")(y), c.hidden_dropout_prob)
        normed: Array = norm("output_LayerNorm")(x + y)
        return normed


class Bert(nn.Module):
    """BERT encoder.

    Attributes:
        config: sizes of the model.
        dtype: dtype of the matrix products; parameters are float32.
        with_pooler: True if the model has a pooler, a tanh layer over the first token.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> config = BertConfig(vocab_size=9, hidden_size=4, num_hidden_layers=2,
        ...                     num_attention_heads=2, intermediate_size=8)
        >>> ids = jnp.array([[2, 5, 3, 0]])
        >>> model = Bert(config)
        >>> params = model.init(jax.random.key(0), ids)
        >>> first, last = model.apply(params, ids, jnp.array([[1, 1, 1, 0]]), layers=(1, -1))
        >>> first.shape, last.shape
        ((1, 4, 4), (1, 4, 4))
    """

    config: BertConfig
    dtype: Any = jnp.float32
    with_pooler: bool = True

    @nn.compact
    def __call__(
        self,
        ids: Array,
        mask: Array | None = None,
        *,
        types: Array | None = None,
        positions: Array | None = None,
        layers: Sequence[int | str] = (-1,),
        train: bool = False,
    ) -> tuple[Array, ...]:
        """Returns the requested hidden states.

        Args:
            ids: token ids, shape `(batch, length)`.
            mask: sentence numbers, integers, shape `(batch, length)`: 0 for padding, 1 for the
                only sentence of a row, or 1, 2, 3 ... for packed sentences. A token attends to the
                tokens with the same number. None means one sentence per row without padding.
            types: token types, shape `(batch, length)`; None means zeros.
            positions: token positions, shape `(batch, length)`, from 0 in every family; None means
                0 to length - 1.
            layers: indices of the hidden states: 0 for the embeddings, i for the output of layer
                i, negative from the end, or `"pooler"` for the output of the pooler.
            train: True applies dropout (needs a `dropout` rng).

        Returns:
            One array per entry of `layers`, shape `(batch, length, hidden)`, or `(batch, hidden)`
            for the pooler.

        Raises:
            FlowjaxError: A row has more tokens than the model has positions, or the model lacks a
                requested layer, the pooler, or token types.
        """
        c, depth = self.config, self.config.num_hidden_layers
        wanted = [depth if i == "pooler" else resolve_layer(i, depth) for i in layers]
        if types is not None and not c.type_vocab_size:
            raise FlowjaxError(f"types: expected None for {c.model_type}, got token types")
        mask = jnp.ones_like(ids) if mask is None else mask
        # One broadcast row: its gradient is a sum, not a scatter of all tokens to one address.
        types = jnp.zeros((1, 1), ids.dtype) if types is None else types
        if positions is None:
            length, most = ids.shape[-1], c.max_length
            if length > most:  # XLA would clip positions silently
                raise FlowjaxError(f"ids: expected at most {most} tokens per row, got {length}")
            positions = jnp.arange(length)[None]
        allowed = mask[:, None, :, None] == mask[:, None, None, :]
        bias = jnp.where(allowed, 0.0, jnp.finfo(jnp.float32).min)
        if c.relative_attention_num_buckets:
            bias += RelativeBias(c, name="relative_attention_bias")(positions)
        x = Embeddings(c, self.dtype, name="embeddings")(ids, positions, types, train)
        states = {0: x}
        # `init` creates the parameters of all layers, even if few layers are requested.
        for i in range(1, (depth if self.is_initializing() else max(wanted)) + 1):
            x = Layer(c, self.dtype, name=f"layer_{i - 1}")(x, bias, train)
            states[i] = x
        if self.with_pooler and ("pooler" in layers or self.is_initializing()):
            init = nn.initializers.normal(c.initializer_range)
            dense = Dense(c.hidden_size, dtype=self.dtype, kernel_init=init, name="pooler")
            pooled = jnp.tanh(dense(x[:, 0]))
        elif "pooler" in layers:
            raise FlowjaxError("layers: expected a model with a pooler, got one without a pooler")
        return tuple(
            pooled if i == "pooler" else states[n] for i, n in zip(layers, wanted, strict=True)
        )


def resolve_layer(index: int | str, depth: int) -> int:
    """Returns the non-negative index of a hidden state; negative indices count from the end.

    Raises:
        FlowjaxError: A model of `depth` layers has no such hidden state.
    """
    number = int(index)
    resolved = number + depth + 1 if number < 0 else number
    if not 0 <= resolved <= depth:
        raise FlowjaxError(f"layers: expected -{depth + 1} to {depth}, got {number}")
    return resolved
