"""Pooling of token vectors into sentence vectors.

`hidden_states[0]` is the output of the embeddings, `hidden_states[i]` the output of layer i.
`first_last` averages layers 1 and -1. The paper BERT-flow (arXiv 2011.05864) calls it "last2avg".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import jax
import jax.numpy as jnp

from flowjax.errors import check_choice
from flowjax.literals import Pooling

Array = jax.Array

POOLINGS: dict[Pooling, tuple[int | str, ...]] = {
    "cls": (-1,),
    "pooler": ("pooler",),
    "mean": (-1,),
    "last2": (-1, -2),
    "first_last": (1, -1),
    "embeddings_last": (0, -1),
}


def layers_of(pooling: str) -> tuple[int | str, ...]:
    """Returns the indices of the hidden states that a pooling averages.

    Raises:
        FlowjaxError: The name is not in `POOLINGS`.

    Example:
        >>> layers_of("first_last")
        (1, -1)
    """
    check_choice("pooling", pooling, POOLINGS)
    return POOLINGS[cast(Pooling, pooling)]


def pool_packed(
    states: Sequence[Array], mask: Array, pooling: str, *, slots: int, special_tokens: bool = True
) -> Array:
    """Pools hidden states into sentence vectors, with several sentences per row.

    Args:
        states: hidden states of `layers_of(pooling)`, shape `(batch, length, hidden)` each.
        mask: sentence numbers, shape `(batch, length)`: 0 at padding, k at the tokens of the k-th
            sentence of a row.
        pooling: one of `POOLINGS`; `"pooler"` returns the state of the first token, the input of
            the pooler.
        slots: largest number of sentences in a row.
        special_tokens: True includes the first and the last token of a sentence in the mean. False
            includes them only in a sentence without other tokens.

    Returns:
        Sentence vectors, shape `(batch, slots, hidden)`, float32; zeros for a missing sentence.

    Example:
        >>> states = [jnp.array([[[1.0], [3.0], [9.0], [7.0]]])]
        >>> pool_packed(states, jnp.array([[1, 1, 2, 0]]), "mean", slots=2).tolist()
        [[[2.0], [9.0]]]
    """
    layers_of(pooling)
    padded = jnp.pad(mask, ((0, 0), (1, 1)))
    first, last = mask != padded[:, :-2], mask != padded[:, 2:]
    taken = mask[:, None, :] == jnp.arange(1, slots + 1)[:, None]
    if pooling in ("cls", "pooler"):
        taken &= first[:, None, :]
    elif not special_tokens:
        inner = taken & ~(first | last)[:, None, :]
        taken = jnp.where(inner.any(-1, keepdims=True), inner, taken)
    # The mean over tokens is linear, so averaging the layers first saves matrix products.
    mixed = sum(state.astype(jnp.float32) for state in states) / len(states)
    weights = taken.astype(jnp.float32)
    total = jnp.maximum(weights.sum(-1, keepdims=True), 1.0)
    return jnp.einsum("bld,bsl->bsd", mixed, weights, precision="highest") / total
