"""Shapes of samples, and densities of scalars given a context."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowjax
from flowjax import flows
from flowjax.types import FlowjaxError

quick = functools.partial(
    jax.jit,
    compiler_options={
        "xla_backend_optimization_level": 0,
        "xla_llvm_disable_expensive_passes": True,
    },
)
NET = {"width": 8, "hidden_layers": 1, "unroll": 1}
KEY = jax.random.key(0, impl="unsafe_rbg")


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


FLOWS = {
    "realnvp": lambda: flows.realnvp(3, depth=2, base="conditional", **NET),
    "maf": lambda: flows.maf(3, depth=1, **NET),
    "elementwise_spline": lambda: flows.elementwise_spline(3, depth=1, **NET),
    "whitening": lambda: flows.whitening(3, components=2),
    "whitening, power": lambda: flows.whitening(3, components=2, power=0.5),
    "center": lambda: flows.center(3),
    "all_but_the_top": lambda: flows.all_but_the_top(3),
}
CLOSED = ("whitening", "whitening, power", "center", "all_but_the_top")


@pytest.mark.parametrize("name", FLOWS)
def test_the_shape_of_samples(name):
    flow, x = FLOWS[name](), normal(20, 3)
    context = None if name in CLOSED else normal(20, 2, seed=1)
    params = quick(flow.init)(KEY, x, context)
    cases = [
        (4, None if context is None else context[0], (4,)),
        ((), None, ()),
        ((2, 3), None, (2, 3)),
    ]
    if context is not None:
        cases = [
            (4, context[:4], (4,)),
            (4, context[0], (4,)),
            ((4,), context[0], (4,)),
            ((6,), context[:4], (6, 4)),
            ([2, 3], context[:4], (2, 3, 4)),
            ((), context[:4], (4,)),
            ((), context[0], ()),
            ((0,), context[:4], (0, 4)),
            ((2,), context[:4].reshape(2, 2, 2), (2, 2, 2)),
        ]
    for n, given, shape in cases:

        def draw(k, n=n, given=given):
            pair = flow.sample_and_log_prob(params, k, n, given)
            return flow.sample(params, k, n, given), *pair

        alone, samples, log_prob = jax.eval_shape(draw, KEY)
        assert alone.shape == samples.shape == (*shape, 3) and log_prob.shape == shape


@pytest.mark.parametrize("name", ["realnvp", "maf"])
def test_samples_for_each_context_have_the_density_given_that_context(name):
    flow, x, context = FLOWS[name](), normal(20, 3), normal(20, 2, seed=1)
    params = jax.tree.map(lambda leaf: leaf + 0.1, flow.init(KEY, x, context))
    draw = quick(flow.sample_and_log_prob, static_argnums=2)
    samples, log_prob = draw(params, KEY, (6,), context[:4])
    each = quick(flow.log_prob)
    np.testing.assert_allclose(each(params, samples, context[:4]), log_prob, atol=1e-3)
    for i in range(4):
        np.testing.assert_allclose(
            each(params, samples[:, i], context[i]), log_prob[:, i], atol=1e-3
        )


def test_errors_of_the_number_of_samples():
    flow, x, context = FLOWS["maf"](), normal(20, 3), normal(20, 2)
    params = flow.init(KEY, x, context)
    for n, given, text in (
        (
            5,
            context,
            r"context: expected shape \(5, width\) or \(width,\) for 5 samples, got "
            r"\(20, 2\); pass \(5,\) in place of 5",
        ),
        (2.5, None, "n: expected the number of samples, 0 or more, got 2.5"),
        ((2, -1), None, "n: expected the number of samples, 0 or more, got -1"),
    ):
        with pytest.raises(FlowjaxError, match=text):
            flow.sample(params, KEY, n, given)
    with pytest.raises(FlowjaxError, match="static_argnums=2"):
        jax.jit(flow.sample)(params, KEY, 5)
    with pytest.raises(FlowjaxError, match=r"context: expected shape \(7, 20, width\)"):
        flow.log_prob(params, normal(7, 20, 3), context[:7])


@pytest.mark.parametrize("name", ["glow", "realnvp", "neural_spline"])
def test_couplings_of_scalars_name_the_flows_of_scalars(name):
    with pytest.raises(FlowjaxError, match=r"got 1; use flows.elementwise_spline or flows.maf"):
        flows.make(name, 1)


@pytest.mark.slow
def test_the_density_of_a_scalar_given_a_context():
    """The fit of y = sin(3c) + (0.1 + 0.2 |c|) e has its means, deviations and likelihood."""
    rng = np.random.default_rng(0)
    c, noise = rng.uniform(-1, 1, (4000, 1)), rng.standard_normal((4000, 1))
    scale = 0.1 + 0.2 * np.abs(c)
    y = np.sin(3 * c) + scale * noise
    train, test = slice(0, 3000), slice(3000, None)
    flow = flows.elementwise_spline(1, depth=1, width=32)
    optimizer = flowjax.training.default_optimizer(5e-3)
    options = {
        "batch_size": 250,
        "steps": 900,
        "devices": 1,
        "optimizer": optimizer,
        "measured": False,
    }
    params = flowjax.fit(flow, y[train], context=c[train], key=0, **options).params
    truth = (-0.5 * noise**2 - np.log(scale) - 0.5 * np.log(2 * np.pi))[test].mean()
    assert flow.log_prob(params, y[test], c[test]).mean() > truth - 0.06
    at = jnp.array([[-0.8], [0.0], [0.8]])
    samples = np.asarray(flow.sample(params, jax.random.key(1), (4000,), at))[..., 0]
    np.testing.assert_allclose(samples.mean(axis=0), np.sin(3 * at[:, 0]), atol=0.12)
    np.testing.assert_allclose(samples.std(axis=0), [0.26, 0.1, 0.26], atol=0.06)
