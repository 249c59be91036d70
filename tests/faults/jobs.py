"""Functions that start the command in one or several new processes.

Time limits end a test that hangs. They are generous, because other work may run on the machine.
"""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from devices import xla_flags

ROOT = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name("worker.py")
FLOW = ["--flow.name", "realnvp", "--flow.depth", "2", "--flow.width", "8"]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def write_rows(path, n=500, dim=4):
    rng = np.random.default_rng(0)
    np.save(path, (rng.normal(size=(n, dim)) @ rng.normal(size=(dim, dim))).astype(np.float32))
    return path


def flags(table, **values):
    """Returns the flags `--table.some-name value` for `some_name=value`."""
    return [w for k, v in values.items() for w in (f"--{table}.{k.replace('_', '-')}", str(v))]


def start(folder, args, count=1, devices=1, pause=0.0):
    """Starts processes 0 to `count - 1` of a job; process N writes its log to `folder/N.log`."""
    folder.mkdir(parents=True, exist_ok=True)
    port, processes = free_port(), []
    for i in range(count):
        env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": xla_flags(devices),
            "XDG_CACHE_HOME": str(folder.parent / "cache"),
        }
        if count > 1:
            env |= {
                "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}",
                "JAX_NUM_PROCESSES": str(count),
                "JAX_PROCESS_ID": str(i),
            }
        command = [sys.executable, WORKER, folder / f"{i}", pause, *args]
        with (folder / f"{i}.log").open("a") as log:
            processes.append(
                subprocess.Popen(list(map(str, command)), stdout=log, stderr=log, env=env)
            )
    return processes


def finish(processes, seconds=600):
    """Waits for the processes and returns their exit codes."""
    try:
        return [process.wait(seconds) for process in processes]
    finally:
        for process in processes:
            process.kill()


def newest(run):
    """Returns the newest finished checkpoint of a run folder; -1 if there is none."""
    from flowjax.training.checkpoint import saved_steps

    return max(saved_steps(run / "checkpoints"), default=-1)


def until(condition, processes=(), seconds=400):
    """Waits for a condition; fails if a process ends before."""
    end = time.monotonic() + seconds
    while not condition():
        assert all(p.poll() is None for p in processes), "a process ended before it was killed"
        assert time.monotonic() < end, f"the condition was not met in {seconds} s"
        time.sleep(0.02)


def params(run, file="flow.safetensors"):
    from safetensors.numpy import load_file

    return load_file(run / "model" / file)
