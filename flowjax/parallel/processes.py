"""Processes of a distributed job: start-up, communication, and the death of a peer process.

All functions also work in a job of one process, where they return at once, so that other code
does not distinguish the two cases. `initialize` connects the processes by `jax.distributed`, and
`gather` exchanges values. If a process dies, the others end with `LostProcess` or with the
message of JAX's coordinator.
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

from flowjax.errors import FlowjaxError

# JAX ends the other processes if one sends no heartbeat for this long.
HEARTBEAT_SECONDS = 30
# Time that process 0 waits before it exits, see `leave`.
EXIT_DELAY_SECONDS = 1.0
# Words in errors of collectives and of JAX's coordinator, and first words of JAX's own errors,
# about a process that does not answer. File names are removed first: they may contain any word.
_COLLECTIVE = re.compile(r"\b(gloo|nccl|barrier|coordination|heartbeat)", re.IGNORECASE)
_NO_ANSWER = re.compile("UNAVAILABLE|ABORTED|CANCELLED|DEADLINE_EXCEEDED")
_FILE_NAMES = re.compile(r"'[^']*'|/\S+")


class LostProcess(ConnectionError):
    """Death or exit of a peer process of the job; a restart resumes from the last checkpoint."""


def launched(environment: Mapping[str, str]) -> dict[str, Any] | None:
    """Returns how to initialize `jax.distributed`, from a launcher's environment variables.

    Args:
        environment: `os.environ`.

    Returns:
        Keyword arguments of `jax.distributed.initialize`, which detects the missing ones; None
        for a job of one process.

    Raises:
        FlowjaxError: a variable is not a number.

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
                    raise FlowjaxError(f"JAX_{name.upper()}: expected a number, got {text!r}")
                found[name] = int(text)
        if len(found) == 3:  # nothing to detect
            found["cluster_detection_method"] = "deactivate"
        return found
    slurm = "SLURM_STEP_NODELIST" in environment and environment.get("SLURM_NTASKS", "1") != "1"
    mpi = environment.get("OMPI_COMM_WORLD_SIZE", "1") != "1"
    pod = "," in environment.get("TPU_WORKER_HOSTNAMES", "")
    return {} if slurm or mpi or pod or environment.get("FLOWJAX_DISTRIBUTED") else None


def initialize() -> None:
    """Connects the processes of a job; does nothing if no launcher started several processes.

    Slurm (`srun`), Open MPI and TPU pods on GKE are recognised. `FLOWJAX_DISTRIBUTED=1` lets
    `jax.distributed` detect other clusters (Kubernetes jobs, TPU VMs). Elsewhere, set
    `JAX_COORDINATOR_ADDRESS`, `JAX_NUM_PROCESSES` and `JAX_PROCESS_ID`. If a process dies, the
    others end within a minute. Call this function before any other function of JAX.

    Raises:
        FlowjaxError: the environment variables do not describe the job.
        LostProcess: the processes could not connect.
    """
    if jax.distributed.is_initialized() or (found := launched(os.environ)) is None:
        return
    before = sys.excepthook

    def print_and_leave(*error: Any) -> None:
        before(*error)
        leave(1)

    sys.excepthook = print_and_leave
    try:
        jax.distributed.initialize(
            **found,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            initialization_timeout=int(os.environ.get("FLOWJAX_START_SECONDS", "300")),
        )
    except ValueError as error:
        raise FlowjaxError(
            f"several processes: expected JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and "
            f"JAX_PROCESS_ID, or a cluster that JAX detects: {error}"
        ) from None
    except jax.errors.JaxRuntimeError as error:
        raise LostProcess(f"several processes: no connection: {first_line(error)}") from None
    # Gloo connects in the first collective, with a timeout of 30 s; later timeouts are far longer.
    gather([0])


def leave(code: int) -> None:
    """Exits immediately with an exit code; returns if there is only one process.

    A normal exit would wait for the peer processes, which wait for this process in a collective.
    Process 0 waits a moment, because its exit ends the others: if all processes fail for the same
    reason, each exits with its own code.
    """
    if jax.distributed.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        if is_first():
            time.sleep(EXIT_DELAY_SECONDS)
        os._exit(code)


def several() -> bool:
    """Returns True in a job of several processes; does not initialize the devices otherwise."""
    return jax.distributed.is_initialized() and jax.process_count() > 1


def is_first() -> bool:
    """Returns True on process 0, which writes the shared files."""
    return not several() or jax.process_index() == 0


@contextmanager
def first_alone() -> Iterator[bool]:
    """Context manager that runs its block on process 0 first, then on the others.

    Use it for shared files: process 0 writes them, and the other processes read them.

    Yields:
        True on process 0.

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
            raise LostProcess("process 0 of this job failed; its log holds the error")
        yield False


def shard() -> tuple[int, int]:
    """Returns `(i, k)`: this process has shard i of k.

    Example:
        >>> shard()
        (0, 1)
    """
    return (jax.process_index(), jax.process_count()) if several() else (0, 1)


def gather(values: Sequence[int]) -> np.ndarray:
    """Returns the values of all processes, an int32 array of shape `(processes, len(values))`.

    Raises:
        LostProcess: a peer process died.

    Example:
        >>> gather([3, True]).tolist()
        [[3, 1]]
    """
    return np.stack(gather_arrays(np.asarray(values, np.int32)))


def gather_arrays(tree: Any) -> list[Any]:
    """Returns the arrays of all processes, the same bits on each.

    Args:
        tree: pytree of host arrays, with the same shapes and dtypes on all processes.

    Returns:
        One pytree for each process, in the order of the processes.

    Raises:
        LostProcess: a peer process died.

    Example:
        >>> gather_arrays({"third": np.array(1 / 3)})
        [{'third': array(0.33333333)}]
    """
    if not several():
        return [tree]
    mine = jax.tree.map(np.asarray, tree)
    # Bytes, because JAX would round float64 to float32.
    sent = jax.tree.map(lambda x: np.frombuffer(x.tobytes(), np.uint8), mine)
    with together():
        got = multihost_utils.process_allgather(sent)

    def received(i: int) -> Any:
        return jax.tree.map(
            lambda x, rows: np.frombuffer(rows[i].tobytes(), x.dtype).reshape(x.shape), mine, got
        )

    return [received(i) for i in range(jax.process_count())]


@contextmanager
def together() -> Iterator[None]:
    """Context manager for collective work; raises `LostProcess` if a peer process died.

    For a failed collective, JAX raises `JaxRuntimeError`, or `ValueError` if the collective fails
    before the call returns. Orbax passes on the error of its barrier.

    Raises:
        LostProcess: a peer process died. Other errors, and all errors in a job of one process,
            pass unchanged.

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
            "another process of this job died or exited; start all processes again to resume from "
            f"the last checkpoint ({first_line(error)})"
        ) from error


def _means_lost(error: BaseException | None) -> bool:
    """Returns True if a collective or JAX's coordinator raised the error or one of its causes."""
    while error is not None:
        system = isinstance(error, OSError) and error.errno is not None  # for example a full disk
        if isinstance(error, LostProcess):
            return True
        if not system and _COLLECTIVE.search(_FILE_NAMES.sub("", str(error))):
            return True
        if isinstance(error, jax.errors.JaxRuntimeError) and _NO_ANSWER.match(str(error)):
            return True
        error = error.__cause__
    return False


def first_line(error: BaseException) -> str:
    """Returns the first line of an error; messages of XLA and tensorstore can fill pages."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
