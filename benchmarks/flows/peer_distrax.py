"""distrax: SplitCoupling in a Chain, as its documents use it; nets are functions of a dict."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import cells
import distrax
import jax
import jax.numpy as jnp
import jax_calls
import numpy as np


def init_net(rng: np.random.Generator, sizes: list[int]) -> list[tuple[jax.Array, jax.Array]]:
    layers = []
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        scale = 0 if i == len(sizes) - 2 else a**-0.5
        kernel = rng.standard_normal((a, b)) * scale
        layers.append((jnp.asarray(kernel, jnp.float32), jnp.zeros(b)))
    return layers


def net(layers: list) -> Callable[[jax.Array], jax.Array]:
    def apply(x: jax.Array) -> jax.Array:
        for kernel, bias in layers[:-1]:
            x = jax.nn.relu(x @ kernel + bias)
        kernel, bias = layers[-1]
        return x @ kernel + bias

    return apply


def normal(dim: int) -> distrax.Distribution:
    return distrax.MultivariateNormalDiag(jnp.zeros(dim), jnp.ones(dim))


def realnvp(cell: dict[str, int]) -> tuple[Any, Callable]:
    half, h = cell["D"] // 2, cell["H"]
    rng = np.random.default_rng(0)
    params = [init_net(rng, [half, h, h, 2 * half]) for _ in range(cell["L"])]

    def affine(raw: jax.Array) -> distrax.Bijector:
        return distrax.ScalarAffine(shift=raw[..., :half], log_scale=jnp.tanh(raw[..., half:]))

    def flow(params: list) -> distrax.Distribution:
        layers = [
            distrax.SplitCoupling(half, 1, net(p), affine, swap=bool(i % 2))
            for i, p in enumerate(params)
        ]
        return distrax.Transformed(normal(2 * half), distrax.Inverse(distrax.Chain(layers)))

    return params, flow


def permutation(order: np.ndarray) -> distrax.Bijector:
    back = np.argsort(order)
    zero = lambda x: jnp.zeros(x.shape[:-1])  # noqa: E731
    return distrax.Lambda(
        forward=lambda x: x[..., order],
        inverse=lambda y: y[..., back],
        forward_log_det_jacobian=zero,
        inverse_log_det_jacobian=zero,
        event_ndims_in=1,
        event_ndims_out=1,
        is_constant_jacobian=True,
    )


def glow(cell: dict[str, int]) -> tuple[Any, Callable]:
    rng, params, orders = np.random.default_rng(0), [], []
    for level in range(cell["levels"]):
        dim = cell["D"] // 2**level
        sizes = [dim // 2, cell["H"], cell["H"], dim // 2]
        params.append(
            [(jnp.zeros(dim), jnp.zeros(dim), init_net(rng, sizes)) for _ in range(cell["steps"])]
        )
        orders.append([rng.permutation(dim) for _ in range(cell["steps"])])

    def step(params: tuple, order: np.ndarray) -> list[distrax.Bijector]:  # first acts last
        bias, log_scale, layers = params
        shift = lambda raw: distrax.ScalarAffine(shift=raw)  # noqa: E731
        coupling = distrax.SplitCoupling(len(order) // 2, 1, net(layers), shift)
        norm = distrax.Block(distrax.ScalarAffine(shift=bias, log_scale=log_scale), 1)
        return [coupling, permutation(order), norm]

    def flow(params: list) -> distrax.Distribution:
        inner = None
        for level in reversed(range(cell["levels"])):
            parts = [step(p, o) for p, o in zip(params[level], orders[level])]
            chain = [b for part in reversed(parts) for b in part]
            if inner is not None:  # the deeper levels move the first half alone
                dim = cell["D"] // 2**level
                chain.insert(0, first_half(dim, inner))
            inner = distrax.Chain(chain)
        return distrax.Transformed(normal(cell["D"]), distrax.Inverse(inner))

    return params, flow


def first_half(dim: int, inner: distrax.Bijector) -> distrax.Bijector:
    return distrax.SplitCoupling(dim // 2, 1, lambda x: x, lambda _: inner, swap=True)


def build(name: str, cell: dict[str, int], task: str) -> tuple[Callable[[], float], int, int]:
    cells.only_couplings(cell)
    params, flow = glow(cell) if "levels" in cell else realnvp(cell)
    return jax_calls.calls(
        lambda params, x: flow(params).log_prob(x),
        lambda params, key, n: flow(params).sample(seed=key, sample_shape=(n,)),
        params,
        cell,
        task,
    )


if __name__ == "__main__":
    cells.serve(build, {"distrax": version("distrax"), "jax": jax.__version__})
