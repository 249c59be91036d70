"""A global shuffle without a permutation in memory: a pure function of (seed, epoch, position).

A Feistel network is a bijection of the integers below a power of four; walking its cycles until
the result is below `n` makes it one of the integers below `n` (format-preserving encryption, Black
and Rogaway 2002). Ten million rows cost no memory, any batch can be asked for at any time, and a
resumed run needs only its step.
"""

from __future__ import annotations

import numpy as np

_ROUNDS = 8


def shuffled(positions: np.ndarray, n: int, *, seed: int, epoch: int = 0) -> np.ndarray:
    """The rows that stand at `positions` of a shuffled data set.

    Args:
        positions: integers in `[0, n)`, any shape.
        n: the number of rows, at least 1.
        seed: of the run.
        epoch: each epoch has its own order.

    Returns:
        int64 rows in `[0, n)`, distinct for distinct positions; the shape of `positions`.

    Raises:
        ValueError: no rows, or a position that is not one of theirs.

    Example:
        >>> sorted(shuffled(np.arange(6), 6, seed=1).tolist())
        [0, 1, 2, 3, 4, 5]
    """
    if n < 1:
        raise ValueError(f"n: expected at least 1 row, got {n}")
    places = np.asarray(positions, np.int64)
    if places.size and (places.min() < 0 or places.max() >= n):
        raise ValueError(f"positions: expected 0 to {n - 1}, got {places.min()} to {places.max()}")
    half = max(1, (int(n - 1).bit_length() + 1) // 2)
    mask = np.uint64((1 << half) - 1)
    keys = np.random.SeedSequence([seed, epoch]).generate_state(_ROUNDS, np.uint64)
    rows = _feistel(places.ravel().astype(np.uint64), keys, half, mask)
    outside = rows >= n
    while outside.any():
        rows[outside] = _feistel(rows[outside], keys, half, mask)
        outside = rows >= n
    return rows.astype(np.int64).reshape(places.shape)


def batch_rows(step: int, batch_size: int, n: int, *, seed: int) -> np.ndarray:
    """The rows of global batch `step`: `(batch_size,)` int64, a pure function of its arguments.

    Epochs follow each other without a gap: a batch may end one epoch and begin the next, so no row
    is left out and every batch is full, also where `batch_size > n`.

    Example:
        >>> rows = [batch_rows(step, 4, 6, seed=0) for step in range(3)]
        >>> sorted(np.concatenate(rows).tolist())
        [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    """
    return batches_rows(step, step + 1, batch_size, n, seed=seed)[0]


def batches_rows(start: int, stop: int, batch_size: int, n: int, *, seed: int) -> np.ndarray:
    """`batch_rows` of the steps `start` to `stop` at once: `(stop - start, batch_size)` int64.

    Example:
        >>> bool((batches_rows(2, 5, 4, 6, seed=0)[1] == batch_rows(3, 4, 6, seed=0)).all())
        True
    """
    place = np.arange(start * batch_size, stop * batch_size, dtype=np.int64)
    epochs, positions = place // n, place % n
    parts = [
        shuffled(positions[epochs == epoch], n, seed=seed, epoch=int(epoch))
        for epoch in range(int(epochs[0]), int(epochs[-1]) + 1)
    ]
    return np.concatenate(parts).reshape(stop - start, batch_size)


def _feistel(x: np.ndarray, keys: np.ndarray, half: int, mask: np.uint64) -> np.ndarray:
    left, right = x >> np.uint64(half), x & mask
    for key in keys:
        left, right = right, left ^ (_mix(right ^ key) & mask)
    return (left << np.uint64(half)) | right


def _mix(x: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
