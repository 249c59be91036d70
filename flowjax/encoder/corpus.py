"""Embedding of the sentences of a source, in memory or into an embedding store."""

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
from flowjax.errors import FlowjaxError

# Transformation of the encoder's vectors, for example by a flow.
Then = Callable[[np.ndarray], np.ndarray]


def embed_blocks(
    encoder: SentenceEncoder,
    blocks: Iterable[list[str]],
    *,
    then: Then = lambda vectors: vectors,
    batch_size: int | None = None,
    show_progress_bar: bool | None = None,
) -> Iterator[tuple[np.ndarray, dict[str, int]]]:
    """Embeds blocks of `CHUNK` sentences (the last may be shorter).

    Args:
        encoder: frozen encoder.
        blocks: blocks of sentences, from a `Blocks`.
        then: function applied to the vectors of each block.
        batch_size: approximate number of sentences per batch; None means the encoder's.
        show_progress_bar: None shows the progress bar on a terminal only.

    Yields:
        The vectors `(m, dim)` of each block, and `{"empty_embedded", "cut"}`: the number of
        embedded sentences without words, and of sentences truncated to max_length.
    """
    stream = encoder.encode_stream(
        chain.from_iterable(blocks),
        batch_size=batch_size,
        show_progress_bar=show_progress_bar,
    )
    empty = cut = 0
    for vectors in stream:
        report = encoder.report
        yield then(vectors), {"empty_embedded": report.empty - empty, "cut": report.cut - cut}
        empty, cut = report.empty, report.cut


def embed_in_memory(
    encoder: SentenceEncoder, source: SentenceSource, *, show_progress_bar: bool | None = None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Embeds the non-empty sentences of a source; keeps only the vectors in memory.

    Returns:
        The vectors `(n, dim)`, and `{"sentences", "empty", "cut", "hash"}`: the numbers of
        embedded, of skipped empty and of truncated sentences, and the hash of the text.

    Raises:
        FlowjaxError: the source has no sentences or cannot be read.
    """
    blocks = Blocks(source, CHUNK, skip_empty=True)
    parts, cut = [], 0
    for vectors, counts in embed_blocks(encoder, blocks, show_progress_bar=show_progress_bar):
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
    show_progress_bar: bool | None = None,
) -> tuple[EmbeddingStore, dict[str, Any]]:
    """Embeds the sentences of a source into a store, or resumes an interrupted job.

    Args:
        encoder: frozen encoder.
        source: sentences; only a few blocks of them are in memory at a time.
        folder: folder of the store.
        skip_empty: True skips and counts sentences without words.
        then: function applied to the vectors of each block, with results of dimension `dim`.
        dim: dimension of the stored vectors; None means the encoder's.
        extra: manifest entries for further options that determine the vectors.
        batch_size: approximate number of sentences per batch; None means the encoder's.
        share: `(i, k)` embeds shard i of k; None means the shard of this process in the
            `jax.distributed` job.
        wait: True waits for the shards of the other processes. False returns an empty dict unless
            all shards are complete.
        show_progress_bar: None shows the progress bar on a terminal only.

    Returns:
        The store, and the counts and the hash of `embed_in_memory`.

    Raises:
        FlowjaxError: the source has no sentences or cannot be read, or the folder holds a store of
            other sentences or options.
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
            encoder,
            blocks,
            then=then,
            batch_size=batch_size,
            show_progress_bar=show_progress_bar,
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
    """Raises `FlowjaxError` if a source has no sentences."""
    if not facts["sentences"]:
        raise FlowjaxError(
            f"{source.name}: expected sentences, found {facts['empty']} empty lines and no other"
        )


def hash_arrays(tree: Any) -> str:
    """Returns a hash of the arrays of a pytree, which identifies the weights in a manifest."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        array = np.asarray(leaf, order="C")
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]
