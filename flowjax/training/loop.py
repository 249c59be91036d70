"""Training loop of `fit`, `fit-array` and `pretrain`, which differ only in loss and data.

The step (`step.py`) is a pure function of a `TrainState`. One call (a dispatch) runs many steps in
a loop on the device, and the number of steps is an argument. The same compiled function therefore
serves any number of steps, and the results of a resumed run are bitwise equal to those of an
uninterrupted run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from flowjax.errors import FlowjaxError
from flowjax.parallel import devices, processes
from flowjax.training.checkpoint import Checkpoints
from flowjax.training.dispatch import ExampleSource, Plan, batch_reader, max_steps
from flowjax.training.snapshots import Snapshots
from flowjax.training.step import Loss, Precision, TrainState, make_step


class NonFinite(FloatingPointError):
    """Error raised when a loss or gradient is not finite.

    Attributes:
        step: number of finished steps, which is also the index of the failed batch.
        params: parameters of the last finite loss, in host memory: the result of `step - 1`
            steps, because the update before the failed step may be the cause. `flowjax.fit`
            replaces them by the params of its `FitResult`: the parameters of the best validation,
            if there was one, with the closed-form layer at the end of the flow.
    """

    def __init__(self, step: int, values: str, params: Any, kept: str | None = None) -> None:
        """Creates the error.

        Args:
            step: see above.
            values: the values that are not finite.
            params: see above.
            kept: checkpoint that holds the state before the failed step, or None.
        """
        self.step, self.params = step, params
        where = f", and {kept} the state before this step" if kept else ""
        advice = (
            "try a lower learning rate or clip_norm, or look for outliers in the batch"
            if step  # the learning rate has no effect on the first loss
            else "the initial parameters are the cause, not the learning rate: look for outliers "
            "in the data, or use another flow or loss"
        )
        super().__init__(
            f"step {step}: expected a finite loss and gradient, got {values}; the attribute "
            f"`params` of this error holds the last parameters with a finite loss{where} "
            f"({advice})"
        )


class Stopped(KeyboardInterrupt):
    """Interruption of a run by Ctrl-C or SIGTERM, raised after saving the state.

    Attributes:
        step: number of finished steps.
        params: parameters after these steps, in host memory; see `NonFinite`.
    """

    def __init__(self, step: int = 0, params: Any = None) -> None:
        """Creates the exception.

        Args:
            step: number of finished steps.
            params: parameters after these steps.
        """
        self.step, self.params = step, params
        super().__init__(f"stopped after step {step}")


class Chunk(NamedTuple):
    """Metrics of one dispatch.

    Attributes:
        start: step at which the dispatch began.
        stop: step at which the dispatch ended.
        metrics: dict from name to values, shape `(stop - start,)`.
        seconds: duration in seconds.
    """

    start: int
    stop: int
    metrics: dict[str, np.ndarray]
    seconds: float


def train(
    loss: Loss,
    optimizer: optax.GradientTransformation,
    state: TrainState,
    source: ExampleSource,
    *,
    steps: int,
    batch_size: int,
    seed: int,
    mesh: jax.sharding.Mesh | None = None,
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
    assemble: Callable[[Any, Any], Any] | None = None,
) -> TrainState:
    """Trains from `state.step` to `steps` and returns the last state.

    Args:
        loss: loss function, see `Loss`.
        optimizer: optax transformation.
        state: initial state, from `init_state` or restored from a checkpoint.
        source: training examples.
        steps: step at which the run ends.
        batch_size: number of examples of a global batch, over all devices and processes.
        seed: integer seed of the batches and of the keys passed to the loss.
        mesh: from `devices.make_mesh`; None uses all devices.
        mapping: `"shard_map"` or `"pmap"`.
        accumulate: number of micro-batches per device over which gradients are accumulated.
        steps_per_call: largest number of steps of a dispatch. None means 256, or fewer (at least
            8) if the batches of 256 steps are read from disk and larger than 32 MiB.
        checkpoints: checkpoints of the run; None saves no checkpoints.
        checkpoint_every: number of steps between checkpoints; the last step is always saved.
        saved: function that returns the pytree of arrays to save for a state. It is called at
            each checkpoint, after the `on_chunk` of that step, and may add the caller's own state.
        on_chunk: function called after each dispatch with its metrics and the state; the run
            ends if it returns True.
        every: a dispatch ends at each multiple of this number of steps (for validation).
        stop: function called after each dispatch; if it returns True, the state is saved and
            `Stopped` is raised.
        precision: precision of matrix products, see `make_step`.
        assemble: see `make_step`; used on TPUs only, which select rows slowly inside of loops.

    Returns:
        The last state, replicated over the mesh.

    Raises:
        NonFinite: A loss or gradient is not finite. The error holds the parameters of the last
            finite loss. If there are `checkpoints`, the state before the failed step is saved.
        Stopped: `stop` returned True. If there are `checkpoints`, the state is saved.
        FlowjaxError: `batch_size` is not a multiple of devices and micro-batches, the optimizer
            cannot update the parameters, or the processes start from different steps.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowjax.data.arrays import ArraySource
        >>> from flowjax.training.step import init_state
        >>> def loss(params, resident, batch, key):
        ...     return jnp.square(params - resident["x"][batch["rows"]]).mean(), {}
        >>> source, sgd = ArraySource(np.ones((8, 1))), optax.sgd(0.25)
        >>> options = dict(steps=3, batch_size=8, seed=0, mesh=devices.make_mesh(1))
        >>> float(train(loss, sgd, init_state(jnp.zeros(()), sgd), source, **options).params)
        0.875
    """
    mesh = mesh or devices.make_mesh()
    devices.check_batch(batch_size, mesh, accumulate)
    assemble = assemble if mesh.devices.flat[0].platform == "tpu" else None
    options: Any = {"accumulate": accumulate, "precision": precision, "assemble": assemble}
    call = devices.data_parallel(make_step(loss, optimizer, seed=seed, **options), mesh, mapping)
    length = steps_per_call or max_steps(source, batch_size, assembled=assemble is not None)
    # The calls free the buffers of the state, which the caller and other leaves may share.
    state = devices.replicate(jax.tree.map(lambda x: jnp.array(x, copy=True), state), mesh)
    resident = devices.replicate(source.resident, mesh)
    plan = Plan(steps, (checkpoint_every if checkpoints else 0, every or 0), length)
    read = batch_reader(source, mesh, plan, batch_size=batch_size, seed=seed)
    at, pace = _common_step(state), 1

    def save(wait: bool) -> None:
        if checkpoints:
            checkpoints.save(at, saved(state), wait=wait)

    def again(state: TrainState, start: int, stop: int) -> TrainState:
        while start < stop:
            until, batches = read(start, stop - start)
            n = devices.replicate(np.int32(until - start), mesh)
            state, start = call(state, (resident, n), batches)[0], until
        return state

    snapshots = Snapshots(at, state)
    with ThreadPoolExecutor(1) as pool:
        if at < steps:
            ahead = pool.submit(read, at, pace)
            n = devices.replicate(np.int32(0), mesh)
            call = devices.compile_together(call, state, (resident, n), ahead.result()[1])
        while at < steps:
            began = time.perf_counter()
            until, batches = ahead.result()
            n = devices.replicate(np.int32(until - at), mesh)
            state, metrics = call(state, (resident, n), batches)
            if until < steps:
                ahead = pool.submit(read, until, pace)  # reads while the devices compute
            chunk = _fetch(metrics, at, began)
            at = chunk.stop
            if at < until:
                save(wait=True)
                loss_, norm = (chunk.metrics[name][-1] for name in ("loss", "grad_norm"))
                kept = checkpoints.place(at) if checkpoints else None
                good = devices.to_host(snapshots.before(at, again).params)
                raise NonFinite(at, f"loss {loss_}, gradient norm {norm}", good, kept)
            ended = bool(on_chunk(chunk, state)) if on_chunk else False
            # Clocks and signals differ between processes: all processes use the smallest pace, and
            # all processes stop, or copy the state, if one process does.
            pace = plan.pace(at - chunk.start, chunk.seconds)
            snapshots.drop(at)
            votes = processes.gather([pace, ended, stop(), snapshots.due])
            pace = int(votes[:, 0].min())
            ended, stopped = bool(votes[:, 1].any()), bool(votes[:, 2].any())
            if votes[:, 3].any():
                snapshots.add(at, state)
            last = at == steps or ended or stopped
            if checkpoints and (last or at % checkpoint_every == 0):
                save(wait=last)
            if stopped:
                raise Stopped(at, devices.to_host(state.params))
            if ended:
                break
    return state


def _common_step(state: TrainState) -> int:
    """Returns the step of the state; raises FlowjaxError if it differs between processes."""
    step = int(devices.to_host(state.step))
    if len(starts := np.unique(processes.gather([step]))) > 1:
        raise FlowjaxError(
            f"processes: expected the same step on all processes, got {starts.tolist()}; put the "
            "checkpoint folder on a file system that all processes share"
        )
    return step


def _fetch(metrics: dict[str, jax.Array], start: int, began: float) -> Chunk:
    """Waits for a dispatch and returns its metrics, including the metrics of a failed step."""
    host = devices.to_host(metrics)
    seconds = time.perf_counter() - began
    done, ran = int(host.pop("done")), int(host.pop("ran"))
    return Chunk(start, start + done, {k: v[:ran] for k, v in host.items()}, seconds)
