"""Word embeddings from a factorised co-occurrence matrix: a cheap start for a small BERT.

Positive pointwise mutual information of tokens within a window, then a truncated SVD (Levy and
Goldberg 2014; Levy, Goldberg and Dagan, TACL 2015). It costs minutes on a CPU, where the masked-LM
loss takes hours to learn as much about single words.
"""

from __future__ import annotations

import numpy as np


def cooccurrence(rows: np.ndarray, vocab_size: int, *, window: int = 5) -> np.ndarray:
    """Counts pairs of tokens at most `window` apart in a row, weighted 1 / distance.

    Args:
        rows: token ids `(n, length)`.
        vocab_size: the number of ids.
        window: the largest distance.

    Returns:
        Symmetric counts `(vocab_size, vocab_size)` float32.

    Example:
        >>> cooccurrence(np.array([[0, 1, 1]]), 2, window=1).tolist()
        [[0.0, 1.0], [1.0, 2.0]]
    """
    counts = np.zeros(vocab_size * vocab_size, np.float32)
    step = max(1, 4_000_000 // rows.shape[1])
    for start in range(0, len(rows), step):
        block = np.asarray(rows[start : start + step], np.int64)
        for distance in range(1, min(window, rows.shape[1] - 1) + 1):
            pair = block[:, :-distance].ravel() * vocab_size + block[:, distance:].ravel()
            where, times = np.unique(pair, return_counts=True)
            counts[where] += (times / distance).astype(np.float32)
    square = counts.reshape(vocab_size, vocab_size)
    return square + square.T


def ppmi_embeddings(
    counts: np.ndarray,
    dim: int,
    *,
    std: float,
    special: int = 5,
    smoothing: float = 0.75,
    seed: int = 0,
) -> np.ndarray:
    """Factorises positive pointwise mutual information to `dim` columns.

    Args:
        counts: symmetric co-occurrences `(vocab, vocab)`.
        dim: columns to keep.
        std: the standard deviation of the result's entries.
        special: the first rows, for special tokens, become small noise.
        smoothing: the exponent on context frequencies (0.75 as in word2vec).
        seed: of the random projection.

    Returns:
        `(vocab, dim)` float32; rows without any count are noise of the same size.
    """
    counts = np.array(counts, np.float32)
    counts[:special] = 0
    counts[:, :special] = 0
    word = counts.sum(1)
    context = word**smoothing
    context /= max(context.sum(), 1e-12)
    with np.errstate(divide="ignore", invalid="ignore"):
        counts /= word[:, None]
        counts /= context
        np.log(counts, out=counts)
    np.nan_to_num(counts, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    np.maximum(counts, 0, out=counts)
    rng = np.random.default_rng(seed)
    # Randomised range finder with power iterations (arXiv 0909.4061, algorithm 4.4).
    basis = np.linalg.qr(counts @ rng.standard_normal((len(counts), dim + 32), np.float32))[0]
    for _ in range(4):
        basis = np.linalg.qr(counts.T @ basis)[0]
        basis = np.linalg.qr(counts @ basis)[0]
    left, values, _ = np.linalg.svd(basis.T @ counts, full_matrices=False)
    table = (basis @ left)[:, :dim] * np.sqrt(values[:dim])
    table -= table.mean(0)
    norms = np.linalg.norm(table, axis=1, keepdims=True)
    # Equal norms: frequent words would otherwise dominate the tied output layer.
    table = table / np.maximum(norms, 1e-6) * std * np.sqrt(dim)
    empty = (word == 0) | (np.arange(len(word)) < special)
    table[empty] = rng.normal(0, std, (int(empty.sum()), dim))
    return table.astype(np.float32)
