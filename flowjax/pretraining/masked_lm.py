"""Masked-language-model pretraining: the head, the masking and the loss (arXiv 1810.04805).

The number of masked tokens in a row is fixed, so shapes are static and the head runs on the masked
positions alone: the logits of the other 85 % are never computed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from flowjax.encoder.bert import ACTIVATIONS, Bert, BertConfig, _LayerNorm
from flowjax.encoder.dense import Dense
from flowjax.pretraining.cross_entropy import cross_entropy

Array = jax.Array


class MaskedLM(nn.Module):
    """BERT with its masked-language-model head; the output embedding is the input's (tied)."""

    config: BertConfig
    dtype: Any = jnp.float32

    def setup(self) -> None:
        """Names the parts; `bert`'s params are an encoder's as they stand."""
        c = self.config
        self.bert = Bert(c, self.dtype, with_pooler=False)
        self.transform = Dense(
            c.hidden_size,
            dtype=self.dtype,
            kernel_init=nn.initializers.normal(c.initializer_range),
        )
        self.norm = _LayerNorm(epsilon=c.layer_norm_eps, dtype=self.dtype)
        self.bias = self.param("bias", nn.initializers.zeros, (c.vocab_size,))

    def __call__(self, ids: Array, masked: Array, train: bool = False) -> Array:
        """Logits `(batch, m, vocab)`, float32, at positions `masked` `(batch, m)` of `ids`."""
        x, table = self._states(ids, masked, train)
        return (x @ table.astype(self.dtype).T).astype(jnp.float32) + self.bias

    def score(
        self, ids: Array, masked: Array, targets: Array, train: bool = False
    ) -> tuple[Array, Array]:
        """`cross_entropy` of the tokens `targets` `(batch, m)` at positions `masked`."""
        x, table = self._states(ids, masked, train)
        return cross_entropy(x, table, self.bias, targets)

    def _states(self, ids: Array, masked: Array, train: bool) -> tuple[Array, Array]:
        """The head's vectors `(batch, m, hidden)`, and the table they are compared with."""
        (x,) = self.bert(ids, layers=(-1,), train=train)
        x = jnp.take_along_axis(x, masked[..., None], axis=1)
        x = self.norm(ACTIVATIONS[self.config.hidden_act](self.transform(x)))
        table = self.bert.variables["params"]["embeddings"]["word_embeddings"]["embedding"]
        return x, table


class Masking(NamedTuple):
    """What is masked and by what.

    `rate` of a row's tokens are chosen; of these 80 % become `mask_id`, 10 % a random token and
    10 % stay. Ids below `special` are never chosen nor drawn.
    """

    rate: float
    mask_id: int
    vocab_size: int
    special: int = 5

    def count(self, length: int) -> int:
        """How many tokens of a row are chosen."""
        return max(1, round(self.rate * length))


def mask_tokens(key: Array, ids: Array, masking: Masking) -> tuple[Array, Array, Array, Array]:
    """Masks one row.

    Args:
        key: the row's own key, so that a row is masked alike on any number of devices.
        ids: `(length,)`.
        masking: the rule.

    Returns:
        `(input ids (length,), positions (m,), targets (m,), weights (m,))`; a weight is 0 where
        the row has too few ordinary tokens.
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
    """Mean cross-entropy in nats over the masked tokens of a batch.

    Args:
        model: the module.
        params: its variables, `{"params": ...}`.
        ids: `(batch, length)` unmasked.
        keys: a key for each row `(batch,)`; they decide masks and dropout.
        masking: the rule.
        train: switches dropout on.

    Returns:
        `(loss, {"accuracy": ...})`.
    """
    ids = ids.astype(jnp.int32)
    inputs, positions, targets, weights = jax.vmap(mask_tokens, (0, 0, None))(keys, ids, masking)
    rngs = {"dropout": jax.random.fold_in(keys[0], 1)} if train else None
    scored: Any = model.apply(params, inputs, positions, targets, train, method="score", rngs=rngs)
    nll, right = scored
    total = jnp.maximum(weights.sum(), 1.0)
    return (nll * weights).sum() / total, {"accuracy": (right * weights).sum() / total}
