"""Token vectors to one sentence vector; each name says which hidden states it takes.

`hidden_states[0]` is the embeddings' output, `hidden_states[i]` block i's. `first_last` is what
the BERT-flow paper (arXiv 2011.05864) calls "last2avg": its code averages blocks 1 and -1.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

Array = jax.Array

POOLINGS: dict[str, tuple[int | str, ...]] = {
    "cls": (-1,),
    "pooler": ("pooler",),
    "mean": (-1,),
    "last2": (-1, -2),
    "first_last": (1, -1),
    "embeddings_last": (0, -1),
}


def layers_of(pooling: str) -> tuple[int | str, ...]:
    """The hidden states that a pooling takes.

    Raises:
        ValueError: there is no such pooling.

    Example:
        >>> layers_of("first_last")
        (1, -1)
    """
    if pooling not in POOLINGS:
        raise ValueError(f"pooling: expected one of {', '.join(POOLINGS)}, got {pooling!r}")
    return POOLINGS[pooling]


def pool(states: Sequence[Array], mask: Array, pooling: str) -> Array:
    """Pools hidden states to sentence vectors, one sentence a row.

    Args:
        states: the hidden states of `layers_of(pooling)`, each `(batch, length, hidden)`.
        mask: `(batch, length)`, non-zero at the tokens that count; special tokens count in the
            paper.
        pooling: one of `POOLINGS`.

    Returns:
        `(batch, hidden)` float32. A row whose mask is all zero gives zeros.

    Example:
        >>> states = [jnp.array([[[1.0], [3.0], [9.0]]])]
        >>> pool(states, jnp.array([[1, 1, 0]]), "mean").tolist()
        [[2.0]]
    """
    layers_of(pooling)
    if pooling == "pooler":
        return states[0].astype(jnp.float32)
    return pool_packed(states, (mask != 0).astype(jnp.int32), pooling, slots=1)[:, 0]


def pool_packed(
    states: Sequence[Array],
    mask: Array,
    pooling: str,
    *,
    slots: int,
    special_tokens: bool = True,
) -> Array:
    """Pools rows that hold several sentences.

    Args:
        states: the hidden states of `layers_of(pooling)`, each `(batch, length, hidden)`.
        mask: `(batch, length)`: 0 at padding, k at the tokens of a row's k-th sentence.
        pooling: one of `POOLINGS`; `"pooler"` gives the first token's state, of which the pooler
            makes the vector.
        slots: the most sentences a row may hold.
        special_tokens: whether a mean takes a sentence's first and last token in; it does where
            there are no others.

    Returns:
        `(batch, slots, hidden)` float32; zeros where a row has no such sentence.

    Example:
        >>> states = [jnp.array([[[1.0], [3.0], [9.0], [7.0]]])]
        >>> pool_packed(states, jnp.array([[1, 1, 2, 0]]), "mean", slots=2).tolist()
        [[[2.0], [9.0]]]
    """
    layers_of(pooling)
    beyond = jnp.pad(mask, ((0, 0), (1, 1)))
    first, last = mask != beyond[:, :-2], mask != beyond[:, 2:]
    mine = mask[:, None, :] == jnp.arange(1, slots + 1)[:, None]
    if pooling in ("cls", "pooler"):
        mine &= first[:, None, :]
    elif not special_tokens:
        inner = mine & ~(first | last)[:, None, :]
        mine = jnp.where(inner.any(-1, keepdims=True), inner, mine)
    # The mean over tokens is linear, so the layers are averaged first: one pass.
    mixed = sum(state.astype(jnp.float32) for state in states) / len(states)
    weights = mine.astype(jnp.float32)
    total = jnp.maximum(weights.sum(-1, keepdims=True), 1.0)
    return jnp.einsum("bld,bsl->bsd", mixed, weights, precision="highest") / total
