"""SBERT's siamese softmax over (u, v, |u - v|) with the classes of natural-language inference."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from flowjax.finetuning.encode import Encode
from flowjax.finetuning.objective import Objective

Array = jax.Array
CLASSES = ("entailment", "neutral", "contradiction")
VIEWS = 2


def nli(encode: Encode, dim: int, *, seed: int = 0) -> Objective:
    """Returns the objective: cross-entropy of a linear classifier over (u, v, |u - v|).

    Args:
        encode: function of `make_encode` with two views, premise and hypothesis.
        dim: dimension of the vectors.
        seed: integer seed of the classifier.

    Returns:
        The objective; its batches have `label`, shape `(n,)`, an index in `CLASSES`.

    References:
        Sentence-BERT, https://arxiv.org/abs/1908.10084.
    """
    # Initialisation of a linear layer of PyTorch.
    bound = 1 / math.sqrt(3 * dim)
    for_kernel, for_bias = jax.random.split(jax.random.key(seed))
    head = {
        "kernel": jax.random.uniform(
            for_kernel, (3 * dim, len(CLASSES)), minval=-bound, maxval=bound
        ),
        "bias": jax.random.uniform(for_bias, (len(CLASSES),), minval=-bound, maxval=bound),
    }

    def loss(params: Any, batch: Any, key: Array | None) -> tuple[Array, dict[str, Array]]:
        u, v = encode(params["encoder"], batch, key)
        features = jnp.concatenate([u, v, jnp.abs(u - v)], axis=-1)
        logits = features @ params["head"]["kernel"] + params["head"]["bias"]
        own = jnp.take_along_axis(logits, batch["label"][:, None], axis=-1)[:, 0]
        nll = jax.nn.logsumexp(logits, axis=-1) - own
        return nll.mean(), {"accuracy": (own >= logits.max(-1)).mean()}

    return Objective(loss, head)
