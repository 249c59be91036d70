"""Bijectors to bounded supports and on the circle: round trip, log_det, limits, flows."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from table import data, key

from flowjax import bijectors as b
from flowjax import flows
from flowjax.flows.build import build
from flowjax.types import FlowjaxError

PAIRS = {
    "sigmoid": (b.sigmoid(), b.logit()),
    "sigmoid of a box": (b.sigmoid([-1, 0, 5], [3, 1e-3, 6]), b.logit([-1, 0, 5], [3, 1e-3, 6])),
    "tanh": (b.tanh(), b.arctanh()),
    "softplus": (b.softplus(), b.inverse_softplus()),
    "softplus above limits": (b.softplus([-1, 0, 5]), b.inverse_softplus([-1, 0, 5])),
}


@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize("name", PAIRS)
def test_contract(name, x64):
    with jax.enable_x64(x64):
        up, down = PAIRS[name]
        dtype, near = (np.float64, 1e-9) if x64 else (np.float32, 2e-3)
        x = 2 * data(3, dtype=dtype)
        assert up.init(key(), x) == {} == down.init(key(), up.forward({}, x)[0])
        z, log_det = up.forward({}, x)
        back, minus = down.forward({}, z)
        assert z.dtype == log_det.dtype == minus.dtype == dtype
        np.testing.assert_allclose(back, x, atol=near * np.abs(x).max())
        np.testing.assert_allclose(minus, -log_det, atol=near * 30)
        np.testing.assert_array_equal(down.inverse({}, x)[0], z)
        np.testing.assert_array_equal(up.inverse({}, z)[0], back)
        for part, at in ((up, x), (down, z)):
            jacobian = jax.vmap(jax.jacfwd(lambda r, part=part: part.forward({}, r)[0]))(at)
            slogdet = np.linalg.slogdet(np.asarray(jacobian, np.float64))[1]
            np.testing.assert_allclose(part.forward({}, at)[1], slogdet, atol=near * 30)


@pytest.mark.parametrize("name", PAIRS)
def test_extreme_and_outside_points(name):
    """Samples stay inside of the support; points outside have log_det -inf, without NaN."""
    up, down = PAIRS[name]
    far = jnp.array([[-1e30, 1e30, 0.0], [-300.0, 300.0, 40.0], [-20.0, 20.0, -40.0]])
    z, log_det = up.forward({}, far)
    assert np.isfinite(z).all() and not np.isnan(log_det).any()
    back, minus = down.forward({}, z)
    assert np.isfinite(back).all() and np.isfinite(minus).all()
    outside = jnp.array([[-2.0, -2.0, -2.0], [-jnp.inf, 0.5, 0.5], [-1.0, 0.0, 5.0]])
    x, log_det = down.forward({}, outside)
    assert np.isfinite(x).all() and (np.asarray(log_det) == -np.inf).all()
    gradient = jax.grad(lambda z: down.forward({}, z)[0].sum())(outside)
    assert np.isfinite(gradient).all()


def test_a_flow_of_bounded_data_samples_inside_of_the_support():
    low, high = np.array([0.0, -5.0]), np.array([1.0, 5.0])
    x = low + (high - low) * np.random.default_rng(0).beta(0.5, 2.0, (500, 2))
    bijector = b.chain(b.logit(low, high), b.standardize(), b.affine_coupling())
    flow = build(bijector, 2)
    params = flow.init(key(), x)
    samples = flow.sample(params, key(), 5000)
    assert ((samples > low) & (samples < high)).all()
    assert np.isfinite(flow.log_prob(params, samples)).all()
    assert (flow.log_prob(params, jnp.array([[2.0, 0.0], [0.0, 0.0]])) == -jnp.inf).all()
    with pytest.raises(FlowjaxError, match=r"above \[0.0, -5.0\].* got 9.0 at row 3, column 1"):
        flow.init(key(), jnp.asarray(x).at[3, 1].set(9.0))
    other = build(b.chain(b.logit(low, 2 * high), *(bijector,)[1:]), 2)
    assert other.layers != flow.layers


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: b.sigmoid(1, 1), "high: expected numbers above low"),
        (lambda: b.logit([0, 2], [1, 1]), "high: expected numbers above low"),
        (lambda: b.logit([0, 2], [1, 3, 4]), "high: expected numbers above low"),
        (lambda: b.logit("0"), "low: expected a finite number"),
        (lambda: b.logit([[0]]), "low: expected a finite number"),
        (lambda: b.logit([[0], 1]), "low: expected a finite number"),
        (lambda: b.softplus(float("nan")), "low: expected a finite number"),
        (lambda: b.sigmoid(0, np.inf), "high: expected a finite number"),
    ],
)
def test_wrong_limits_raise(call, text):
    with pytest.raises(FlowjaxError, match=text):
        call()


def test_a_circular_spline_is_continuous_and_inverts():
    part = b.circular_spline_map(5)
    raw = 2 * jax.random.normal(jax.random.key(0), (part.outputs, 1))
    x = jnp.linspace(-np.pi, np.pi, 2000, endpoint=False)[:, None]
    z, log_slope = part.forward(raw, x)
    back, minus = part.inverse(raw, z)
    gap = np.mod(np.asarray(back - x) + np.pi, 2 * np.pi) - np.pi
    np.testing.assert_allclose(gap, 0, atol=1e-3)
    np.testing.assert_allclose(minus, -log_slope, atol=1e-2)
    assert ((z >= -np.pi) & (z < np.pi)).all()
    np.testing.assert_allclose(np.exp(log_slope).mean(), 1, atol=0.02)  # integral over the circle
    for turn in (-2 * np.pi, 2 * np.pi):
        same, slope = part.forward(raw, x + turn)
        gap = np.mod(np.asarray(same - z) + np.pi, 2 * np.pi) - np.pi
        np.testing.assert_allclose(gap, 0, atol=1e-3)
        np.testing.assert_allclose(slope, log_slope, atol=1e-2)
    ends = part.forward(raw, jnp.array([[-np.pi], [np.pi - 1e-5]], jnp.float32))[1]
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-3)
    flow = build(b.elementwise(part), 1, base=flows.uniform(-np.pi, np.pi))
    params = flow.init(key(), x)
    samples = flow.sample(params, key(), 100)
    np.testing.assert_allclose(flow.log_prob(params, samples), -np.log(2 * np.pi), atol=1e-3)
