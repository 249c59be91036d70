"""Initial parameters of a small BERT: word vectors, sinusoidal positions, neighbour attention.

Masked-LM training begins with a long plateau, during which the attention heads learn to select
neighbouring tokens. With sinusoidal positions, a shift by k tokens is a rotation (arXiv
1706.03762, section 3.5), so query and key kernels that select the token k positions away have a
closed form. All parameters are trained afterwards, as in mimetic initialisation (arXiv
2305.09828).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from scipy.linalg import block_diag

from flowjax.encoder.bert import BertConfig

# Position offset that each head of layer i selects; further heads keep their random parameters.
OFFSETS = ((-1, 1, -2, 2), (-1, 1, -3, 3))
_WAVES = 8
# Attention logit that a head adds at its offset.
_SHARPNESS = 10.0


def start_from(
    params: Mapping[str, Any],
    config: BertConfig,
    words: np.ndarray,
    *,
    seed: int = 0,
    position_share: float = 0.1,
) -> dict[str, Any]:
    """Returns BERT parameters with word vectors, sinusoidal positions and neighbour heads.

    Args:
        params: parameters of `Bert.init`, the value under `"params"`.
        config: sizes of the model.
        words: word embeddings, shape `(vocab_size, hidden_size)`.
        seed: integer seed of the random subspace that holds the positions.
        position_share: fraction of an embedding's squared norm that the position contributes.

    Returns:
        New parameters with the same structure.
    """
    size = config.hidden_size // config.num_attention_heads
    waves = min(_WAVES, size // 2)
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((config.hidden_size, 2 * waves)))[0].T
    frequencies = np.geomspace(2.5, 0.03, waves)
    # Word embeddings are orthogonal to the position subspace, so that these heads depend on
    # positions only.
    words = words - words @ basis.T @ basis
    power = float((words**2).sum(1).mean())
    power *= position_share / (1 - position_share)
    angles = np.arange(config.max_position_embeddings)[:, None] * frequencies
    waves_at = np.stack([np.cos(angles), np.sin(angles)], -1).reshape(len(angles), -1)
    positions = np.sqrt(power / waves) * waves_at @ basis

    new = {k: dict(v) if isinstance(v, Mapping) else v for k, v in params.items()}
    embeddings = new["embeddings"]
    embeddings["word_embeddings"] = {"embedding": jnp.asarray(words, jnp.float32)}
    embeddings["position_embeddings"] = {"embedding": jnp.asarray(positions, jnp.float32)}
    types = embeddings["token_type_embeddings"]["embedding"]
    embeddings["token_type_embeddings"] = {"embedding": 0.1 * types}
    # After LayerNorm the squared norm is hidden_size. This gain makes the largest attention logit
    # _SHARPNESS.
    gain = np.sqrt(_SHARPNESS * np.sqrt(size) / (position_share * config.hidden_size))
    for layer, offsets in enumerate(OFFSETS[: config.num_hidden_layers]):
        block = new[f"layer_{layer}"]
        query, key = (np.array(block[name]["kernel"]) for name in ("query", "key"))
        for head, offset in enumerate(offsets[: config.num_attention_heads]):
            columns = slice(head * size, head * size + 2 * waves)
            query[:, columns] = gain * (_rotation(frequencies * offset) @ basis).T
            key[:, columns] = gain * basis.T
        block["query"] = {**block["query"], "kernel": jnp.asarray(query)}
        block["key"] = {**block["key"], "kernel": jnp.asarray(key)}
    return new


def _rotation(angles: np.ndarray) -> np.ndarray:
    """Returns the block-diagonal matrix of 2 x 2 rotations by `angles`."""
    cos, sin = np.cos(angles), np.sin(angles)
    blocks = np.moveaxis(np.array([[cos, -sin], [sin, cos]]), -1, 0)
    rotation: np.ndarray = np.asarray(block_diag(*blocks))
    return rotation
