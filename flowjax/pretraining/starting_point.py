"""A start for a small BERT on a small budget: what early training would learn first.

Masked-LM training begins with a long plateau, in which blocks learn to look at the neighbouring
tokens. Sinusoidal positions make a shift by k tokens a rotation (arXiv 1706.03762, section 3.5),
so heads that look k tokens away can be written down. This is an initialisation, in the spirit of
mimetic initialisation (arXiv 2305.09828): every number is trained afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from flowjax.encoder.bert import BertConfig

# Tokens that the heads of block i look away, head by head; the other heads start at random.
OFFSETS = ((-1, 1, -2, 2), (-1, 1, -3, 3))
_WAVES = 8
# What a head that looks k tokens away adds to the score of that token before the softmax.
_SHARPNESS = 10.0


def start_from(
    params: Mapping[str, Any],
    config: BertConfig,
    words: np.ndarray,
    *,
    seed: int = 0,
    position_share: float = 0.1,
) -> dict[str, Any]:
    """Puts word vectors, sinusoidal positions and neighbour heads into a BERT's params.

    Args:
        params: of `Bert.init`, under `"params"`.
        config: its sizes.
        words: word embeddings `(vocab_size, hidden_size)`.
        seed: of the subspace that positions live in.
        position_share: of an embedding's squared norm that is position.

    Returns:
        New params of the same form.
    """
    width, heads = config.hidden_size, config.num_attention_heads
    size = width // heads
    waves = min(_WAVES, size // 2)
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((width, 2 * waves)))[0].T
    speeds = np.geomspace(2.5, 0.03, waves)
    # Words keep out of the positions' plane, so that the heads read positions alone.
    words = words - words @ basis.T @ basis
    power = float((words**2).sum(1).mean())
    power *= position_share / (1 - position_share)
    angles = np.arange(config.max_position_embeddings)[:, None] * speeds
    waves_at = np.stack([np.cos(angles), np.sin(angles)], -1).reshape(len(angles), -1)
    positions = np.sqrt(power / waves) * waves_at @ basis

    new = {k: dict(v) if isinstance(v, Mapping) else v for k, v in params.items()}
    embeddings = new["embeddings"]
    embeddings["word_embeddings"] = {"embedding": jnp.asarray(words, jnp.float32)}
    embeddings["position_embeddings"] = {"embedding": jnp.asarray(positions, jnp.float32)}
    types = embeddings["token_type_embeddings"]["embedding"]
    embeddings["token_type_embeddings"] = {"embedding": 0.1 * types}
    # Normed embeddings have squared length `width`, so at their peak the scores are _SHARPNESS.
    gain = np.sqrt(_SHARPNESS * np.sqrt(size) / (position_share * width))
    for layer, offsets in enumerate(OFFSETS[: config.num_hidden_layers]):
        block = new[f"layer_{layer}"]
        query, key = (np.array(block[name]["kernel"]) for name in ("query", "key"))
        for head, offset in enumerate(offsets[:heads]):
            start = head * size
            columns = slice(start, start + 2 * waves)
            query[:, columns] = gain * (_rotation(speeds * offset) @ basis).T
            key[:, columns] = gain * basis.T
        block["query"] = {**block["query"], "kernel": jnp.asarray(query)}
        block["key"] = {**block["key"], "kernel": jnp.asarray(key)}
    return new


def _rotation(angles: np.ndarray) -> np.ndarray:
    """A rotation `(2w, 2w)` in w planes: it takes position p's waves to those of p + offset."""
    turn = np.zeros((2 * len(angles), 2 * len(angles)))
    for i, angle in enumerate(angles):
        c, s = np.cos(angle), np.sin(angle)
        turn[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = [[c, -s], [s, c]]
    return turn
