"""Exact nearest vectors by cosine similarity, over blocks of a large set of vectors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from flowjax.errors import FlowjaxError


class Nearest(NamedTuple):
    """Nearest vectors of each of q queries, the most similar first.

    Attributes:
        cosines: cosine similarities, shape `(q, k)`, float64.
        rows: row numbers of the vectors, shape `(q, k)`; k is smaller if there are fewer vectors.
    """

    cosines: np.ndarray
    rows: np.ndarray


def none_found(queries: int) -> Nearest:
    """Returns the result of a search among no vectors."""
    return Nearest(np.empty((queries, 0)), np.empty((queries, 0), np.int64))


def merge_block(
    found: Nearest, queries: np.ndarray, vectors: np.ndarray, first: int, k: int
) -> Nearest:
    """Returns the nearest of the vectors found so far and of one more block of vectors.

    Of equal similarities, the vector with the smaller row number comes first.

    Args:
        found: nearest of the earlier blocks, from `none_found` or this function.
        queries: vectors of the queries, shape `(q, d)`.
        vectors: block of vectors, shape `(n, d)`.
        first: row number of the first vector of the block.
        k: number of vectors to keep for each query.

    Example:
        >>> query, vectors = np.array([[1.0, 0.0]]), np.eye(2)
        >>> found = merge_block(none_found(1), query, vectors, 0, k=1)
        >>> merge_block(found, query, np.array([[2.0, 2.0]]), 2, k=2).rows.tolist()
        [[0, 2]]
    """
    if vectors.ndim != 2 or vectors.shape[1] != queries.shape[1]:
        raise FlowjaxError(f"vectors: expected (n, {queries.shape[1]}), got {vectors.shape}")
    cosines = np.concatenate([found.cosines, _unit(queries) @ _unit(vectors).T], axis=1)
    new = np.arange(first, first + len(vectors))
    rows = np.concatenate([found.rows, np.broadcast_to(new, (len(queries), len(new)))], axis=1)
    keep = min(k, rows.shape[1])
    best = Nearest(np.empty((len(queries), keep)), np.empty((len(queries), keep), np.int64))
    for i, (values, numbers) in enumerate(zip(cosines, rows, strict=True)):
        least = np.partition(values, len(values) - keep)[len(values) - keep]
        places = np.flatnonzero(values >= least)
        order = places[np.lexsort((numbers[places], -values[places]))][:keep]
        best.cosines[i], best.rows[i] = values[order], numbers[order]
    return best


def nearest(queries: np.ndarray, blocks: Iterable[np.ndarray], k: int) -> Nearest:
    """Returns the k nearest vectors of each query by cosine similarity, computed in float64.

    Args:
        queries: vectors of the queries, shape `(q, d)`.
        blocks: vectors in blocks of shape `(n, d)`; one block at a time is in memory.
        k: number of vectors for each query.

    Raises:
        FlowjaxError: k is less than 1, or a block has another dimension.

    Example:
        >>> nearest(np.array([[0.0, 1.0]]), [np.eye(2), np.array([[1.0, 1.0]])], k=2).rows.tolist()
        [[1, 2]]
    """
    if k < 1:
        raise FlowjaxError(f"k: expected at least 1, got {k}")
    found, first = none_found(len(queries)), 0
    for block in blocks:
        found = merge_block(found, queries, block, first, k)
        first += len(block)
    return found


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Returns the vectors in float64 and scaled to unit length; a zero vector stays zero."""
    wide = np.asarray(vectors, np.float64)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    return wide / np.where(norms > 0, norms, 1)
