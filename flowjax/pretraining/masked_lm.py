"""Masked language model: head, masking and loss (arXiv 1810.04805).

The number of masked tokens in a row is fixed. Shapes are therefore static, and the head computes
logits at the masked positions only.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from flowjax.encoder.bert import ACTIVATIONS, Bert, BertConfig, LayerNorm
from flowjax.encoder.dense import Dense
from flowjax.pretraining.cross_entropy import cross_entropy

Array = jax.Array


class MaskedLM(nn.Module):
    """BERT with its masked-language-model head; input and output embeddings are tied."""

    config: BertConfig
    dtype: Any = jnp.float32

    def setup(self) -> None:
        """Defines the submodules; the parameters of `bert` are those of a `Bert` module."""
        c = self.config
        self.bert = Bert(c, self.dtype, with_pooler=False)
        self.transform = Dense(
            c.hidden_size,
            dtype=self.dtype,
            kernel_init=nn.initializers.normal(c.initializer_range),
        )
        self.norm = LayerNorm(epsilon=c.layer_norm_eps, dtype=self.dtype)
        self.bias = self.param("bias", nn.initializers.zeros, (c.vocab_size,))

    def __call__(self, ids: Array, masked: Array, train: bool = False) -> Array:
        """Returns the logits at masked positions, shape `(batch, m, vocab)`, float32.

        Args:
            ids: token ids, shape `(batch, length)`.
            masked: masked positions of each row, shape `(batch, m)`.
            train: True applies dropout.
        """
        x, table = self._states(ids, masked, train)
        return (x @ table.astype(self.dtype).T).astype(jnp.float32) + self.bias

    def score(
        self, ids: Array, masked: Array, targets: Array, train: bool = False
    ) -> tuple[Array, Array]:
        """Returns `cross_entropy` of the tokens `targets` `(batch, m)` at positions `masked`."""
        x, table = self._states(ids, masked, train)
        return cross_entropy(x, table, self.bias, targets)

    def _states(self, ids: Array, masked: Array, train: bool) -> tuple[Array, Array]:
        """Returns the head's hidden states `(batch, m, hidden)` and the output embeddings."""
        (x,) = self.bert(ids, layers=(-1,), train=train)
        x = jnp.take_along_axis(x, masked[..., None], axis=1)
        x = self.norm(ACTIVATIONS[self.config.hidden_act](self.transform(x)))
        table = self.bert.variables["params"]["embeddings"]["word_embeddings"]["embedding"]
        return x, table


class Masking(NamedTuple):
    """Masking rule of BERT.

    A fraction `rate` of the tokens of a row is chosen. Of these tokens, 80 % become `mask_id`,
    10 % become a random token, and 10 % stay unchanged. Ids below `special` are never chosen and
    never drawn.
    """

    rate: float
    mask_id: int
    vocab_size: int
    special: int = 5

    def count(self, length: int) -> int:
        """Returns the number of chosen tokens in a row of `length` tokens."""
        return max(1, round(self.rate * length))


def mask_tokens(key: Array, ids: Array, masking: Masking) -> tuple[Array, Array, Array, Array]:
    """Masks one row.

    Args:
        key: JAX key of this row. Only the key and the row determine the mask, so the mask is the
            same on any number of devices.
        ids: token ids, shape `(length,)`.
        masking: masking rule.

    Returns:
        `(input ids (length,), positions (m,), targets (m,), weights (m,))`. The weight is 1 at a
        masked ordinary token, and 0 at a special token, which occurs among the positions only if
        the row has fewer than m ordinary tokens.
    """
    choose, kind, draw = jax.random.split(key, 3)
    ordinary = ids >= masking.special
    order = jnp.where(ordinary, jax.random.uniform(choose, ids.shape), 2.0)
    _, positions = jax.lax.top_k(-order, masking.count(ids.shape[0]))
    targets = ids[positions]
    u = jax.random.uniform(kind, targets.shape)
    random = jax.random.randint(draw, targets.shape, masking.special, masking.vocab_size)
    shown = jnp.where(u < 0.8, masking.mask_id, jnp.where(u < 0.9, random, targets))
    weights = ordinary[positions].astype(jnp.float32)
    shown = jnp.where(weights > 0, shown, targets)
    return ids.at[positions].set(shown), positions, targets, weights


def masked_lm_loss(
    model: MaskedLM, params: Any, ids: Array, keys: Array, masking: Masking, *, train: bool = False
) -> tuple[Array, dict[str, Array]]:
    """Returns the mean cross-entropy, in nats per masked token, of a batch.

    Args:
        model: masked language model.
        params: variables of the model, `{"params": ...}`.
        ids: unmasked token ids, shape `(batch, length)`.
        keys: one JAX key per row, shape `(batch,)`; the keys determine masks and dropout.
        masking: masking rule.
        train: True applies dropout.

    Returns:
        `(loss, {"accuracy": ...})`, scalars.
    """
    ids = ids.astype(jnp.int32)
    inputs, positions, targets, weights = jax.vmap(mask_tokens, (0, 0, None))(keys, ids, masking)
    rngs = {"dropout": jax.random.fold_in(keys[0], 1)} if train else None
    scored: Any = model.apply(params, inputs, positions, targets, train, method="score", rngs=rngs)
    nll, right = scored
    total = jnp.maximum(weights.sum(), 1.0)
    return (nll * weights).sum() / total, {"accuracy": (right * weights).sum() / total}
