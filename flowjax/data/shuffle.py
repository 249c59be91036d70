"""Global shuffle as a pure function of (seed, epoch, position), without a permutation in memory.

A Feistel network is a bijection of the integers below a power of four. Iterating it until the
result is below `n` (cycle walking) gives a bijection of the integers below `n`: format-preserving
encryption, Black and Rogaway 2002. The shuffle needs no memory, any batch can be computed at any
time, and a resumed run needs only its step.
"""

from __future__ import annotations

import numpy as np

from flowjax.errors import FlowjaxError

_ROUNDS = 8


def shuffled(positions: np.ndarray, n: int, *, seed: int, epoch: int = 0) -> np.ndarray:
    """Returns the row indices at the given positions of the shuffled data set.

    Args:
        positions: integers in [0, n), any shape.
        n: number of rows, at least 1.
        seed: integer seed of the run.
        epoch: number of the epoch; every epoch has another order.

    Returns:
        Row indices in [0, n), int64, with the shape of `positions`; distinct for distinct
        positions.

    Raises:
        FlowjaxError: `n` is below 1, or a position is not in [0, n).

    Example:
        >>> sorted(shuffled(np.arange(6), 6, seed=1).tolist())
        [0, 1, 2, 3, 4, 5]
    """
    if n < 1:
        raise FlowjaxError(f"n: expected at least 1 row, got {n}")
    places = np.asarray(positions, np.int64)
    if places.size and (places.min() < 0 or places.max() >= n):
        found = f"{places.min()} to {places.max()}"
        raise FlowjaxError(f"positions: expected 0 to {n - 1}, got {found}")
    half = max(1, (int(n - 1).bit_length() + 1) // 2)
    mask = np.uint64((1 << half) - 1)
    keys = np.random.SeedSequence([seed, epoch]).generate_state(_ROUNDS, np.uint64)
    rows = places.ravel().astype(np.uint64)
    outside = np.ones(rows.shape, bool)
    while outside.any():
        rows[outside] = _feistel(rows[outside], keys, half, mask)
        outside = rows >= n
    return rows.astype(np.int64).reshape(places.shape)


def batch_rows(step: int, batch_size: int, n: int, *, seed: int) -> np.ndarray:
    """Returns the row indices of the global batch of a step, shape (batch_size,), int64.

    A batch may contain the end of one epoch and the start of the next. Every batch is full, even
    for `batch_size > n`, and every epoch contains each row once.

    Args:
        step: number of the step, from 0.
        batch_size: number of rows in a batch.
        n: number of rows of the data set.
        seed: integer seed of the run.

    Example:
        >>> rows = [batch_rows(step, 4, 6, seed=0) for step in range(3)]
        >>> sorted(np.concatenate(rows).tolist())
        [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    """
    rows: np.ndarray = batches_rows(step, step + 1, batch_size, n, seed=seed)[0]
    return rows


def batches_rows(start: int, stop: int, batch_size: int, n: int, *, seed: int) -> np.ndarray:
    """Returns `batch_rows` of the steps `start` to `stop - 1`, shape (stop - start, batch_size).

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
    """Returns the finalizer of splitmix64 (Steele, Lea and Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = x ^ (x >> np.uint64(31))
    return mixed
