"""Multiple negatives ranking: entailments are positives, contradictions are hard negatives."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from flowjax.finetuning.encode import Encode
from flowjax.finetuning.objective import Gather, Objective, unit

Array = jax.Array


def ranking(
    anchors: Array,
    positives: Array,
    negatives: Array | None,
    temperature: float,
    gather: Gather,
    has_negative: Array | None = None,
) -> tuple[Array, dict[str, Array]]:
    """Returns the cross-entropy of each anchor's positive among the candidates of all devices.

    Args:
        anchors: vectors, shape `(n, dim)`.
        positives: `positives[i]` is the positive of `anchors[i]`; the others are its negatives.
        negatives: further negatives of all anchors (hard negatives), shape `(n, dim)`, or None.
        temperature: divisor of the cosine similarities.
        gather: function from the rows of this device to the rows of all devices.
        has_negative: False where `negatives` has no vector, shape `(n,)`.

    Returns:
        The mean loss in nats, and `{"accuracy"}`: the fraction of anchors to which no candidate is
        more similar than the positive.

    Example:
        >>> loss, metrics = ranking(jnp.eye(2), jnp.eye(2), None, 0.5, lambda rows: rows)
        >>> round(float(loss), 4), float(metrics["accuracy"])  # log(1 + exp(-2))
        (0.1269, 1.0)
    """
    anchors, positives = unit(anchors), unit(positives)
    exact = jax.lax.Precision.HIGHEST  # the default of a TPU would round the factors
    candidates = gather(positives)
    valid = jnp.ones(len(candidates), bool)
    if negatives is not None:
        present = jnp.ones(len(negatives), bool) if has_negative is None else has_negative
        candidates = jnp.concatenate([candidates, gather(unit(negatives))])
        valid = jnp.concatenate([valid, gather(present)])
    logits = jnp.matmul(anchors, candidates.T, precision=exact) / temperature
    logits = jnp.where(valid, logits, -jnp.inf)
    own = jnp.einsum("nd,nd->n", anchors, positives, precision=exact) / temperature
    nll = jax.nn.logsumexp(logits, axis=-1) - own
    # The positive itself is a candidate, with another rounding error.
    first = (own + 1e-4 >= logits.max(-1)).mean()
    return nll.mean(), {"accuracy": first}


def mnr(encode: Encode, *, temperature: float = 0.05, gather: Gather, views: int = 3) -> Objective:
    """Returns the objective of anchors, positives and, with three views, hard negatives.

    Args:
        encode: function of `make_encode` with `views` views.
        temperature: divisor of the cosine similarities.
        gather: `devices.all_rows` in a mapped step.
        views: 2 without hard negatives; 3 with them.

    Returns:
        The objective; its batches have `has_negative`, shape `(n,)`, if there are three views.

    References:
        Multiple negatives ranking, https://arxiv.org/abs/1705.00652; with hard negatives as
        supervised SimCSE, https://arxiv.org/abs/2104.08821.
    """

    def loss(params: Any, batch: Any, key: Array | None) -> tuple[Array, dict[str, Array]]:
        vectors = encode(params["encoder"], batch, key)
        hard = vectors[2] if views == 3 else None
        present = batch["has_negative"] if views == 3 else None
        return ranking(vectors[0], vectors[1], hard, temperature, gather, present)

    return Objective(loss, {})
