"""The processes of a job: how they find each other, what they tell each other, how they end.

On one process everything here is there and does nothing: no other code asks how many there are.
`initialize` lets `jax.distributed` find the cluster; `gather` is how the processes agree; one that
dies ends the others, with `LostProcess` or with the line of jax's coordinator.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

# A process that is silent for so long counts as dead, and ends the others.
HEARTBEAT_SECONDS = 30
# How long after an error process 0 leaves a job of several.
LAST_SECONDS = 1.0
# What the collectives' libraries and jax's coordinator say of a process that does not answer, and
# how jax's own errors about one begin. Names of files are left out before: they may say anything.
_WITH_OTHERS = re.compile(r"\b(gloo|nccl|barrier|coordination|heartbeat)", re.IGNORECASE)
_GONE = re.compile("UNAVAILABLE|ABORTED|CANCELLED|DEADLINE_EXCEEDED")
_FILES = re.compile(r"'[^']*'|/\S+")


class LostProcess(ConnectionError):
    """Another process of the job died or left; the last checkpoint is what a restart needs."""


def launched(environment: Mapping[str, str]) -> dict[str, Any] | None:
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
    with together():
        got = multihost_utils.process_allgather(sent)

    def of(i: int) -> Any:
        return jax.tree.map(
            lambda x, rows: np.frombuffer(rows[i].tobytes(), x.dtype).reshape(x.shape), mine, got
        )

    return [of(i) for i in range(jax.process_count())]


@contextmanager
def together() -> Iterator[None]:
    """Around work that all processes do together: one that is gone is said as `LostProcess`.

    jax raises a collective that failed as `JaxRuntimeError`, or as a plain `ValueError` where it
    failed before the call came back; orbax as whatever its barrier raised.

    Raises:
        LostProcess: one is gone; every other error, and all with one process, stay what they are.

    Example:
        >>> with together():
        ...     pass
    """
    try:
        yield
    except (ValueError, RuntimeError, OSError) as error:
        if not several() or not _means_lost(error):
            raise
        raise LostProcess(
            "another process of this job died or left; start all of them again to go on from the "
            f"last checkpoint ({first_line(error)})"
        ) from error


def _means_lost(error: BaseException | None) -> bool:
    """Whether an error, or one that it comes from, is of a collective or of jax's coordinator."""
    while error is not None:
        own = isinstance(error, OSError) and error.errno is not None  # a full disk, say
        if isinstance(error, LostProcess):
            return True
        if not own and _WITH_OTHERS.search(_FILES.sub("", str(error))):
            return True
        if isinstance(error, jax.errors.JaxRuntimeError) and _GONE.match(str(error)):
            return True
        error = error.__cause__
    return False


def first_line(error: BaseException) -> str:
    """The first line of an error: those of XLA and tensorstore run to pages."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
