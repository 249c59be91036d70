"""Measurements of the machine, and the tests that compare it with the CPU."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import partial
from pathlib import Path

from accelerator_cells.measure import Results, Size, product_rate, timed

ROOT = Path(__file__).resolve().parents[2]


def machine(size: Size) -> Results:
    import flax
    import jax
    import jax.numpy as jnp

    device = jax.devices()[0]
    yield (
        "versions",
        {
            "device": device.device_kind,
            "platform": device.platform,
            "devices": jax.device_count(),
            "jax": jax.__version__,
            "flax": flax.__version__,
            "python": platform.python_version(),
            "cores": os.cpu_count(),
        },
    )
    n, seconds = size["matmul"], size["seconds"]
    for dtype, precision in (
        ("bfloat16", None),
        ("float32", None),
        ("float32", "highest"),
    ):
        rate = product_rate(n, jnp.dtype(dtype), precision, seconds)
        name = f"product {n}, {dtype}, {precision or 'default'} precision"
        yield name, {"TFLOP/s": rate}
    x = jax.random.normal(jax.random.key(0), (size["copy"] // 4,))
    copied = timed(partial(jax.jit(jnp.negative), x), seconds)
    yield "copy, read and written", {"GB/s": 2 * x.nbytes / copied["ms"] / 1e6}


def tests(size: Size) -> Results:
    """The tests that compare the accelerator with the CPU."""
    options = "-v -n 4 -o addopts= -p no:cacheprovider -m gpu -W ignore --tb=line".split()
    changes = {
        "JAX_PLATFORMS": "",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "0",  # as users run; tests/conftest.py sets 1
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # four processes share the memory
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, str(ROOT / "tests" / "gpu")],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT,
        env=os.environ | changes,
    )  # fmt: skip
    assert process.stdout is not None
    line = ""
    for line in map(str.strip, process.stdout):
        if line.startswith("[gw"):
            _, outcome, test = line.rsplit(maxsplit=2)
            yield test.partition("::")[2], {"outcome": outcome}
        elif " Error" in line or "Error:" in line or "assert" in line:
            yield "error", {"outcome": line[:300]}
    yield "summary", {"outcome": line.strip("= "), "exit": process.wait()}
