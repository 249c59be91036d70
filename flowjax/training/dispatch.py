"""Dispatches of the training loop: their lengths, and the batches read for them in advance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from flowjax.data.shuffle import batches_rows
from flowjax.parallel import devices

MIN_STEPS, MAX_STEPS = 8, 256
# Approximate size of the batches of one dispatch that are read from disk.
DISPATCH_BYTES = 1 << 25
DISPATCH_SECONDS = 0.5


class ExampleSource(Protocol):
    """Training examples, read by row index.

    Attributes:
        size: number of examples.
        resident: pytree of arrays that stays on every device and from which the loss gathers
            the rows of a batch; None if `read` returns the examples.
    """

    size: int
    resident: Any

    def read(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the selected examples, in the order of `rows`.

        Args:
            rows: row indices, shape `(n,)`.

        Returns:
            Arrays of shape `(n, ...)` by name; empty if the examples are resident.
        """
        ...


class Plan(NamedTuple):
    """Numbers of steps per call of the compiled loop (per dispatch).

    A dispatch takes about half a second and ends at every boundary, so that checkpoints and
    validations get the state of exactly their step.

    Attributes:
        steps: last step of the run.
        boundaries: a dispatch ends at each multiple of each of these numbers of steps; zeros
            are ignored.
        length: largest number of steps of a dispatch.

    Example:
        >>> plan = Plan(steps=100, boundaries=(30,), length=64)
        >>> plan.end(0, pace=20), plan.end(20, pace=20), plan.end(90, pace=20)
        (20, 30, 100)
        >>> plan.pace(done=20, seconds=0.25)
        40
    """

    steps: int
    boundaries: tuple[int, ...]
    length: int

    def end(self, start: int, pace: int) -> int:
        """Returns the step at which a dispatch ends.

        Args:
            start: step at which the dispatch starts.
            pace: largest number of steps of the dispatch.
        """
        ends = [(start // b + 1) * b for b in self.boundaries if b]
        return min([start + min(pace, self.length), self.steps, *ends])

    def pace(self, done: int, seconds: float) -> int:
        """Returns the number of steps for the next dispatch, given the duration of the last.

        Args:
            done: number of steps of the last dispatch.
            seconds: duration of the last dispatch.
        """
        return max(1, min(self.length, int(DISPATCH_SECONDS * done / max(seconds, 1e-6))))


def max_steps(source: ExampleSource, batch_size: int, *, assembled: bool = False) -> int:
    """Returns the largest number of steps of a dispatch, limited by the bytes of its batches.

    Args:
        source: training examples.
        batch_size: number of examples of a global batch.
        assembled: True if all batches of a dispatch are assembled from resident arrays before the
            first step.

    Example:
        >>> from flowjax.data.arrays import ArraySource
        >>> rows = np.zeros((4, 1024), np.float32)
        >>> max_steps(ArraySource(rows), 256)
        256
        >>> max_steps(ArraySource(rows, resident=False), 256)
        32
    """
    resident = jax.tree.leaves(source.resident)
    if (resident and not assembled) or not source.size:
        return MAX_STEPS
    row: int = sum(x.nbytes for x in source.read(np.zeros(1, np.int64)).values())
    row += sum(x.nbytes // source.size for x in resident)
    return max(MIN_STEPS, min(MAX_STEPS, DISPATCH_BYTES // max(1, row * batch_size)))


def batch_reader(
    source: ExampleSource, mesh: jax.sharding.Mesh, plan: Plan, *, batch_size: int, seed: int
) -> Callable[[int, int], tuple[int, dict[str, jax.Array]]]:
    """Returns a function that reads the batches of a dispatch onto the devices.

    Args:
        source: training examples.
        mesh: from `devices.make_mesh`.
        plan: lengths of the dispatches. Every result has `plan.length` batches, so that one
            compiled function serves all dispatches.
        batch_size: number of examples of a global batch.
        seed: integer seed of the shuffle; the batch of a step depends only on the seed and the
            step.

    Returns:
        `read(start, pace)`, which returns the last step of the dispatch and arrays of shape
        `(length, batch_size, ...)` by name, sharded along the second axis. Batches after the
        first `stop - start` are zeros.

    Example:
        >>> from flowjax.data.arrays import ArraySource
        >>> source, mesh = ArraySource(np.ones((8, 2)), resident=False), devices.make_mesh(1)
        >>> plan = Plan(steps=5, boundaries=(), length=3)
        >>> stop, batches = batch_reader(source, mesh, plan, batch_size=4, seed=0)(0, 2)
        >>> stop, batches["x"].shape, batches["rows"].shape
        (2, (3, 4, 2), (3, 4))
    """
    shard = devices.local_rows(batch_size, mesh)
    order = getattr(source, "order", None)  # of shards that cannot be read at random

    def read(start: int, pace: int) -> tuple[int, dict[str, jax.Array]]:
        stop = plan.end(start, pace)
        if order is None:
            rows = batches_rows(start, stop, batch_size, source.size, seed=seed)
        else:
            rows = order.batches_rows(start, stop, batch_size, seed=seed)
        flat = rows[:, shard].reshape(-1)
        batches = {"rows": flat, **source.read(flat)}
        padded = {name: _stack(x, stop - start, plan.length) for name, x in batches.items()}
        return stop, devices.shard_rows(padded, mesh, axis=1)

    return read


def _stack(x: np.ndarray, n: int, length: int) -> np.ndarray:
    """Reshapes `(n * batch, ...)` to `(n, batch, ...)` and pads with zeros to `length`."""
    x = x.reshape(n, -1, *x.shape[1:])
    return np.concatenate([x, np.zeros((length - n, *x.shape[1:]), x.dtype)]) if n < length else x
