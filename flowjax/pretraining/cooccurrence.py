"""Word embeddings from a factorised co-occurrence matrix, as initial values for a small BERT.

The matrix holds the positive pointwise mutual information (PPMI) of tokens within a window; a
truncated SVD gives the embeddings (Levy and Goldberg 2014; Levy, Goldberg and Dagan, TACL 2015).
"""

from __future__ import annotations

import numpy as np


def cooccurrence(rows: np.ndarray, vocab_size: int, *, window: int = 5) -> np.ndarray:
    """Returns the co-occurrence counts of tokens at most `window` positions apart in a row.

    Each pair of tokens has the weight 1 / distance.

    Args:
        rows: token ids, shape `(n, length)`.
        vocab_size: number of distinct ids.
        window: largest distance in tokens.

    Returns:
        Symmetric counts, shape `(vocab_size, vocab_size)`, float32.

    Example:
        >>> cooccurrence(np.array([[0, 1, 1]]), 2, window=1).tolist()
        [[0.0, 1.0], [1.0, 2.0]]
    """
    counts = np.zeros(vocab_size * vocab_size, np.float32)
    step = max(1, 4_000_000 // rows.shape[1])
    for start in range(0, len(rows), step):
        block = np.asarray(rows[start : start + step], np.int64)
        for distance in range(1, min(window, rows.shape[1] - 1) + 1):
            pairs = block[:, :-distance].ravel() * vocab_size + block[:, distance:].ravel()
            found, times = np.unique(pairs, return_counts=True)
            counts[found] += (times / distance).astype(np.float32)
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
    """Returns word embeddings from a factorisation of the PPMI matrix of co-occurrence counts.

    Args:
        counts: symmetric co-occurrence counts, shape `(vocab, vocab)`.
        dim: number of columns of the result.
        std: standard deviation of the entries of the result.
        special: number of leading ids that are special tokens; their embeddings are noise.
        smoothing: exponent of the context frequencies (0.75 as in word2vec).
        seed: integer seed of the random projection and of the noise.

    Returns:
        Word embeddings, shape `(vocab, dim)`, float32. Rows of special tokens and of tokens that
        never occur are Gaussian noise with standard deviation `std`.
    """
    ppmi = np.array(counts, np.float32)
    ppmi[:special] = 0
    ppmi[:, :special] = 0
    frequency = ppmi.sum(1)
    context = frequency**smoothing
    context /= max(float(context.sum()), 1e-12)
    with np.errstate(divide="ignore", invalid="ignore"):
        ppmi /= frequency[:, None]
        ppmi /= context
        np.log(ppmi, out=ppmi)
    np.nan_to_num(ppmi, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    np.maximum(ppmi, 0, out=ppmi)
    rng = np.random.default_rng(seed)
    # Randomised range finder with power iterations (arXiv 0909.4061, algorithm 4.4), faster than
    # `scipy.sparse.linalg.svds` on a dense matrix (see `benchmarks/pretrain.md`).
    basis = np.linalg.qr(ppmi @ rng.standard_normal((len(ppmi), dim + 32), np.float32))[0]
    for _ in range(4):
        basis = np.linalg.qr(ppmi.T @ basis)[0]
        basis = np.linalg.qr(ppmi @ basis)[0]
    left, values, _ = np.linalg.svd(basis.T @ ppmi, full_matrices=False)
    table = (basis @ left)[:, :dim] * np.sqrt(values[:dim])
    table -= table.mean(0)
    norms = np.linalg.norm(table, axis=1, keepdims=True)
    # Without equal norms, frequent words would dominate the tied output layer.
    table = table / np.maximum(norms, 1e-6) * std * np.sqrt(dim)
    empty = (frequency == 0) | (np.arange(len(frequency)) < special)
    table[empty] = rng.normal(0, std, (int(empty.sum()), dim))
    vectors: np.ndarray = table.astype(np.float32)
    return vectors
