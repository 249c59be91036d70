"""Tests of rational-quadratic splines at their limits."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from table import key, noisy

from flowjax import bijectors as b


def test_spline_is_the_identity_for_zeros_and_outside_of_its_interval():
    x = jnp.linspace(-9, 9, 101)[:, None]
    zeros, slopes = jnp.zeros((101, 6, 1)), jnp.full((101, 5, 1), np.log(np.expm1(1 - 1e-3)))
    z, log_slope = b.rational_quadratic_spline(x, zeros, zeros, slopes, bound=3.0)
    np.testing.assert_allclose(z, x, atol=1e-5)
    np.testing.assert_allclose(log_slope, 0, atol=1e-5)
    rng = np.random.default_rng(0)
    raw = [jnp.asarray(rng.normal(size=(1, n, 1)) * 5, jnp.float32) for n in (6, 6, 5)]
    z, log_slope = b.rational_quadratic_spline(x, *raw, bound=3.0)
    out = np.abs(x) >= 3
    np.testing.assert_array_equal(z[out], x[out])
    np.testing.assert_array_equal(log_slope[out], 0)
    assert (np.diff(z[:, 0]) > 0).all()
    gradient = jax.grad(lambda r: b.rational_quadratic_spline(x, *r, bound=3.0)[0].sum())(raw)
    assert all(np.isfinite(g).all() for g in gradient)


@pytest.mark.parametrize("slope", [-5.0, -10.0])
def test_gradients_of_an_inverse_spline_are_finite_where_its_root_is_zero(slope):
    """In a steep bin with a flat end, rounding makes the argument of the square root 0."""
    raw = [jnp.array(v)[:, None] for v in ([0.0, -10.0, 0.0], [0.0, 10.0, 0.0], [slope, slope])]
    heights = 1e-3 + (1 - 3e-3) * jax.nn.softmax(raw[1], axis=0)
    end = np.float32(6 * heights[:2].sum() - 3)  # right edge of the middle bin
    x = jnp.asarray(end - 2e-7 * np.arange(-3000, 6000), jnp.float32)[:, None]

    def loss(raw):
        return sum(map(jnp.sum, b.rational_quadratic_spline(x, *raw, bound=3.0, inverse=True)))

    for gradient in (jax.grad(loss), jax.jit(jax.grad(loss))):
        assert all(np.isfinite(g).all() for g in gradient(raw))


def test_spline_coupling_with_large_raw_parameters_inverts():
    """The coupling bounds raw parameters of any size."""
    layer = b.spline_coupling(conditioner=b.mlp(depth=0))
    x = jnp.asarray(np.random.default_rng(0).uniform(-5, 5, (4000, 2)), jnp.float32)
    params = noisy(layer.init(key(), x), size=2.0)
    z, log_det = jax.jit(layer.forward)(params, x)
    back, minus = jax.jit(layer.inverse)(params, z)
    np.testing.assert_allclose(back, x, atol=1e-2)
    np.testing.assert_allclose(minus, -log_det, atol=3e-2)
    gradient = jax.jit(jax.grad(lambda p: sum(map(jnp.sum, layer.inverse(p, x)))))(params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("bins", [2, 20])
def test_unbounded_raw_parameters_give_finite_results(bins):
    """Raw parameters with standard deviations of 3 to 1e4."""
    rng = np.random.default_rng(1)
    deviation = np.repeat([3.0, 10.0, 100.0, 1e4], 1000)[:, None, None]
    raw = [jnp.asarray(deviation * rng.normal(size=(4000, n, 3))) for n in (bins, bins, bins - 1)]
    x = jnp.asarray(rng.uniform(-5.5, 5.5, (4000, 3)))

    def total(raw, x):
        both = [b.rational_quadratic_spline(x, *raw, inverse=i) for i in (False, True)]
        return sum(map(jnp.sum, jax.tree.leaves(both))), both

    gradient, results = jax.jit(jax.grad(total, (0, 1), has_aux=True))(raw, x)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((results, gradient)))
    for z, _ in results:
        np.testing.assert_array_equal(np.abs(z) <= 5, np.abs(x) <= 5)
