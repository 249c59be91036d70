"""Parts and conditioners of a user's own: what works, and what one error says of the rest."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from table import data, key, noisy

from flowjax import bijectors as b
from flowjax import flows
from flowjax.flows.build import build
from flowjax.types import Bijector

X = data(4)


def double(init):
    """`z = 2 x`, with an `init` as a user may write it."""
    gain = jnp.log(2.0)
    return Bijector(
        init,
        lambda p, x, context=None: (2 * x, jnp.broadcast_to(x.shape[-1] * gain, x.shape[:-1])),
        lambda p, z, context=None: (z / 2, jnp.broadcast_to(-z.shape[-1] * gain, z.shape[:-1])),
    )


def test_a_part_without_constants_contributes_none():
    part = double(lambda key, x: {})
    found = b.chain(part, b.permutation(seed=2), part).constants(4)
    np.testing.assert_array_equal(found, b.permutation(seed=2).constants(4))


@pytest.mark.parametrize("init", [lambda key, x: {}, lambda key, x, context=None: {}])
def test_an_init_may_take_no_context(init):
    part = double(init)
    for whole in (b.chain(part, b.actnorm()), b.repeat(part, 2), b.split(part), b.invert(part)):
        flow = build(whole, 4)
        params = flow.init(key(), X)
        z, log_det = flow.forward(params, X)
        np.testing.assert_allclose(flow.inverse(params, z)[0], X, atol=1e-5)
        assert log_det.shape == (len(X),) and "base normal" in flow.describe()


def test_a_log_det_of_another_shape_is_refused():
    part = double(lambda key, x: {})
    wrong = part._replace(forward=lambda p, x, context=None: (2 * x, jnp.zeros_like(x)))
    flow = build(wrong, 4)
    with pytest.raises(ValueError, match=r"expected a log_det per row, \(40,\), got \(40, 4\)"):
        flow.log_prob(flow.init(key(), X), X)


def test_fewer_latents_than_coordinates_want_their_number():
    flow = build(b.whitening(components=2), 4)
    with pytest.raises(ValueError, match=r"latents \(40, 4\), got \(40, 2\); `latent_dim`"):
        flow.log_prob(flow.init(key(), X), X)


class Half(nn.Module):
    """A net that computes in bfloat16."""

    out: int

    @nn.compact
    def __call__(self, x):
        x = nn.gelu(nn.Dense(16, dtype=jnp.bfloat16)(x))
        return nn.Dense(self.out, dtype=jnp.bfloat16)(x)


@pytest.mark.parametrize("part", [b.affine_coupling, b.spline_coupling], ids=lambda f: f.__name__)
def test_a_net_that_computes_in_bfloat16_leaves_the_map_exact(part):
    layer = part(conditioner=Half)
    params = noisy(layer.init(key(), X))
    z, log_det = layer.forward(params, X)
    back, minus = layer.inverse(params, z)
    np.testing.assert_allclose(back, X, atol=1e-3)
    np.testing.assert_allclose(minus, -log_det, atol=1e-3)


class Noisy(nn.Module):
    out: int

    @nn.compact
    def __call__(self, x):
        return nn.BatchNorm(use_running_average=False)(nn.Dense(self.out)(x))


@pytest.mark.parametrize(
    ("conditioner", "text"),
    [
        (lambda out: nn.Dense(7), r"expected a net with 4 outputs, \(40, 4\) here, got \(40, 7\)"),
        (nn.Dense(4), "expected a factory out_features"),
        (3, "expected a factory out_features"),
        (lambda out: None, "expected a factory out_features"),
        (Noisy, "expected a module with params only"),
    ],
)
def test_what_is_no_conditioner_is_refused(conditioner, text):
    with pytest.raises(ValueError, match=f"conditioner: {text}"):
        b.affine_coupling(conditioner=conditioner).init(key(), X)


@pytest.mark.parametrize("unroll", [None, 1])
def test_nested_repeats_invert(unroll):
    outer = b.repeat(b.repeat(b.chain(b.linear_lu(), b.actnorm()), 2), 3, unroll=unroll)
    params = outer.init(key(), X)
    assert params[1]["bias"].shape == (3, 2, 4)
    z, _ = outer.forward(params, X)
    np.testing.assert_allclose(z.std(axis=0), 1, atol=1e-4)  # each actnorm saw its own input
    np.testing.assert_allclose(outer.inverse(params, z)[0], X, atol=1e-4)


def test_a_spline_that_has_learned_much_still_inverts():
    """Raw numbers of any size: the coupling clips them softly."""
    layer = b.spline_coupling(conditioner=b.mlp(depth=0))
    x = jnp.asarray(np.random.default_rng(0).uniform(-5, 5, (4000, 2)), jnp.float32)
    params = noisy(layer.init(key(), x), size=2.0)
    z, log_det = layer.forward(params, x)
    back, minus = layer.inverse(params, z)
    np.testing.assert_allclose(back, x, atol=1e-2)
    np.testing.assert_allclose(minus, -log_det, atol=3e-2)
    gradient = jax.grad(lambda p: sum(map(jnp.sum, layer.inverse(p, x))))(params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_layer_lists_tell_parts_apart():
    made = [
        flows.glow(4, permutation="lu", seed=0),
        flows.glow(4, permutation="lu", seed=1),
        flows.realnvp(4, conditioner=b.mlp(8)),
        flows.realnvp(4, conditioner=b.mlp(8, activation="tanh")),
        flows.neural_spline(4, bound=3.0),
        flows.neural_spline(4, bound=5.0),
    ]
    assert len({flow.describe() for flow in made}) == len(made)
