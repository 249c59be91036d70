"""The floor of RealNVP: its matrix products alone, in `jax` or in `torch`; no bias, no Adam."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import version

import cells
import numpy as np


def forward(x, layers):
    """Returns what the products of each net give; `@` is jax's or torch's."""
    outs = []
    for a, b, c in layers:
        h = x @ a
        k = h @ b
        outs.append((h, k, k @ c))
    return outs


def backward(x, layers, outs):
    """Returns the gradients of the weights (and of the inputs, which a coupling needs too)."""
    grads = []
    for (h, k, out), (a, b, c) in zip(outs, layers):
        dk = out @ c.T
        dh = dk @ b.T
        grads += [k.T @ out, h.T @ dk, x.T @ dh, dh @ a.T]
    return grads


def build(name: str, cell: dict[str, int], task: str) -> tuple[Callable[[], float], int, int]:
    cells.only_couplings(cell)
    if "levels" in cell or task not in ("step", "logp", "sample"):
        raise cells.NotThere("overhead and memory traffic decide")
    rng, half, h = np.random.default_rng(0), cell["D"] // 2, cell["H"]

    def draw(n: int, m: int) -> np.ndarray:
        return (rng.standard_normal((n, m)) * n**-0.5).astype(np.float32)

    shapes = [(half, h), (h, h), (h, 2 * half)]
    layers = [tuple(draw(*shape) for shape in shapes) for _ in range(cell["L"])]
    x = draw(cell["B"] if task == "step" else cells.ROWS, half)
    size = sum(w.size for layer in layers for w in layer)

    def products(x, layers):
        outs = forward(x, layers)
        return backward(x, layers, outs) if task == "step" else [out for _, _, out in outs]

    if name == "jax":
        import jax

        x, layers = jax.device_put((x, layers))
        f = jax.jit(products)
        return lambda: float(jax.block_until_ready(f(x, layers))[0][0, 0]), size, 1
    import torch

    torch.set_num_threads(2)
    x, layers = torch.from_numpy(x), [[torch.from_numpy(w) for w in layer] for layer in layers]

    @torch.no_grad()
    def call() -> float:
        return float(products(x, layers)[0][0, 0])

    return call, size, 1


if __name__ == "__main__":
    cells.serve(build, {sys.argv[1]: version(sys.argv[1])})
