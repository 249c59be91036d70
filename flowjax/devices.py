"""The only file that names devices: the mesh, and the map of a per-device step over it.

A step is written once, for one device's share of the rows, with collectives over the axis
`"data"`. `data_parallel` maps it over the devices by `jit` of `jax.shard_map` (the default) or by
`jax.pmap`; both give the same numbers. Several processes need no other code: `initialize` lets
`jax.distributed` find the cluster, and every array here is made from each process's own rows.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as Environment
from contextlib import contextmanager
from typing import Any, Literal

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = "data"
Mapping = Literal["shard_map", "pmap"]
# A process that is silent for so long counts as dead, and ends the others.
HEARTBEAT_SECONDS = 30
# How long after an error process 0 leaves a job of several.
LAST_SECONDS = 1.0


class LostProcess(ConnectionError):
    """Another process of the job died or left; the last checkpoint is what a restart needs."""


def launched(environment: Environment[str, str]) -> dict[str, Any] | None:
    """What a launcher's environment says about the processes of a job.

    Args:
        environment: `os.environ`.

    Returns:
        Keyword arguments of `jax.distributed.initialize` (what is left out it finds by itself),
        or None for a process on its own.

    Raises:
        ValueError: a number that is none.

    Example:
        >>> launched({"JAX_COORDINATOR_ADDRESS": "a:1", "JAX_NUM_PROCESSES": "2"})
        {'coordinator_address': 'a:1', 'num_processes': 2}
        >>> launched({"SLURM_NTASKS": "4", "SLURM_STEP_NODELIST": "node[1-4]"})
        {}
        >>> launched({"SLURM_NTASKS": "4"}) is None  # in the batch script, outside srun
        True
    """
    if address := environment.get("JAX_COORDINATOR_ADDRESS"):
        found: dict[str, Any] = {"coordinator_address": address}
        for name in ("num_processes", "process_id"):
            if text := environment.get(f"JAX_{name.upper()}"):
                if not text.isdecimal():
                    raise ValueError(f"JAX_{name.upper()}: expected a number, got {text!r}")
                found[name] = int(text)
        if len(found) == 3:  # nothing to detect
            found["cluster_detection_method"] = "deactivate"
        return found
    slurm = "SLURM_STEP_NODELIST" in environment and environment.get("SLURM_NTASKS", "1") != "1"
    mpi = environment.get("OMPI_COMM_WORLD_SIZE", "1") != "1"
    pod = "," in environment.get("TPU_WORKER_HOSTNAMES", "")
    return {} if slurm or mpi or pod or environment.get("FLOWJAX_DISTRIBUTED") else None


def initialize() -> None:
    """Joins the processes that a launcher started, if one did; else does nothing.

    Slurm (`srun`), Open MPI and TPU pods on GKE are recognised; `FLOWJAX_DISTRIBUTED=1` asks
    `jax.distributed` to look for what else it knows (Kubernetes jobs, TPU VMs); elsewhere set
    `JAX_COORDINATOR_ADDRESS`, `JAX_NUM_PROCESSES` and `JAX_PROCESS_ID`. When a process of the job
    dies the others are ended within a minute. To be called before anything else of jax.

    Raises:
        ValueError: the environment does not say who the processes are.
        LostProcess: they did not find each other.
    """
    if jax.distributed.is_initialized() or (found := launched(os.environ)) is None:
        return
    before = sys.excepthook

    def end(*what: Any) -> None:
        before(*what)
        leave(1)

    sys.excepthook = end
    try:
        jax.distributed.initialize(
            **found,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            initialization_timeout=int(os.environ.get("FLOWJAX_START_SECONDS", "300")),
        )
    except ValueError as error:
        raise ValueError(
            f"several processes: expected JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and "
            f"JAX_PROCESS_ID, or a cluster that jax knows: {error}"
        ) from None
    except jax.errors.JaxRuntimeError as error:
        raise LostProcess(f"several processes: no connection: {first_line(error)}") from None
    # Gloo connects in the first collective and waits 30 s there, in later ones far longer: all
    # come to this one together, and may then be as different in speed as they like.
    gather([0])


def leave(code: int) -> None:
    """Ends this process at once, if it is one of several, as one that failed.

    An ordinary exit would first wait for the others, who wait for this one in the next step.
    Process 0 goes last: the others end with it, and where all fail for the same reason each of
    them has its own exit code.
    """
    if jax.distributed.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        if is_first():
            time.sleep(LAST_SECONDS)
        os._exit(code)


def several() -> bool:
    """Whether this is one of several processes; asks for no device where there is one."""
    return jax.distributed.is_initialized() and jax.process_count() > 1


def is_first() -> bool:
    """Whether this process writes the files that a job has one of."""
    return not several() or jax.process_index() == 0


@contextmanager
def first_alone() -> Iterator[bool]:
    """Process 0 runs the block before all others do; yields whether this is process 0.

    For files that a job has one of: process 0 makes them, the others find them. Where process 0
    fails the others are told.

    Raises:
        LostProcess: process 0 failed in the block.
    """
    if not several():
        yield True
    elif is_first():
        done = False
        try:
            yield True
            done = True
        finally:
            gather([done])
    else:
        if not gather([True]).all():
            raise LostProcess("process 0 of this job stopped with an error; it has said which")
        yield False


def share() -> tuple[int, int]:
    """Which part of a job's work is this process's: `(i, k)`, part i of k.

    Example:
        >>> share()
        (0, 1)
    """
    return (jax.process_index(), jax.process_count()) if several() else (0, 1)


def gather(values: Sequence[int]) -> np.ndarray:
    """What each process says: `(processes, len(values))` int32.

    Raises:
        LostProcess: one is gone.

    Example:
        >>> gather([3, True]).tolist()
        [[3, 1]]
    """
    return np.stack(gather_arrays(np.asarray(values, np.int32)))


def gather_arrays(tree: Any) -> list[Any]:
    """What each process has, in the processes' order; all get the same bits.

    Args:
        tree: of host arrays, of the same shapes and types on all processes.

    Returns:
        Such a tree for each process.

    Raises:
        LostProcess: one is gone.

    Example:
        >>> gather_arrays({"third": np.array(1 / 3)})
        [{'third': array(0.33333333)}]
    """
    if not several():
        return [tree]
    mine = jax.tree.map(np.asarray, tree)
    # As bytes: jax would round float64 on the way.
    sent = jax.tree.map(lambda x: np.frombuffer(x.tobytes(), np.uint8), mine)
    try:
        got = multihost_utils.process_allgather(sent)
    except jax.errors.JaxRuntimeError as error:
        raise _lost(error) from error

    def of(i: int) -> Any:
        return jax.tree.map(
            lambda x, rows: np.frombuffer(rows[i].tobytes(), x.dtype).reshape(x.shape), mine, got
        )

    return [of(i) for i in range(jax.process_count())]


def make_mesh(devices: Sequence[jax.Device] | int | None = None) -> Mesh:
    """A one-axis mesh over the devices.

    Args:
        devices: the devices, how many of the visible ones, or None for all (every process's).

    Raises:
        ValueError: more devices are asked for than there are, or a process has none of them.
    """
    visible = jax.devices()
    if isinstance(devices, int):
        if not 1 <= devices <= len(visible):
            raise ValueError(f"devices: expected 1 to {len(visible)} (visible), got {devices}")
        devices = visible[:devices]
    chosen = visible if devices is None else devices
    if idle := {d.process_index for d in visible} - {d.process_index for d in chosen}:
        raise ValueError(f"devices: expected some of every process, got none of {sorted(idle)}")
    return Mesh(np.array(list(chosen)), (AXIS,))


def local_mesh() -> Mesh:
    """A one-axis mesh over this process's own devices, for work that it does by itself."""
    return Mesh(np.array(jax.local_devices()), (AXIS,))


def check_batch(batch_size: int, mesh: Mesh, accumulate: int = 1) -> None:
    """Refuses a global batch that devices (and accumulated parts) cannot share equally."""
    parts = mesh.size * accumulate
    if batch_size % parts:
        raise ValueError(
            f"batch_size: expected a multiple of {parts} ({mesh.size} devices x {accumulate} "
            f"accumulated), got {batch_size}"
        )


def local_rows(batch_size: int, mesh: Mesh) -> slice:
    """This process's share of a global batch's rows: what it has to read."""
    mine = [i for i, d in enumerate(mesh.devices.flat) if d.process_index == jax.process_index()]
    if not mine:
        return slice(0, 0)
    per_device = batch_size // mesh.size
    return slice(mine[0] * per_device, (mine[-1] + 1) * per_device)


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Copies a host tree to every device of the mesh."""
    sharding = NamedSharding(mesh, PartitionSpec())
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)

    def place(x: Any) -> jax.Array:
        host = np.asarray(x)
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    return jax.tree.map(place, tree)


def shard_rows(tree: Any, mesh: Mesh, axis: int = 0) -> Any:
    """Places this process's rows (along `axis`) on its devices, as one global array."""
    sharding = NamedSharding(mesh, PartitionSpec(*[None] * axis, AXIS))
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, x), tree)


def mean(tree: Any) -> Any:
    """The mean over all devices, inside of a mapped step; XLA would copy what a single one has."""
    return tree if jax.lax.axis_size(AXIS) == 1 else jax.lax.pmean(tree, AXIS)


def to_host(tree: Any) -> Any:
    """Copies a replicated tree to NumPy, from this process's first device.

    Raises:
        LostProcess: another process died during the step that makes it.
    """
    try:
        return jax.tree.map(lambda x: np.asarray(x.addressable_data(0)), tree)
    except jax.errors.JaxRuntimeError as error:
        if several():
            raise _lost(error) from error
        raise


def _lost(error: BaseException) -> LostProcess:
    return LostProcess(
        "another process of this job died or left; start all of them again to go on from the "
        f"last checkpoint ({first_line(error)})"
    )


def first_line(error: BaseException) -> str:
    """The first line of an error: those of XLA and tensorstore run to pages."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def compile_together(call: Callable[..., Any], *args: Any) -> Callable[..., Any]:
    """Compiles a jitted function for these arguments where there are several processes.

    Those that are slow at it are waited for: see `initialize`.
    """
    if not several():
        return call
    compiled = call.lower(*args).compile()  # type: ignore[attr-defined]
    gather([0])
    return compiled


def data_parallel(
    step: Callable[..., tuple[Any, Any]], mesh: Mesh, mapping: Mapping = "shard_map"
) -> Callable[..., tuple[Any, Any]]:
    """Maps a per-device step over the mesh.

    Args:
        step: `step(state, resident, batch) -> (state, metrics)` for one device; its collectives
            name the axis `"data"`. `state` and `metrics` are equal on all devices.
        mesh: from `make_mesh`.
        mapping: `"shard_map"` or `"pmap"`.

    Returns:
        A jitted function of the same signature over global arrays: `state` and `resident`
        replicated, `batch` `(k, rows, ...)` split along its rows. `state` is donated.
    """
    if mapping == "shard_map":
        spec, rows = PartitionSpec(), PartitionSpec(None, AXIS)
        mapped = jax.shard_map(
            step, mesh=mesh, in_specs=(spec, spec, rows), out_specs=(spec, spec), check_vma=False
        )
        return jax.jit(mapped, donate_argnums=0)
    if mapping == "pmap":
        if jax.process_count() > 1:
            raise ValueError("mapping: expected 'shard_map' for several processes, got 'pmap'")
        return _pmapped(step, mesh)
    raise ValueError(f"mapping: expected 'shard_map' or 'pmap', got {mapping!r}")


def _pmapped(step: Callable[..., tuple[Any, Any]], mesh: Mesh) -> Callable[..., tuple[Any, Any]]:
    """`jax.pmap` behind the same doors: replicated state in and out, rows split along axis 1."""
    size, devices = mesh.size, list(mesh.devices.flat)
    mapped = jax.pmap(step, AXIS, in_axes=(None, None, 1), out_axes=None, devices=devices)

    def split(x: jax.Array) -> jax.Array:
        return x.reshape(x.shape[0], size, x.shape[1] // size, *x.shape[2:])

    def run(state: Any, resident: Any, batch: Any) -> tuple[Any, Any]:
        return replicate(mapped(state, resident, jax.tree.map(split, batch)), mesh)

    return run
