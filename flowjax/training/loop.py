"""The one training loop: `fit`, `fit_array` and `pretrain` differ in their loss and data only.

The step (`step.py`) is a pure function of a `TrainState`, written for one device. Many steps run
in one dispatch, in a loop on the device whose length is an argument, so the same compiled body
serves any number of steps and a resumed run gives the same bits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
import optax

from flowjax.data.shuffle import batches_rows
from flowjax.parallel import devices, processes
from flowjax.training.checkpoint import Checkpoints
from flowjax.training.step import Loss, Precision, TrainState, init_state, make_step

__all__ = [
    "Chunk",
    "Loss",
    "NonFinite",
    "Precision",
    "Source",
    "Stopped",
    "TrainState",
    "evaluate",
    "init_state",
    "make_step",
    "train",
]
# Rows that are streamed go to the device in dispatches of at most about so many bytes.
DISPATCH_BYTES = 1 << 25


class Source(Protocol):
    """Rows to train on.

    Attributes:
        size: how many rows.
        resident: a pytree that stays on every device, or None; a loss gathers from it.
    """

    size: int
    resident: Any

    def read(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The rows of these numbers, in this order: a dict of arrays `(len(rows), ...)`."""
        ...


class NonFinite(FloatingPointError):
    """A loss or gradient was not finite; `step` is the batch's number."""

    def __init__(self, step: int, what: str) -> None:
        self.step = step
        super().__init__(
            f"step {step}: {what}; the state before it is kept (try a lower learning rate or "
            "clip_norm, or look for outliers in that batch)"
        )


class Stopped(KeyboardInterrupt):
    """Ctrl-C or SIGTERM arrived; the state was saved first."""


class Chunk(NamedTuple):
    """What a dispatch gave: metrics of steps `start` to `stop`, each `(stop - start,)`."""

    start: int
    stop: int
    metrics: dict[str, np.ndarray]
    seconds: float


def train(
    loss: Loss,
    optimizer: optax.GradientTransformation,
    state: TrainState,
    source: Source,
    *,
    steps: int,
    batch_size: int,
    seed: int,
    mesh: Any = None,
    mapping: devices.Mapping = "shard_map",
    accumulate: int = 1,
    steps_per_call: int | None = None,
    checkpoints: Checkpoints | None = None,
    checkpoint_every: int = 1000,
    saved: Callable[[TrainState], Any] = lambda state: state,
    on_chunk: Callable[[Chunk, TrainState], bool | None] | None = None,
    every: int | None = None,
    stop: Callable[[], bool] = lambda: False,
    precision: Precision | None = None,
) -> TrainState:
    """Runs the loop from `state.step` to `steps`.

    Args:
        loss: see `make_step`.
        optimizer: any optax transformation.
        state: where to start: `init_state`, or a restored one.
        source: the rows.
        steps: the step to end at.
        batch_size: rows of a global batch, over all devices and processes.
        seed: of batches and keys.
        mesh: `devices.make_mesh()`; all devices if left out.
        mapping: `"shard_map"` or `"pmap"`.
        accumulate: parts that a device's share is worked through in.
        steps_per_call: the most steps of a dispatch; if left out 256, or fewer (8 at least) where
            rows are streamed and those of 256 steps are more than 32 MiB.
        checkpoints: where to save, or None.
        checkpoint_every: steps between saves; the last step is always saved.
        saved: what a checkpoint holds of a state, a pytree of arrays; what a caller remembers
            besides goes in here. Asked at each save, after the `on_chunk` of that step.
        on_chunk: called after each dispatch with its metrics and the state; True ends the run.
        every: a dispatch ends at each multiple of this step (for validation).
        stop: asked after each dispatch; True saves and raises `Stopped`.
        precision: see `make_step`.

    Returns:
        The last state, replicated over the mesh.

    Raises:
        NonFinite: after saving the last good state.
        Stopped: after saving.
        ValueError: the batch does not divide.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowjax.data.arrays import ArraySource
        >>> def loss(params, resident, batch, key):
        ...     return jnp.square(params - resident["x"][batch["rows"]]).mean(), {}
        >>> source, sgd = ArraySource(np.ones((8, 1))), optax.sgd(0.25)
        >>> options = dict(steps=3, batch_size=8, seed=0, mesh=devices.make_mesh(1))
        >>> float(train(loss, sgd, init_state(jnp.zeros(()), sgd), source, **options).params)
        0.875
    """
    mesh = mesh or devices.make_mesh()
    devices.check_batch(batch_size, mesh, accumulate)
    step = make_step(loss, optimizer, seed=seed, accumulate=accumulate, precision=precision)
    call = devices.data_parallel(step, mesh, mapping)
    length = steps_per_call or _steps_per_call(source, batch_size)
    state = devices.replicate(state, mesh)
    resident = devices.replicate(source.resident, mesh)
    share = devices.local_rows(batch_size, mesh)
    boundaries = [b for b in (checkpoint_every if checkpoints else 0, every or 0) if b]

    def read(start: int, stop: int) -> Any:
        rows = batches_rows(start, stop, batch_size, source.size, seed=seed)
        flat = rows[:, share].reshape(-1)
        batch = {"rows": flat, **source.read(flat)}
        padded = {name: _stack(x, stop - start, length) for name, x in batch.items()}
        return devices.shard_rows(padded, mesh, axis=1)

    def save(wait: bool) -> None:
        if checkpoints:
            checkpoints.save(at, saved(state), wait=wait)

    at, pace = int(devices.to_host(state.step)), 1
    if len(starts := np.unique(processes.gather([at]))) > 1:
        raise ValueError(
            f"processes: expected all at one step, got {starts.tolist()}; the "
            "checkpoints' folder must be one that all of them see"
        )
    plan = _Plan(steps, boundaries, length)
    with ThreadPoolExecutor(1) as reader:
        if at < steps:
            ahead = (at, plan.end(at, pace))
            future = reader.submit(read, *ahead)
            n = devices.replicate(np.int32(0), mesh)
            call = devices.compile_together(call, state, (resident, n), future.result())
        while at < steps:
            began = time.perf_counter()
            until, batches = ahead[1], future.result()
            n = devices.replicate(np.int32(until - at), mesh)
            state, metrics = call(state, (resident, n), batches)
            if until < steps:
                # Read the next rows while the devices work on these.
                ahead = (until, plan.end(until, pace))
                future = reader.submit(read, *ahead)
            host = devices.to_host(metrics)
            seconds = time.perf_counter() - began
            done, ran = int(host.pop("done")), int(host.pop("ran"))
            chunk = Chunk(at, at + done, {k: v[:ran] for k, v in host.items()}, seconds)
            at += done
            if done < until - chunk.start:
                save(wait=True)
                raise NonFinite(
                    at, f"loss {host['loss'][done]}, grad norm {host['grad_norm'][done]}"
                )
            enough = on_chunk(chunk, state) if on_chunk else None
            # Each process has its own clock and may get its own signal; all do the same.
            said = processes.gather([plan.pace(done, seconds), bool(enough), stop()])
            pace, enough, halt = int(said[:, 0].min()), bool(said[:, 1].any()), said[:, 2].any()
            if halt:
                save(wait=True)
                raise Stopped()
            if checkpoints and (at == steps or enough or at % checkpoint_every == 0):
                save(wait=at == steps or enough)
            if enough:
                break
    return state


def _steps_per_call(source: Source, batch_size: int) -> int:
    if source.resident is not None or not source.size:
        return 256
    row = sum(x.nbytes for x in source.read(np.zeros(1, np.int64)).values())
    return max(8, min(256, DISPATCH_BYTES // max(1, row * batch_size)))


class _Plan(NamedTuple):
    """How far each dispatch goes: about half a second of work, and never across a boundary."""

    steps: int
    boundaries: list[int]
    length: int

    def end(self, at: int, pace: int) -> int:
        ends = [(at // b + 1) * b for b in self.boundaries]
        return min([at + min(pace, self.length), self.steps, *ends])

    def pace(self, done: int, seconds: float) -> int:
        return max(1, min(self.length, int(0.5 * done / max(seconds, 1e-6))))


def _stack(x: np.ndarray, n: int, length: int) -> np.ndarray:
    """`(n * batch, ...)` to `(length, batch, ...)`; the steps beyond `n` are never run."""
    x = x.reshape(n, -1, *x.shape[1:])
    return np.concatenate([x, np.zeros((length - n, *x.shape[1:]), x.dtype)]) if n < length else x


def evaluate(
    loss: Loss, params: Any, source: Source, *, batch_size: int, seed: int = 0, batches: int = 0
) -> dict[str, float]:
    """Mean loss and metrics over a source in its own order, on the default device.

    Args:
        loss: see `make_step`.
        params: the parameters.
        source: the rows; those after the last full batch make a smaller one.
        batch_size: rows of a batch.
        seed: of the keys handed to the loss.
        batches: stop after so many; 0 for all.

    Returns:
        `{"loss": ..., **metrics}`, means weighted by rows.

    Example:
        >>> from flowjax.data.arrays import ArraySource
        >>> source = ArraySource(np.array([[1.0], [2.0], [6.0]]), resident=False)
        >>> loss = lambda params, resident, batch, key: ((batch["x"] - params).mean(), {})
        >>> evaluate(loss, 1.0, source, batch_size=2)
        {'loss': 2.0}
    """
    call = jax.jit(loss)
    totals: dict[str, float] = {}
    seen = 0
    for k, rows in enumerate(_in_order(source.size, batch_size)):
        if batches and k == batches:
            break
        key = jax.random.fold_in(jax.random.key(seed), k)
        value, aux = call(params, source.resident, {"rows": rows, **source.read(rows)}, key)
        for name, metric in {"loss": value, **aux}.items():
            totals[name] = totals.get(name, 0.0) + float(metric) * len(rows)
        seen += len(rows)
    return {name: total / seen for name, total in totals.items()}


def _in_order(size: int, batch_size: int) -> Iterator[np.ndarray]:
    for start in range(0, size, batch_size):
        yield np.arange(start, min(start + batch_size, size))
