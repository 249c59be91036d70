"""Tests of user-defined bijectors, and of the errors that name their mistakes."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from table import data, key

from flowjax import bijectors as b
from flowjax import flows
from flowjax.flows.build import build
from flowjax.types import Bijector

X = data(4)


def double(init):
    """Returns the user-defined bijector `z = 2 x` with the given `init`."""
    gain = jnp.log(2.0)
    return Bijector(
        init,
        lambda p, x, context=None: (2 * x, jnp.broadcast_to(x.shape[-1] * gain, x.shape[:-1])),
        lambda p, z, context=None: (z / 2, jnp.broadcast_to(-z.shape[-1] * gain, z.shape[:-1])),
    )


@pytest.mark.parametrize("init", [lambda key, x: {}, lambda key, x, context=None: {}])
def test_a_user_defined_init_may_have_no_context(init):
    part = double(init)
    for whole in (b.chain(part, b.actnorm()), b.repeat(part, 2), b.split(part), b.invert(part)):
        flow = build(whole, 4)
        params = flow.init(key(), X)
        z, log_det = flow.forward(params, X)
        np.testing.assert_allclose(flow.inverse(params, z)[0], X, atol=1e-5)
        assert log_det.shape == (len(X),) and "base normal" in flow.describe()


def test_functions_without_a_context_work_in_conditional_flows():
    """`init`, `forward` and `inverse` may each omit the context, or have it as a keyword."""
    whole = double(lambda key, x, context=None: {})
    bare = Bijector(
        lambda key, x: {},
        lambda p, x: whole.forward(p, x),
        lambda p, z, *, context=None: whole.inverse(p, z),
    )
    context = data(3, seed=1)
    for make in (
        lambda part: part,
        lambda part: b.chain(part, b.affine_coupling()),
        lambda part: b.repeat(part, 2),
        lambda part: b.repeat(part, 9),
        lambda part: b.split(part),
        lambda part: b.invert(part),
    ):
        for given in (None, context):
            results = []
            for part in (whole, bare):
                flow = build(make(part), 4)
                params = flow.init(key(), X, given)
                z, _ = flow.forward(params, X, given)
                np.testing.assert_allclose(flow.inverse(params, z, given)[0], X, rtol=1e-5)
                results.append(flow.log_prob(params, X, given))
            np.testing.assert_array_equal(*results)


def test_a_bijector_without_constants_contributes_none():
    part = double(lambda key, x: {})
    found = b.chain(part, b.permutation(seed=2), part).constants(4)
    np.testing.assert_array_equal(found, b.permutation(seed=2).constants(4))


def test_a_log_det_of_a_wrong_shape_raises():
    part = double(lambda key, x: {})
    wrong = part._replace(forward=lambda p, x, context=None: (2 * x, jnp.zeros_like(x)))
    flow = build(wrong, 4)
    with pytest.raises(ValueError, match=r"expected log_det of shape \(40,\), got \(40, 4\)"):
        flow.log_prob(flow.init(key(), X), X)


def test_dropped_components_need_latent_dim():
    flow = build(b.whitening(components=2), 4)
    with pytest.raises(
        ValueError, match=r"latents of shape \(40, 4\), got \(40, 2\); set `latent_dim`"
    ):
        flow.log_prob(flow.init(key(), X), X)


def test_summaries_of_different_flows_differ():
    made = [
        flows.glow(4, permutation="lu", seed=0),
        flows.glow(4, permutation="lu", seed=1),
        flows.realnvp(4, conditioner=b.mlp(8)),
        flows.realnvp(4, conditioner=b.mlp(8, activation="tanh")),
        flows.neural_spline(4, bound=3.0),
        flows.neural_spline(4, bound=5.0),
    ]
    assert len({flow.describe() for flow in made}) == len(made)
