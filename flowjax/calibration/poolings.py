"""Choice of the pooling of an encoder by related texts, without labels.

A masked language model has no pooling layer. The study is in benchmarks/recipes.md.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import cast

import numpy as np

from flowjax.bijectors.moments import moments_of
from flowjax.calibration.candidates import closed_form_candidates, transformed
from flowjax.calibration.criterion import (
    POWERS,
    Contributions,
    contributions,
    gains,
    preference,
)
from flowjax.calibration.held import SampledSource
from flowjax.calibration.select import LEAST_SENTENCES, pairs_of
from flowjax.encoder.adapter import EncoderAdapter
from flowjax.encoder.embed import SentenceEncoder
from flowjax.encoder.modules import MODULES
from flowjax.literals import Pooling
from flowjax.parallel import processes

# Poolings that compete with the first one, the default.
POOLINGS = ("first_last", "embeddings_last")
# Number of sentences that the closed forms are fitted on, and largest number of pairs of a kind.
# Each of their texts is encoded once per pooling.
ROWS, PAIRS = 1000, 500


def has_default_pooling(encoder: SentenceEncoder | EncoderAdapter) -> bool:
    """Returns True if a loaded encoder has the default pooling and its folder names no pooling."""
    if not isinstance(encoder, SentenceEncoder) or encoder.location is None:
        return False
    return encoder.pooling == POOLINGS[0] and not (encoder.location.folder / MODULES).exists()


def pool(
    encoder: SentenceEncoder | EncoderAdapter, sampled: SampledSource | None, seed: int
) -> None:
    """Sets the pooling of an encoder: the selected one, or the default without a selection.

    Args:
        encoder: encoder whose pooling is not given.
        sampled: source of the sentences, or None. A stream can be read only once, so its pooling
            is the default.
        seed: integer seed of the selection.
    """
    if not isinstance(encoder, SentenceEncoder):
        return
    encoder.pooling = cast(Pooling, POOLINGS[0])
    if sampled is not None and not sampled.is_stream:
        encoder.pooling = cast(Pooling, choose_pooling(encoder, sampled, seed))


def choose_pooling(encoder: SentenceEncoder, sampled: SampledSource, seed: int) -> str:
    """Returns the pooling whose best closed form finds related texts best.

    Another pooling replaces the default if the interval of the gain of its best closed form over
    the best one of the default is above 0.

    Args:
        encoder: encoder with the default pooling.
        sampled: source of the sentences that can be read again.
        seed: integer seed of the pairs and of the bootstrap.

    Returns:
        One of `POOLINGS`, the same on all processes of a job.
    """
    held = sampled.held()
    others = SampledSource(sampled, seed + 1).held().sentences
    known = set(held.sentences)
    rows = [text for text in others if text not in known][:ROWS]
    pairs = [(p.kind, p.left[:PAIRS], p.right[:PAIRS]) for p in pairs_of(held.sentences, seed)]
    if held.distinct < LEAST_SENTENCES or not pairs or not rows:
        return encoder.pooling
    texts = list(dict.fromkeys([*rows, *(t for _, a, b in pairs for t in (*a, *b))]))
    best = {}
    for pooling in POOLINGS:
        other = copy.copy(encoder)
        other.pooling = cast(Pooling, pooling)
        vectors = dict(zip(texts, other.embed(texts), strict=True))
        best[pooling] = _best(rows, pairs, vectors)
    default = POOLINGS[0]
    chosen = max(best, key=lambda name: preference(best[name]))
    if chosen != default:
        _, low, _ = gains({chosen: best[chosen]}, best[default], seed)[chosen]
        chosen = chosen if low > 0 else default
    return POOLINGS[int(processes.gather([POOLINGS.index(chosen)])[0, 0])]


def _best(
    rows: Sequence[str],
    pairs: Sequence[tuple[str, list[str], list[str]]],
    vectors: dict[str, np.ndarray],
) -> Contributions:
    """Returns the contributions of the pairs under the preferred closed form."""

    def stacked(texts: Sequence[str]) -> np.ndarray:
        return np.stack([vectors[text] for text in texts])

    x = stacked(rows)
    candidates = closed_form_candidates(moments_of([x], x.shape[1]), POWERS)
    kinds = [kind for kind, *_ in pairs]
    flat = [stacked(side) for _, *both in pairs for side in both]
    found = [
        contributions(dict(zip(kinds, zip(sides[::2], sides[1::2], strict=True), strict=True)))
        for _, sides in transformed(candidates, flat)
    ]
    return max(found, key=preference)
