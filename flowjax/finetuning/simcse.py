"""Unsupervised SimCSE: two dropout passes of a sentence are a positive pair."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from flowjax.finetuning.encode import Encode
from flowjax.finetuning.mnr import ranking
from flowjax.finetuning.objective import Gather, Objective

Array = jax.Array
VIEWS = 2


def simcse(
    encode: Encode,
    dim: int,
    *,
    temperature: float = 0.05,
    gather: Gather,
    mlp: bool = True,
    init_std: float = 0.02,
    seed: int = 0,
) -> Objective:
    """Returns the objective: each sentence must find its other view among all sentences.

    Args:
        encode: function of `make_encode` with two views, the same sentence twice.
        dim: dimension of the vectors.
        temperature: divisor of the cosine similarities.
        gather: `devices.all_rows` in a mapped step.
        mlp: True adds a linear layer with tanh after the pooling during the training. The result
            of the run has no such layer.
        init_std: standard deviation of the initial weights of this layer.
        seed: integer seed of this layer.

    References:
        SimCSE, https://arxiv.org/abs/2104.08821.
    """
    kernel = init_std * jax.random.normal(jax.random.key(seed), (dim, dim))
    head = {"kernel": kernel, "bias": jnp.zeros(dim)} if mlp else {}

    def loss(params: Any, batch: Any, key: Array | None) -> tuple[Array, dict[str, Array]]:
        vectors = encode(params["encoder"], batch, key)
        if mlp:
            vectors = jnp.tanh(vectors @ params["head"]["kernel"] + params["head"]["bias"])
        return ranking(vectors[0], vectors[1], None, temperature, gather)

    return Objective(loss, head)
