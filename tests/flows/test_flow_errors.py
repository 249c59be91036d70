"""Errors of flows: one line that names the argument, the expected and the given value."""

from __future__ import annotations

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

import flowjax
from flowjax import bijectors, flows
from flowjax.types import FlowjaxError

NET = {"width": 8, "hidden_layers": 1, "unroll": 1}
KEY = jax.random.key(0)


def data(n, dim):
    return jnp.asarray(np.random.default_rng(0).standard_normal((n, dim)), jnp.float32)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: flows.make("glo", 4), "flow: expected one of .*glow, glow_as_released"),
        (
            lambda: flows.make("glow", 4, levles=2),
            "glow: expected one of levels, .*, got 'levles'",
        ),
        (lambda: flows.glow(2, levels=2), "levels: expected 1 for dim 2, got 2"),
        (lambda: flows.glow(6, levels=9), "levels: expected 1 to 3 for dim 6, got 9"),
        (lambda: flows.glow(1), "dim: expected an integer of at least 2, got 1"),
        (lambda: bijectors.actnorm(logscale_factor=0), "logscale_factor: expected a number other"),
        (lambda: flows.whitening(2).sample({}, None, -1), "n: expected the number of samples"),
        (lambda: flows.glow(1), "dim: expected an integer of at least 2, got 1"),
        (lambda: flows.glow(8, depth=0), "depth: expected an integer of at least 1, got 0"),
        (lambda: flows.glow(8, unroll=0), "unroll: expected an integer of at least 1, got 0"),
        (lambda: flows.glow(8, coupling="cubic"), "coupling: expected one of additive"),
        (lambda: flows.glow(8, permutation="odd"), "permutation: expected one of random"),
        (lambda: flows.glow(8, mask="third"), "mask: expected one of half, checkerboard"),
        (lambda: flows.glow(8, base="cauchy"), "base: expected one of normal, student_t"),
        (lambda: flows.realnvp(8, depth=3), "depth: expected an even"),
        (lambda: flows.neural_spline(8, bins=1), "bins: expected an integer from 2"),
        (lambda: flows.neural_spline(8, bound=0), r"bound: expected a number in"),
        (lambda: flows.identity(0), "dim: expected an integer of at least 1, got 0"),
        (lambda: flows.student_t(0), r"df: expected a number in \(0, "),
        (lambda: bijectors.affine_coupling(scale="exp"), "scale: expected one of tanh"),
        (lambda: bijectors.linear_lu(init="qr"), "init: expected"),
        (lambda: bijectors.actnorm(init="qr"), "init: expected one of data"),
        (lambda: bijectors.glow_net(init="qr"), "init: expected one of data"),
        (lambda: bijectors.mlp(activation="step"), "activation: expected one of relu"),
        (lambda: bijectors.mlp(start="one"), "start: expected one of zero, spread, got 'one'"),
        (lambda: flows.glow(4, **NET).init(jax.random.key(0), jnp.ones(4)), "n, dim"),
        (
            lambda: bijectors.additive_coupling().init(jax.random.key(0), jnp.ones((3, 1))),
            "n >= 1 and dim >= 2",
        ),
        (
            lambda: bijectors.split(bijectors.actnorm()).init(None, jnp.ones((3, 1))),
            "n >= 1 and dim >= 2",
        ),
        (
            lambda: flows.identity(2, base="conditional").init(KEY, jnp.ones((3, 2))),
            "for a conditional base, got None",
        ),
    ],
)
def test_errors_name_the_argument(call, text):
    with pytest.raises(FlowjaxError, match=text):
        call()


@pytest.mark.parametrize(
    "name", ["whitening", "center", "all_but_the_top", "standardize", "identity"]
)
def test_a_context_that_a_flow_does_not_use_raises(name):
    flow, x, context = flows.make(name, 2), data(10, 2), jnp.ones((10, 1))
    params = flow.init(KEY, x)
    text = f"context: expected None, because the flow {name} does not use a context, got an array"
    for call in (
        lambda: flow.init(KEY, x, context),
        lambda: flow.log_prob(params, x, context),
        lambda: flow.forward(params, x, context),
        lambda: flow.sample(params, KEY, 10, context),
    ):
        with pytest.raises(FlowjaxError, match=text):
            call()
    conditional = flows.make(name, 2, base="conditional")
    assert conditional.init(KEY, x, data(10, 1))["base"]


def test_wrong_params_raise():
    """A `FitResult`, the params of a bijector, and None."""
    flow, x = flows.realnvp(2, depth=2, **NET), data(10, 2)
    params = flow.init(KEY, x)
    fitted = flowjax.FitResult(*[params] * len(flowjax.FitResult._fields))
    cases = {
        "a FitResult; pass its attribute `params`": fitted,
        "a NoneType": None,
        "a tuple": params["bijector"],
        r"a dict with the entries \['bijector'\]": {"bijector": params["bijector"]},
    }
    for text, wrong in cases.items():
        for call in (
            lambda wrong=wrong: flow.log_prob(wrong, x),
            lambda wrong=wrong: flow.inverse(wrong, x),
            lambda wrong=wrong: flow.sample(wrong, KEY, 3),
        ):
            with pytest.raises(FlowjaxError, match=f"params: expected .* got {text}"):
                call()


def test_a_traced_number_of_samples_names_static_argnums():
    flow = flows.identity(2)
    params = flow.init(KEY, data(3, 2))
    for sample in (flow.sample, flow.sample_and_log_prob):
        with pytest.raises(FlowjaxError, match="static_argnums"):
            jax.jit(sample)(params, KEY, 10)
        jax.jit(sample, static_argnums=2)(params, KEY, 10)


def test_a_context_at_init_is_one_vector_per_example():
    """Labels of n rows are not one vector of width n; and what is not finite is named."""
    x, flow = data(10, 4), flows.realnvp(4, depth=2, **NET)
    key = jax.random.key(0)
    with pytest.raises(
        FlowjaxError, match=r"context: expected shape \(10, width\).* one-hot .* \(10,\)"
    ):
        flow.init(key, x, jnp.zeros(10))
    with pytest.raises(FlowjaxError, match="context: expected finite numbers, got nan at row 3"):
        flow.init(key, x, jnp.ones((10, 2)).at[3, 1].set(jnp.nan))
    params = flow.init(key, x, jnp.ones((10, 2)))
    assert flow.log_prob(params, x, jnp.ones(2)).shape == (10,)  # later one vector may do for all
    conditional = flows.realnvp(4, depth=2, base="conditional", **NET)
    params = conditional.init(key, x, jnp.ones((10, 2)))
    with pytest.raises(FlowjaxError, match=r"context: expected shape \(50, width\)"):
        conditional.sample(params, key, 50, jnp.ones((7, 2)))
    with pytest.raises(FlowjaxError, match=r"context: expected .* width .* got \(10, 3\)"):
        conditional.log_prob(params, x, jnp.ones((10, 3)))


def test_the_number_of_samples_may_be_any_integer():
    flow = flows.standardize(2)
    params, key = flow.init(jax.random.key(0), data(10, 2)), jax.random.key(0)
    for n in (3, np.int64(3), jnp.int32(3), 0):
        assert flow.sample(params, key, n).shape == (int(n), 2)
    assert flow.sample(params, key, (3, np.int64(4))).shape == (3, 4, 2)
    for n in (-1, 2.5, (3, -4), "3"):
        with pytest.raises(FlowjaxError, match="n: expected the number of samples"):
            flow.sample(params, key, n)
    (rows,) = jax.export.symbolic_shape("rows")
    draw = jax.export.export(jax.jit(lambda like: flow.sample(params, key, like.shape[0])))
    assert draw(jax.ShapeDtypeStruct((rows,), np.float32)).call(np.ones(5, np.float32)).shape == (
        5,
        2,
    )
