"""Evaluation in blocks (`flowjax/flows/blocks.py`) against evaluation of all examples at once.

    python benchmarks/blocks.py

Prints medians over interleaved calls of one process, and their ratio, for recipes at default size.
"""

from __future__ import annotations

import time

import jax
import numpy as np

from flowjax import flows
from flowjax.flows import blocks

ROWS, ROUNDS = 4096, 40


def program(name: str, dim: int, call: str, block: int):
    """A compiled call of a flow at its default size, in blocks of so many numbers."""
    blocks.BLOCK = block
    flow = flows.make(name, dim, **({"latent_power": None} if name == "glow" else {}))
    x = np.random.default_rng(0).normal(size=(ROWS, dim)).astype(np.float32)
    params = jax.tree.map(lambda leaf: leaf + 0.01, flow.init(jax.random.key(0), x[:256]))
    if call == "sample":
        compiled = jax.jit(lambda p, key: flow.sample(p, key, ROWS)).lower(
            params, jax.random.key(0)
        )
        return compiled.compile(), (params, jax.random.key(0))
    return jax.jit(getattr(flow, call)).lower(params, x).compile(), (params, x)


def main() -> None:
    print("| flow | call | at once, ms | in blocks, ms | ratio |\n|---|---|---:|---:|---:|")
    for name, dim in (("glow", 768), ("realnvp", 768), ("glow", 256), ("neural_spline", 64)):
        for call in ("log_prob", "sample"):
            programs = [program(name, dim, call, size) for size in (1 << 40, 1 << 19)]
            times: list[list[float]] = [[], []]
            for _ in range(ROUNDS):
                for seconds, (compiled, arguments) in zip(times, programs, strict=True):
                    start = time.perf_counter()
                    jax.block_until_ready(compiled(*arguments))
                    seconds.append(time.perf_counter() - start)
            whole, parts = (1e3 * np.median(seconds) for seconds in times)
            print(f"| {name} {dim} | {call} | {whole:.1f} | {parts:.1f} | {parts / whole:.2f} |")


if __name__ == "__main__":
    main()
