"""BERT as a Flax module: `init` and `apply` over a plain params pytree (arXiv 1810.04805).

The parameter names follow Hugging Face's, so that `weights.py` is a table of names. Only the
hidden states that are asked for are computed and returned: pooling the first and the last block of
twelve keeps two arrays alive, and asking for block 1 alone runs one block.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

Array = jax.Array

ACTIVATIONS = {
    "gelu": lambda x: nn.gelu(x, approximate=False),
    "gelu_new": lambda x: nn.gelu(x, approximate=True),
    "gelu_pytorch_tanh": lambda x: nn.gelu(x, approximate=True),
    "relu": nn.relu,
}


@dataclasses.dataclass(frozen=True)
class BertConfig:
    """The sizes of a BERT, under the names of Hugging Face's `config.json`."""

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-12
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    initializer_range: float = 0.02
    pad_token_id: int = 0

    def __post_init__(self) -> None:
        """Refuses sizes that make no BERT."""
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"config: expected hidden_size divisible by num_attention_heads, got "
                f"{self.hidden_size} and {self.num_attention_heads}"
            )
        if self.hidden_act not in ACTIVATIONS:
            raise ValueError(
                f"config: hidden_act {self.hidden_act!r}, expected one of {sorted(ACTIVATIONS)}"
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BertConfig:
        """Reads a Hugging Face `config.json` (as a dict); fields that BERT has no use for pass."""
        kind = values.get("model_type", "bert")
        if kind != "bert":
            raise ValueError(f"config: model_type {kind!r}, expected 'bert'")
        for field in ("position_embedding_type",):
            if values.get(field, "absolute") != "absolute":
                raise ValueError(f"config: {field} {values[field]!r}, expected 'absolute'")
        names = {f.name for f in dataclasses.fields(cls)}
        return cls(**{k: v for k, v in values.items() if k in names})

    def to_dict(self) -> dict[str, Any]:
        """The `config.json` that `transformers.BertModel` reads."""
        return {"architectures": ["BertModel"], "model_type": "bert", **dataclasses.asdict(self)}


class _LayerNorm(nn.LayerNorm):
    """Layer norm whose statistics are float32 and exact (not E[x^2] - E[x]^2) at any dtype."""

    use_fast_variance: bool = False


class Embeddings(nn.Module):
    """Word + position + token type embeddings, normalised: `hidden_states[0]`."""

    config: BertConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, ids: Array, positions: Array, types: Array, train: bool) -> Array:
        """Embeds `(batch, length)` ids to `(batch, length, hidden)`."""
        c = self.config

        def table(rows: int, name: str) -> nn.Embed:
            init = nn.initializers.normal(c.initializer_range)
            return nn.Embed(rows, c.hidden_size, embedding_init=init, dtype=self.dtype, name=name)

        x = table(c.vocab_size, "word_embeddings")(ids)
        x += table(c.max_position_embeddings, "position_embeddings")(positions)
        x += table(c.type_vocab_size, "token_type_embeddings")(types)
        x = _LayerNorm(epsilon=c.layer_norm_eps, dtype=self.dtype, name="LayerNorm")(x)
        return nn.Dropout(c.hidden_dropout_prob)(x, deterministic=not train)


class Layer(nn.Module):
    """One transformer block: attention and a feed-forward net, each with residual and norm."""

    config: BertConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, bias: Array, train: bool) -> Array:
        """Maps `(batch, length, hidden)` to the same; `bias` is `(batch, 1, length, length)`."""
        c = self.config
        heads, width = c.num_attention_heads, c.hidden_size // c.num_attention_heads
        init = nn.initializers.normal(c.initializer_range)

        def dense(features: int, name: str) -> nn.Dense:
            return nn.Dense(features, dtype=self.dtype, kernel_init=init, name=name)

        def norm(name: str) -> nn.Module:
            return _LayerNorm(epsilon=c.layer_norm_eps, dtype=self.dtype, name=name)

        def drop(x: Array, rate: float) -> Array:
            return nn.Dropout(rate)(x, deterministic=not train)

        def split_heads(x: Array) -> Array:
            return x.reshape(*x.shape[:-1], heads, width)

        query = split_heads(dense(c.hidden_size, "query")(x)) * (width**-0.5)
        key = split_heads(dense(c.hidden_size, "key")(x))
        value = split_heads(dense(c.hidden_size, "value")(x))
        scores = jnp.einsum("bqhd,bkhd->bhqk", query, key).astype(jnp.float32) + bias
        weights = jax.nn.softmax(scores, axis=-1).astype(self.dtype)
        weights = drop(weights, c.attention_probs_dropout_prob)
        mixed = jnp.einsum("bhqk,bkhd->bqhd", weights, value).reshape(x.shape)
        mixed = drop(dense(c.hidden_size, "attention_output")(mixed), c.hidden_dropout_prob)
        x = norm("attention_LayerNorm")(x + mixed)
        y = ACTIVATIONS[c.hidden_act](dense(c.intermediate_size, "intermediate")(x))
        y = drop(dense(c.hidden_size, "output")(y), c.hidden_dropout_prob)
        return norm("output_LayerNorm")(x + y)


class Bert(nn.Module):
    """The encoder.

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
        """Computes the hidden states that are asked for.

        Args:
            ids: token ids `(batch, length)`.
            mask: `(batch, length)` integers, 0 for padding. Tokens attend to tokens of the same
                number: 1 for one sentence a row, 1, 2, 3 ... for several packed into a row.
            types: token types `(batch, length)`; zeros if left out.
            positions: `(batch, length)`; 0 to length - 1 if left out.
            layers: which hidden states: 0 the embeddings' output, i block i's, negative from the
                end, `"pooler"` BERT's tanh layer over the first token.
            train: switches dropout on (needs a `dropout` rng).

        Returns:
            One array for each entry of `layers`: `(batch, length, hidden)`; the pooler's
            `(batch, hidden)`.
        """
        depth = self.config.num_hidden_layers
        wanted = [depth if i == "pooler" else resolve_layer(i, depth) for i in layers]
        mask = jnp.ones_like(ids) if mask is None else mask
        types = jnp.zeros_like(ids) if types is None else types
        if positions is None:
            positions = jnp.broadcast_to(jnp.arange(ids.shape[-1]), ids.shape)
        allowed = mask[:, None, :, None] == mask[:, None, None, :]
        bias = jnp.where(allowed, 0.0, jnp.finfo(jnp.float32).min)
        x = Embeddings(self.config, self.dtype, name="embeddings")(ids, positions, types, train)
        states = {0: x}
        # At init every block gets its parameters, whichever layers were asked for.
        for i in range(1, (depth if self.is_initializing() else max(wanted)) + 1):
            x = Layer(self.config, self.dtype, name=f"layer_{i - 1}")(x, bias, train)
            states[i] = x
        if self.with_pooler and ("pooler" in layers or self.is_initializing()):
            init = nn.initializers.normal(self.config.initializer_range)
            dense = nn.Dense(
                self.config.hidden_size, dtype=self.dtype, kernel_init=init, name="pooler"
            )
            pooled = jnp.tanh(dense(x[:, 0]))
        elif "pooler" in layers:
            raise ValueError("pooling: this model has no pooler weights, expected another pooling")
        return tuple(
            pooled if i == "pooler" else states[n] for i, n in zip(layers, wanted, strict=True)
        )


def resolve_layer(index: int | str, depth: int) -> int:
    """Turns a hidden state's index, negative from the end, into 0 to `depth`."""
    number = int(index)
    resolved = number + depth + 1 if number < 0 else number
    if not 0 <= resolved <= depth:
        raise ValueError(f"layers: expected -{depth + 1} to {depth}, got {number}")
    return resolved
