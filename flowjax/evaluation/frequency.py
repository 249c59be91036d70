"""Norm and neighbour distance of word embeddings by word frequency (the paper's table 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flowjax.errors import FlowjaxError
from flowjax.evaluation.correlation import check_vectors

# The paper prints [5K, 1K) for the last bin, a misprint of [5K, 10K).
BINS = ((0, 100), (100, 500), (500, 5_000), (5_000, 10_000))
_BLOCK = 1024


def frequency_table(
    embeddings: np.ndarray,
    ranks: np.ndarray | None = None,
    *,
    bins: Sequence[tuple[int, int]] = BINS,
    neighbours: Sequence[int] = (3, 5, 7),
) -> list[dict[str, Any]]:
    """Returns the mean L2 norm and the mean k-NN distance of word embeddings by frequency rank.

    The neighbours of a word are the other embeddings with the smallest L2 distance, or with the
    largest dot product. The value of a word is the mean over its k nearest neighbours. The paper
    (arXiv 2011.05864, table 1) does not state whether it averages over the k neighbours or uses
    only the k-th neighbour; this function averages.

    Args:
        embeddings: word embeddings without special and unused tokens, shape (n, d).
        ranks: frequency rank of each row, shape (n,), 0 for the most frequent word; None if the
            rows are sorted by frequency.
        bins: half-open ranges of ranks.
        neighbours: values of k, each less than n.

    Returns:
        One dict per bin: `low, high, words, norm`, and `l2_K` and `dot_K` for each k. The values
        of an empty bin are None.

    Raises:
        FlowjaxError: The shape of `ranks` is wrong, or a value of k is not in 1 to n - 1.

    Example:
        >>> rows = frequency_table(np.array([[0.0], [1.0], [3.0]]), bins=[(0, 3)], neighbours=[1])
        >>> {key: round(value, 4) for key, value in rows[0].items()}
        {'low': 0, 'high': 3, 'words': 3, 'norm': 1.3333, 'l2_1': 1.3333, 'dot_1': 2.0}
    """
    x = check_vectors("embeddings", embeddings)
    n = len(x)
    ranks = np.arange(n) if ranks is None else np.asarray(ranks)
    if ranks.shape != (n,):
        raise FlowjaxError(f"ranks: expected shape ({n},) like the embeddings, got {ranks.shape}")
    ks = tuple(neighbours)
    if not ks or min(ks) < 1 or max(ks) >= n:
        raise FlowjaxError(f"neighbours: expected k from 1 to {n - 1} for {n} words, got {ks}")
    squares = np.einsum("nd,nd->n", x, x)
    table = []
    for low, high in bins:
        words = np.flatnonzero((ranks >= low) & (ranks < high))
        row: dict[str, Any] = {"low": low, "high": high, "words": len(words)}
        row |= dict.fromkeys(["norm", *(f"{kind}_{k}" for kind in ("l2", "dot") for k in ks)])
        if len(words):
            row["norm"] = float(np.sqrt(squares[words]).mean())
            near = zip(("l2", "dot"), _nearest(x, squares, words, max(ks)), strict=True)
            row |= {f"{kind}_{k}": float(all_k[:, :k].mean()) for kind, all_k in near for k in ks}
        table.append(row)
    return table


def _nearest(
    x: np.ndarray, squares: np.ndarray, words: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the k smallest distances and the k largest dot products of each of m words.

    Args:
        x: all embeddings, shape (n, d).
        squares: squared norms of `x`, shape (n,).
        words: row indices of the words, shape (m,).
        k: number of neighbours.

    Returns:
        Two arrays, shape (m, k) each, nearest neighbours first.
    """
    distances, products = [], []
    for start in range(0, len(words), _BLOCK):
        rows = words[start : start + _BLOCK]
        dot = x[rows] @ x.T
        squared = squares[rows, None] + squares - 2.0 * dot
        itself = (np.arange(len(rows)), rows)
        dot[itself], squared[itself] = -np.inf, np.inf
        smallest = np.sort(np.partition(squared, k - 1, axis=1)[:, :k], axis=1)
        distances.append(np.sqrt(np.maximum(smallest, 0.0)))
        products.append(-np.sort(np.partition(-dot, k - 1, axis=1)[:, :k], axis=1))
    return np.concatenate(distances), np.concatenate(products)
