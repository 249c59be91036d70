"""Communication between the processes of a job, and errors about a peer process that died.

All functions also work in a job of one process, where they return immediately, so that other code
does not distinguish the two cases. If a process dies, the other processes end with `LostProcess`
or with the message of JAX's coordinator.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from flowjax.errors import first_line

# Patterns of errors that an unresponsive process causes: messages of collectives and of the JAX
# coordinator, and JAX status codes. File names may contain these words and are removed first.
_COLLECTIVE = re.compile(r"\b(gloo|nccl|barrier|coordination|heartbeat)", re.IGNORECASE)
_NO_ANSWER = re.compile("UNAVAILABLE|ABORTED|CANCELLED|DEADLINE_EXCEEDED")
_FILE_NAMES = re.compile(r"'[^']*'|/\S+")


class LostProcess(ConnectionError):
    """Error raised when a peer process of the job died or exited.

    A restarted job resumes from the last checkpoint.
    """


def several() -> bool:
    """Returns True in a job of several processes; otherwise does not initialize the devices."""
    return jax.distributed.is_initialized() and jax.process_count() > 1


def is_first() -> bool:
    """Returns True on process 0, which writes the shared files."""
    return not several() or jax.process_index() == 0


@contextmanager
def first_alone() -> Iterator[bool]:
    """Context manager that runs its block on process 0 first, then on the other processes.

    Use it for shared files: process 0 writes them, and the other processes read them.

    Yields:
        True on process 0.

    Raises:
        LostProcess: Process 0 failed in the block.
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
    """Returns `(i, k)`: the index of this process's shard, and the number of shards.

    Example:
        >>> shard()
        (0, 1)
    """
    return (jax.process_index(), jax.process_count()) if several() else (0, 1)


def gather(values: Sequence[int]) -> np.ndarray:
    """Returns the values of all processes, an int32 array of shape `(processes, len(values))`.

    Raises:
        LostProcess: A peer process died.

    Example:
        >>> gather([3, True]).tolist()
        [[3, 1]]
    """
    return np.stack(gather_arrays(np.asarray(values, np.int32)))


def gather_arrays(tree: Any) -> list[Any]:
    """Returns the arrays of all processes, bitwise equal on each process.

    Args:
        tree: pytree of host arrays, with the same shapes and dtypes on all processes.

    Returns:
        One pytree for each process, in the order of the processes.

    Raises:
        LostProcess: A peer process died.

    Example:
        >>> gather_arrays({"third": np.array(1 / 3)})
        [{'third': array(0.33333333)}]
    """
    if not several():
        return [tree]
    mine = jax.tree.map(np.asarray, tree)
    # Sent as bytes, because JAX would round float64 to float32.
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

    The context manager converts the errors of a failed collective, which are `JaxRuntimeError` or,
    before the call has returned, `ValueError`, and the errors of Orbax's barriers.

    Raises:
        LostProcess: A peer process died. Other errors, and all errors in a job of one process,
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
