"""A source's sentences to vectors, in memory or in a store: what `fit` and `encode` share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import jax
import numpy as np

from flowjax.data.blocks import Blocks
from flowjax.data.sentences import SentenceSource
from flowjax.data.store import EmbeddingStore
from flowjax.encoder.embed import CHUNK, SentenceEncoder

# What a vector goes through after the encoder: a flow, a length.
Then = Callable[[np.ndarray], np.ndarray]


def embed_blocks(
    encoder: SentenceEncoder,
    blocks: Iterable[list[str]],
    *,
    then: Then = lambda vectors: vectors,
    batch_size: int | None = None,
    total: int | None = None,
    progress: bool | None = None,
) -> Iterator[tuple[np.ndarray, dict[str, int]]]:
    """Embeds blocks of `CHUNK` sentences (the last may be shorter).

    Args:
        encoder: the frozen encoder.
        blocks: of a `Blocks`.
        then: applied to each block's vectors.
        batch_size: of the encoder.
        total: sentences, for the progress bar.
        progress: None shows it on a terminal.

    Yields:
        For each block its vectors `(m, dim)` and `{"empty_embedded", "cut"}`: how many sentences
        without words were embedded, and how many cut at max_length.
    """
    stream = encoder.encode_stream(
        chain.from_iterable(blocks), batch_size=batch_size, total=total, progress=progress
    )
    empty = cut = 0
    for vectors in stream:
        report = encoder.report
        yield then(vectors), {"empty_embedded": report.empty - empty, "cut": report.cut - cut}
        empty, cut = report.empty, report.cut


def embed_in_memory(
    encoder: SentenceEncoder, source: SentenceSource, *, progress: bool | None = None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Embeds a source's sentences, empty ones left out; the sentences are not kept.

    Returns:
        The vectors `(n, dim)`, and `{"sentences", "empty", "cut", "hash"}`.

    Raises:
        ValueError: no sentences, or a source that cannot be read.
    """
    blocks = Blocks(source, CHUNK, skip_empty=True)
    parts, cut = [], 0
    for vectors, counts in embed_blocks(encoder, blocks, progress=progress):
        parts.append(vectors)
        cut += counts["cut"]
    facts = {"sentences": blocks.rows, "empty": blocks.empty, "cut": cut, "hash": str(blocks.hash)}
    check_some(source, facts)
    return np.concatenate(parts), facts


def embed_in_store(
    encoder: SentenceEncoder,
    source: SentenceSource,
    folder: str | Path,
    *,
    skip_empty: bool = True,
    then: Then = lambda vectors: vectors,
    dim: int | None = None,
    extra: Mapping[str, Any] | None = None,
    batch_size: int | None = None,
    share: tuple[int, int] | None = None,
    wait: bool = True,
    progress: bool | None = None,
) -> tuple[EmbeddingStore, dict[str, Any]]:
    """Embeds a source's sentences into a store, or goes on where an interrupted job stopped.

    Args:
        encoder: the frozen encoder.
        source: its sentences are never in memory together.
        folder: of the store.
        skip_empty: leaves sentences without words out, and counts them.
        then: applied to each block's vectors, which then have the width `dim`.
        dim: of the stored vectors; the encoder's if left out.
        extra: what else decides the vectors, for the manifest.
        batch_size: of the encoder.
        share: `(i, k)`: this is process i of k; that of `jax.distributed` if left out.
        wait: for the other processes' shares. False returns no facts unless all are done.
        progress: None shows a bar on a terminal.

    Returns:
        The store, complete once all processes have done their share, and as `embed_in_memory`
        its facts.

    Raises:
        ValueError: no sentences, a source that cannot be read, or a store of something else.
    """
    manifest = {
        **encoder.describe(),
        "encoder_hash": hash_arrays(encoder.params),
        "source_hash": source.fingerprint(),
        "skip_empty": skip_empty,
        **(extra or {}),
    }
    store = EmbeddingStore(
        folder, manifest, dim=dim or encoder.dim, block=CHUNK, notes={"source": source.name}
    )
    store.fill(
        source,
        lambda blocks: embed_blocks(
            encoder, blocks, then=then, batch_size=batch_size, progress=progress
        ),
        share=share or (jax.process_index(), jax.process_count()),
        skip_empty=skip_empty,
    )
    if not wait and not store.complete:
        return store, {}
    store.wait()
    counts = dict(store.counts)
    empty = counts["empty"] + counts.get("empty_embedded", 0)
    facts = {
        "sentences": counts["rows"],
        "empty": empty,
        "cut": counts.get("cut", 0),
        "hash": store.hash,
    }
    check_some(source, facts)
    return store, facts


def check_some(source: SentenceSource, facts: Mapping[str, Any]) -> None:
    """Refuses a source without sentences."""
    if not facts["sentences"]:
        raise ValueError(
            f"{source.name}: expected sentences, found {facts['empty']} empty lines and no other"
        )


def hash_arrays(tree: Any) -> str:
    """A hash of a params tree, so that a store of other weights is not taken for this one's."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        array = np.asarray(leaf, order="C")
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]
