"""The three calls of a JAX library, the same for ours, distrax and PyPI's flowjax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cells
import jax
import jax.numpy as jnp
import numpy as np
import optax


def rows(n: int, dim: int, seed: int = 1) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal((n, dim)), jnp.float32)


def batches(cell: dict[str, int]) -> list[jax.Array]:
    return [rows(cell["B"], cell["D"], seed) for seed in range(cells.BATCHES)]


def count(params: Any) -> int:
    return sum(int(leaf.size) for leaf in jax.tree.leaves(params))


def step_of(log_prob: Callable, optimizer: optax.GradientTransformation) -> Callable:
    def step(params: Any, state: Any, x: jax.Array) -> tuple[Any, Any, jax.Array]:
        loss, grads = jax.value_and_grad(lambda p: -log_prob(p, x).mean())(params)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, loss

    return step


def calls(
    log_prob: Callable, sample: Callable, params: Any, cell: dict[str, int], task: str
) -> tuple[Callable[[], float], int, int]:
    """`log_prob(params, x)` and `sample(params, key, n)` under jit; params are given away."""
    size = count(params)
    if task == "logp":
        x, f = rows(cells.ROWS, cell["D"]), jax.jit(log_prob)
        return lambda: float(jax.block_until_ready(f(params, x))[0]), size, 1
    if task == "sample":
        key, f = jax.random.key(0), jax.jit(lambda p, k: sample(p, k, cells.ROWS))
        return lambda: float(jax.block_until_ready(f(params, key))[0, 0]), size, 1
    optimizer = optax.adam(cells.LEARNING_RATE)
    step = step_of(log_prob, optimizer)
    data, state = batches(cell), jax.jit(optimizer.init)(params)
    if task == "compile":

        def compile_anew() -> float:
            jax.clear_caches()
            jax.jit(step, donate_argnums=(0, 1)).lower(params, state, data[0]).compile()
            return 0.0

        return compile_anew, size, 1
    jitted, n = jax.jit(step, donate_argnums=(0, 1)), cells.steps_per_call(cell)
    box, turn = [params, state], 0

    def train() -> float:
        nonlocal turn
        for _ in range(n):
            box[0], box[1], loss = jitted(box[0], box[1], data[turn % cells.BATCHES])
            turn += 1
        jax.block_until_ready(box)
        return float(loss)

    return train, size, n
