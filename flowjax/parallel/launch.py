"""Start-up and exit of the processes of a distributed job."""

from __future__ import annotations

import ipaddress
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

import jax

from flowjax.errors import FlowjaxError, first_line
from flowjax.parallel.processes import LostProcess, gather, is_first

# JAX ends the other processes if one process sends no heartbeat for this time.
HEARTBEAT_SECONDS = 30
# Time that process 0 waits before it exits, see `leave`.
EXIT_DELAY_SECONDS = 1.0


def launched(environment: Mapping[str, str]) -> dict[str, Any] | None:
    """Returns the arguments of `jax.distributed.initialize` from the launcher's environment.

    Args:
        environment: `os.environ`.

    Returns:
        Keyword arguments of `jax.distributed.initialize`, which detects missing arguments; None
        for a job of one process.

    Raises:
        FlowjaxError: A variable is not a number.

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
        # By default, JAX's coordinator listens on all network interfaces.
        if _is_loopback(address) and "JAX_COORDINATOR_BIND_ADDRESS" not in environment:
            found["coordinator_bind_address"] = address
        if {"num_processes", "process_id"} <= {*found}:  # nothing to detect
            found["cluster_detection_method"] = "deactivate"
        return found
    slurm = "SLURM_STEP_NODELIST" in environment and environment.get("SLURM_NTASKS", "1") != "1"
    mpi = environment.get("OMPI_COMM_WORLD_SIZE", "1") != "1"
    pod = "," in environment.get("TPU_WORKER_HOSTNAMES", "")
    return {} if slurm or mpi or pod or environment.get("FLOWJAX_DISTRIBUTED") else None


def _is_loopback(address: str) -> bool:
    """Returns True if the host of `HOST:PORT` is this machine's loopback interface.

    The addresses of other interfaces are not bound: a host name may resolve to another address on
    the host itself, and the address of a gateway cannot be bound.
    """
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a host name
        return False


def initialize() -> None:
    """Connects the processes of a job; does nothing if no launcher started several processes.

    Slurm (`srun`), Open MPI and TPU pods on GKE are recognised. `FLOWJAX_DISTRIBUTED=1` lets
    `jax.distributed` detect other clusters (Kubernetes jobs, TPU VMs). Otherwise, set
    `JAX_COORDINATOR_ADDRESS`, `JAX_NUM_PROCESSES` and `JAX_PROCESS_ID`. If a process dies, the
    other processes end within a minute. Call this function before any other function of JAX.

    Raises:
        FlowjaxError: The environment variables do not describe the job.
        LostProcess: The processes could not connect.
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
            f"JAX_PROCESS_ID, or a cluster that JAX detects, got: {error}"
        ) from None
    except jax.errors.JaxRuntimeError as error:
        raise LostProcess(f"several processes: no connection: {first_line(error)}") from None
    # Connects Gloo now, so that a missing process fails after 30 s; later timeouts are far longer.
    gather([0])


def leave(code: int) -> None:
    """Exits immediately with an exit code; returns if there is only one process.

    A normal exit would wait for the peer processes, which wait for this process in a collective.
    Process 0 waits for a second first, because its exit ends the other processes. If all processes
    fail for the same reason, each process thus exits with its own code.
    """
    if jax.distributed.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        if is_first():
            time.sleep(EXIT_DELAY_SECONDS)
        os._exit(code)
