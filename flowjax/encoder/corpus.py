"""Embedding of the sentences of a source, in memory or into an embedding store."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import jax
import numpy as np

from flowjax.data.blocks import Blocks
from flowjax.data.sentences import SentenceSource, checked
from flowjax.data.store import EmbeddingStore
from flowjax.encoder.adapter import EncoderAdapter
from flowjax.encoder.counts import EncodeReport, warn_unknown
from flowjax.encoder.embed import CHUNK, SentenceEncoder
from flowjax.errors import FlowjaxError

logger = logging.getLogger("flowjax")
# Function that transforms the encoder's vectors, for example a flow.
Then = Callable[[np.ndarray], np.ndarray]
Encoder = SentenceEncoder | EncoderAdapter


def embed_blocks(
    encoder: Encoder,
    blocks: Iterable[list[str]],
    *,
    then: Then | None = None,
    total: int | None = None,
    **options: Any,
) -> Iterator[tuple[np.ndarray, dict[str, int]]]:
    """Embeds blocks of `CHUNK` sentences (the last may be shorter).

    Args:
        encoder: frozen encoder.
        blocks: blocks of sentences, from a `Blocks`.
        then: function applied to the vectors of each block; None keeps the vectors.
        total: number of sentences for the progress bar; None means unknown.
        **options: `batch_size` and `show_progress_bar` of `SentenceEncoder.encode_stream`.

    Yields:
        The vectors `(m, dim)` of each block, and its counts: `"empty_embedded"`, the number of
        embedded sentences without words; `"cut"`, the number of sentences truncated to max_length;
        and the numbers of `"tokens"` and `"unknown_tokens"`.
    """
    before = EncodeReport()
    sentences = Counted(chain.from_iterable(blocks), total)
    for vectors in encoder.encode_stream(sentences, **options):
        now = encoder.report
        counts = {
            "empty_embedded": now.empty - before.empty,
            "cut": now.cut - before.cut,
            "tokens": now.tokens - before.tokens,
            "unknown_tokens": now.unknown - before.unknown,
        }
        yield then(vectors) if then else vectors, counts
        before = replace(now)


def embed_in_memory(
    encoder: Encoder, source: SentenceSource, *, show_progress_bar: bool | None = None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Embeds the non-empty sentences of a source and keeps only the vectors in memory.

    Returns:
        The vectors `(n, dim)`, and counts: `"sentences"`, `"empty"` and `"cut"`, the numbers of
        embedded, skipped empty, and truncated sentences; `"tokens"` and `"unknown_tokens"`, the
        numbers of tokens and of tokens that are not in the vocabulary; and `"hash"` of the text.

    Raises:
        FlowjaxError: The source has no sentences or cannot be read.
    """
    blocks = Blocks(source, CHUNK, skip_empty=True)
    parts, total = [], Counter[str]()
    count = None if show_progress_bar is False else count_of(source, skip_empty=True)
    shown = embed_blocks(encoder, blocks, total=count, show_progress_bar=show_progress_bar)
    for vectors, counts in shown:
        parts.append(vectors)
        total.update(counts)
    facts = _facts(source, blocks.rows, blocks.empty, total, str(blocks.hash))
    return np.concatenate(parts), facts


def embed_in_store(
    encoder: Encoder,
    source: SentenceSource,
    folder: str | Path,
    *,
    skip_empty: bool = True,
    then: Then | None = None,
    dim: int | None = None,
    extra: Mapping[str, Any] | None = None,
    share: tuple[int, int] | None = None,
    wait: bool = True,
    **options: Any,
) -> tuple[EmbeddingStore, dict[str, Any]]:
    """Embeds the sentences of a source into a store, or resumes an interrupted job.

    Args:
        encoder: frozen encoder.
        source: source of the sentences; only a few blocks are in memory at a time.
        folder: folder of the store.
        skip_empty: True skips and counts sentences without words.
        then: function applied to the vectors of each block, with results of dimension `dim`; None
            keeps the vectors.
        dim: dimension of the stored vectors; None means `encoder.dim`.
        extra: manifest entries for further options that determine the vectors.
        share: `(i, k)` embeds shard i of k; None means the shard of this process in the
            `jax.distributed` job.
        wait: True waits for the shards of the other processes. False returns an empty dict unless
            all shards are complete.
        **options: `batch_size` and `show_progress_bar` of `SentenceEncoder.encode_stream`.

    Returns:
        The store, and the counts and the hash as in `embed_in_memory`.

    Raises:
        FlowjaxError: The source has no sentences or cannot be read, or the folder contains a store
            of other sentences or options.
    """
    manifest = {
        **encoder.describe(),
        "encoder_hash": encoder.weights_hash,
        "source_hash": source.fingerprint(),
        "skip_empty": skip_empty,
        **(extra or {}),
    }
    store = EmbeddingStore(
        folder, manifest, dim=dim or encoder.dim, block=CHUNK, notes={"source": source.name}
    )
    share = share or (jax.process_index(), jax.process_count())
    total = None
    if options.get("show_progress_bar") is not False and not store.complete:
        count = count_of(source, skip_empty=skip_empty)
        total = None if count is None else store.missing_rows(count, share)
    embed = partial(embed_blocks, encoder, then=then, total=total, **options)
    store.fill(source, embed, share=share, skip_empty=skip_empty)
    if not wait and not store.complete:
        return store, {}
    store.wait()
    counts = dict(store.counts)
    empty = counts["empty"] + counts.get("empty_embedded", 0)
    return store, _facts(source, counts["rows"], empty, counts, store.hash)


def embed_source(
    encoder: Encoder,
    source: SentenceSource,
    folder: str | Path | None,
    *,
    show_progress_bar: bool | None = None,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Embeds the non-empty sentences of a source; warns of empty, truncated and unknown text.

    Args:
        encoder: frozen encoder.
        source: source of the sentences.
        folder: folder of the store of the vectors; None keeps the vectors in memory.
        show_progress_bar: True shows a progress bar; None shows the bar on a terminal only.

    Returns:
        The vectors, shape (n, dim), and the counts and the hash as in `embed_in_memory`.

    Raises:
        FlowjaxError: See `embed_in_store`.
    """
    if folder is None:
        vectors, facts = embed_in_memory(encoder, source, show_progress_bar=show_progress_bar)
    else:
        store, facts = embed_in_store(encoder, source, folder, show_progress_bar=show_progress_bar)
        vectors = store.vectors
    sentences, empty = facts["sentences"], facts["empty"]
    if empty:
        logger.warning("fit: skipped %d empty sentences of %d", empty, empty + sentences)
    if facts["cut"]:
        cut, length = facts["cut"], encoder.max_seq_length
        logger.warning("fit: truncated %d of %d sentences to %d tokens", cut, sentences, length)
    warn_unknown(facts["unknown_tokens"], facts["tokens"], encoder.name)
    return vectors, facts


class Counted:
    """Iterable with a known or unknown number of items, for a progress bar."""

    def __init__(self, items: Iterable[str], total: int | None) -> None:
        self._items, self._total = items, total

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __length_hint__(self) -> int:
        return self._total or 0


def count_of(source: SentenceSource, *, skip_empty: bool) -> int | None:
    """Returns the number of sentences of a source for a progress bar; None for a stream."""
    if source.is_stream:
        return None
    return sum(1 for sentence in checked(source) if sentence.strip() or not skip_empty)


def _facts(
    source: SentenceSource, sentences: int, empty: int, counts: Mapping[str, int], text_hash: str
) -> dict[str, Any]:
    """Returns the counts of an embedded source; raises `FlowjaxError` if it has no sentences."""
    if not sentences:
        raise FlowjaxError(f"{source.name}: expected sentences, got {empty} empty lines only")
    found = {name: counts.get(name, 0) for name in ("cut", "tokens", "unknown_tokens")}
    return {"sentences": sentences, "empty": empty, **found, "hash": text_hash}
