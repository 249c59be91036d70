"""`glow_as_released` against an independent NumPy transcription of the original's arithmetic."""

from __future__ import annotations

import math

import glow_numpy as original
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from flowjax import flows
from flowjax.training.optimizers import global_norm
from flowjax.training.released import adam_uncorrected

DIM, LEVELS, DEPTH, WIDTH = 16, 3, 2, 5
STEPS = 10


def as_params(v):
    """Returns the transcription's variables as the library's parameters."""

    def scaled(name):
        return {"bias": v[f"{name}/b"], "log_scale": v[f"{name}/logs"]}

    def step(at):
        net = {}
        for ours, conv, norm in (
            ("hidden_0", "conv1", "conv1/actnorm"),
            ("hidden_1", "conv2", "conv2/actnorm"),
            ("output", "zeros", "zeros"),
        ):
            net[ours] = {"kernel": v[f"{at}/nn/{conv}/W"]} | scaled(f"{at}/nn/{norm}")
        return (scaled(f"{at}/actnorm"), {}, net)

    def level(index):
        turns = [step(f"{index}/{i}") for i in range(DEPTH)]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *turns)

    inner = level(LEVELS - 1)
    for index in reversed(range(LEVELS - 1)):
        inner = (level(index), {"inner": inner})
    return {"base": {}, "bijector": inner}


@pytest.fixture(scope="module", params=["clipped", "unclipped"])
def start(request):
    """Variables as the code starts, but for the last convolutions, which would be all zero.

    With the one start every step's gradient is clipped, with the other none is.
    """
    rng = np.random.default_rng(0)
    v = original.make_variables(rng, DIM, LEVELS, DEPTH, WIDTH)
    calm = request.param == "unclipped"
    for k in v:
        if "/zeros/" in k:
            v[k] = rng.normal(0, 0.01 if calm else 0.1, v[k].shape)
        elif calm and k.endswith(("/b", "/logs")):
            v[k] = 0.05 * v[k]
    x = rng.standard_normal((STEPS, 32, DIM))
    return v, (0.9 * x if calm else 1.5 * x + 0.3), calm


def flow():
    return flows.glow_as_released(DIM, levels=LEVELS, depth=DEPTH, width=WIDTH)


def test_the_hand_written_gradient_is_right(start):
    v, batches, _ = start
    _, g = original.loss_and_gradients(v, batches[0], LEVELS, DEPTH)
    rng = np.random.default_rng(1)
    assert set(g) == set(v)
    for k in v:
        toward = rng.standard_normal(v[k].shape)
        ends = [
            original.loss_and_gradients({**v, k: v[k] + h * toward}, batches[0], LEVELS, DEPTH)[0]
            for h in (1e-6, -1e-6)
        ]
        np.testing.assert_allclose((g[k] * toward).sum(), (ends[0] - ends[1]) / 2e-6, atol=1e-7)


def test_forward_log_det_and_bits_per_dim(start):
    v, batches, _ = start
    x = batches[0]
    z, log_det, _ = original.forward(v, x, LEVELS, DEPTH)
    loss, _ = original.loss_and_gradients(v, x, LEVELS, DEPTH)
    params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), as_params(v))
    got, got_log_det = flow().forward(params, jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(got, z, atol=1e-5 * np.abs(z).max())
    np.testing.assert_allclose(got_log_det, log_det, rtol=1e-5)
    nll = -flow().log_prob(params, jnp.asarray(x, jnp.float32)).mean()
    np.testing.assert_allclose(flows.bits_per_dim(nll, DIM), loss, rtol=1e-5)


def test_ten_steps_of_its_optimizer(start):
    v, batches, calm = start
    expected, losses = original.train(v, batches, LEVELS, DEPTH)
    with jax.enable_x64(True):
        params = as_params({k: np.float64(a) for k, a in v.items()})
        # the loop's loss is in nats, and so is the norm that it hands to the optimizer
        optimizer = adam_uncorrected(1e-3, gradient_scale=1 / (DIM * math.log(2)))
        state = optimizer.init(params)

        @jax.jit
        def step(params, state, x):
            value, gradient = jax.value_and_grad(lambda p: -flow().log_prob(p, x).mean())(params)
            norm = global_norm(gradient)
            updates, state = optimizer.update(gradient, state, params, grad_norm=norm)
            return optax.apply_updates(params, updates), state, value, norm

        got, norms = [], []
        for x in batches:
            params, state, value, norm = step(params, state, jnp.asarray(x))
            got.append(flows.bits_per_dim(float(value), DIM))
            norms.append(flows.bits_per_dim(float(norm), DIM))
        np.testing.assert_allclose(got, losses, atol=1e-5)
        assert max(norms) < 1 if calm else min(norms) > 1
        wanted = jax.tree.leaves(as_params(expected))
        for a, b, before in zip(
            jax.tree.leaves(params), wanted, jax.tree.leaves(as_params(v)), strict=True
        ):
            np.testing.assert_allclose(a, b, atol=1e-5)
            assert np.abs(b - before).max() > 1e-3  # the steps did move it


def test_it_starts_as_the_code_does():
    """Glorot-uniform actnorms, N(0, 0.05) kernels, last layer zero; the data are not looked at."""
    key = jax.random.key(0, impl="unsafe_rbg")
    flow = flows.glow_as_released(64, levels=1, depth=2)
    params = jax.jit(flow.init)(key, jnp.ones((4, 64)) * 100)
    norm, _, net = params["bijector"]
    limit = (6 / 65) ** 0.5
    for name in norm:
        assert 0.9 * limit < float(jnp.abs(norm[name]).max()) <= limit
    for i, size in enumerate((32, 32)):
        inner = net[f"hidden_{i}"]
        assert 0.045 < float(inner["kernel"].std()) < 0.055
        assert float(jnp.abs(inner["bias"]).max()) <= (6 / (size + 1)) ** 0.5
    assert not any(leaf.any() for leaf in jax.tree.leaves(net["output"]))

    on = flows.glow_as_released(64, levels=1, depth=2, data_dependent_init=True)
    x = jax.random.normal(jax.random.key(1), (50, 64)) * 3 + 1
    z, _ = on.forward(jax.jit(on.init)(key, x), x)
    assert abs(float(z.std()) - 1) < 1e-3 and abs(float(z.mean())) < 1e-3
