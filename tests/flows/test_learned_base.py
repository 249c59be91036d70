"""Learned and uniform base densities: normalised, agree with their samples, are trained."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowjax import bijectors, flows
from flowjax.types import FlowjaxError

BASES = {
    "diagonal": flows.diagonal_normal(),
    "mixture": flows.mixture(3),
    "uniform": flows.uniform(-1.0, 2.0),
}


@pytest.mark.parametrize("name", BASES)
def test_density_integrates_to_one_and_agrees_with_samples(name):
    base = BASES[name]
    params = base.init(jax.random.key(0), jax.ShapeDtypeStruct((5, 2), np.float32))
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda p: p + 0.5 * rng.standard_normal(p.shape).astype("f4"), params)
    axis = np.linspace(-9, 9, 600, endpoint=False, dtype=np.float32) + 0.015
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    mass = np.exp(np.asarray(base.log_prob(params, grid), np.float64)) * 0.03**2
    np.testing.assert_allclose(mass.sum(), 1, atol=2e-3)
    z = np.asarray(base.sample(params, jax.random.key(1), (20_000, 2), jnp.float32))
    for moment in (1, 2):
        np.testing.assert_allclose((z**moment).mean(0), mass @ grid**moment, atol=0.1)
    np.testing.assert_allclose((z[:, 0] > 0.3).mean(), mass @ (grid[:, 0] > 0.3), atol=0.02)
    assert base.sample(params, jax.random.key(1), (4, 3, 2), jnp.float32).shape == (4, 3, 2)


@pytest.mark.parametrize("name", ["diagonal", "mixture"])
def test_bounded_scales_of_the_density_are_those_of_the_samples(name):
    base = BASES[name]
    params = base.init(jax.random.key(0), jax.ShapeDtypeStruct((5, 1), np.float32))
    params["log_scale"] = jnp.full_like(params["log_scale"], 30.0)
    z = base.sample(params, jax.random.key(1), (20_000, 1), jnp.float32)
    assert z.std() < 1.1 * np.exp(2)
    axis = np.linspace(-60, 60, 6000, dtype=np.float32)[:, None]
    mass = np.exp(base.log_prob(params, axis)) * 0.02
    np.testing.assert_allclose(mass @ np.abs(axis[:, 0]), np.abs(z).mean(), rtol=0.03)


@pytest.mark.parametrize("name", ["diagonal", "mixture"])
def test_named_bases_are_trained(name):
    flow = flows.realnvp(2, depth=2, width=4, base=name)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((50, 2)), jnp.float32)
    params = flow.init(jax.random.key(0), x)
    gradient = jax.jit(jax.grad(lambda p: flow.log_prob(p, x).mean()))(params)["base"]
    assert all(leaf.any() for leaf in jax.tree.leaves(gradient))
    assert flows.make("realnvp", 2, **flow.recipe.options).layers == flow.layers


def test_a_uniform_base_has_no_density_outside():
    flow = flows.build(bijectors.sigmoid(), 2, base="uniform")
    x = jnp.array([[0.0, 1.0], [50.0, -50.0]])
    params = flow.init(jax.random.key(0), x)
    log_prob = flow.log_prob(params, x)  # a logistic distribution
    want = jax.scipy.stats.logistic.logpdf(x).sum(axis=1)
    np.testing.assert_allclose(log_prob, want, rtol=1e-4)
    assert flows.uniform().log_prob({}, jnp.array([[0.5, 1.5]]))[0] == -jnp.inf
    with pytest.raises(FlowjaxError, match="high: expected a number above low = 1, got 1"):
        flows.uniform(1, 1)
