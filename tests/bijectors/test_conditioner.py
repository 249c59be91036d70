"""Tests of conditioners: initialisation, equality, and user-defined networks."""

from __future__ import annotations

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from table import Small, data, key, noisy

from flowjax import bijectors as b
from flowjax.bijectors.conditioner import name_of
from flowjax.types import FlowjaxError

X = data(4)


@pytest.mark.parametrize("factory", [b.mlp, b.residual])
def test_hidden_layers_start_uniform_and_the_last_layer_at_zero(factory):
    """Kernels and biases are spread over ±1 / sqrt(fan_in); the output of the network is 0."""
    net, x = factory(16, 1)(3), data(4)
    params = net.init(key(), x)["params"]
    *hidden, last = params.values()
    for layer in hidden:
        limit = layer["kernel"].shape[0] ** -0.5
        for leaf in layer.values():
            assert np.abs(leaf).max() <= limit and np.std(leaf) > 0.3 * limit
    assert not any(np.any(leaf) for leaf in last.values())
    assert not np.any(net.apply({"params": params}, x))


def test_only_a_zero_last_layer_starts_as_the_identity():
    x = data(6)
    for start, changes in (("zero", False), ("spread", True)):
        part = b.affine_coupling(conditioner=b.mlp(8, 1, start=start))
        params = part.init(key(), x)
        z, log_det = part.forward(params, x)
        assert bool(jnp.abs(z - x).max() > 0.01) == changes
        assert bool(jnp.abs(log_det).min() > 0) == changes
        np.testing.assert_allclose(part.inverse(params, z)[0], x, atol=1e-5)
    assert "start='spread'" in part.layers[0]


MADE = {
    "mlp(width=8, depth=2)": lambda: b.mlp(8),
    "mlp(width=8, depth=2, tanh)": lambda: b.mlp(8, activation="tanh"),
    "mlp(width=8, depth=2, start='spread')": lambda: b.mlp(8, start="spread"),
    "residual(width=8, blocks=2)": lambda: b.residual(8),
    "glow_net(width=8)": lambda: b.glow_net(8),
    "glow_net(width=8, logscale_factor=1)": lambda: b.glow_net(8, logscale_factor=1),
}


def test_conditioners_compare_by_value():
    for name, make in MADE.items():
        assert make() == make() and hash(make()) == hash(make())
        assert str(make()) == name_of(make()) == name
    assert len({make() for make in MADE.values()}) == len(MADE)
    assert b.glow_net(8, init="data") != b.glow_net(8, init="glorot")
    assert b.mlp(8, activation="tanh") == b.mlp(8, activation=jnp.tanh)


def test_names_of_user_defined_conditioners():
    assert name_of(Small) == "Small"
    assert name_of(lambda out: Small(out)) == "<lambda>"
    assert name_of(partial(Small)) == "partial"


def test_a_user_defined_module_is_a_conditioner():
    class Bilinear(nn.Module):
        out: int

        @nn.compact
        def __call__(self, x):
            left, right = nn.Dense(4)(x), nn.Dense(4)(x)
            return nn.Dense(self.out)(left * right)

    part, x = b.affine_coupling(conditioner=Bilinear), data(5)
    params = part.init(key(), x)
    assert set(params) == {"Dense_0", "Dense_1", "Dense_2"}
    z, _ = part.forward(params, x)
    np.testing.assert_allclose(part.inverse(params, z)[0], x, atol=1e-4)
    assert float(jnp.abs(z - x).max()) > 1e-2 and "Bilinear" in part.layers[0]


class Bfloat16Net(nn.Module):
    """Network that computes in bfloat16."""

    out: int

    @nn.compact
    def __call__(self, x):
        x = nn.gelu(nn.Dense(16, dtype=jnp.bfloat16)(x))
        return nn.Dense(self.out, dtype=jnp.bfloat16)(x)


@pytest.mark.parametrize("part", [b.affine_coupling, b.spline_coupling], ids=lambda f: f.__name__)
def test_coupling_with_a_bfloat16_network_inverts_exactly(part):
    layer = part(conditioner=Bfloat16Net)
    params = noisy(layer.init(key(), X))
    z, log_det = layer.forward(params, X)
    back, minus = layer.inverse(params, z)
    # Steep splines amplify the rounding errors of float32.
    np.testing.assert_allclose(back, X, atol=3e-3)
    np.testing.assert_allclose(minus, -log_det, atol=3e-3)


@pytest.mark.parametrize("policy", ["bfloat16", "float32"])
def test_forward_and_reverse_mode_agree_under_a_policy(policy):
    layer = b.affine_coupling(conditioner=b.mlp(8))
    params = noisy(layer.init(key(), X))

    def at(scale, x):
        z, log_det = layer.forward(jax.tree.map(lambda p: scale * p, params), x)
        return jnp.append(z, log_det)

    with jax.default_matmul_precision(policy):
        for argument in (0, 1):
            modes = [jax.jit(f(at, argument))(1.0, X[0]) for f in (jax.jacfwd, jax.jacrev)]
            np.testing.assert_allclose(*modes, rtol=0.03, atol=0.03)
            assert jax.jit(jax.hessian(lambda *a: (at(*a) ** 2).sum(), argument))(1.0, X[0]).any()
        rounded = jax.jit(at)(1.0, X[0])
    exact = at(1.0, X[0])
    assert (np.abs(rounded - exact).max() > 1e-4) == (policy == "bfloat16")
    np.testing.assert_allclose(rounded, exact, atol=0.05)


class Stateful(nn.Module):
    out: int

    @nn.compact
    def __call__(self, x):
        return nn.BatchNorm(use_running_average=False)(nn.Dense(self.out)(x))


@pytest.mark.parametrize(
    ("conditioner", "text"),
    [
        (
            lambda out: nn.Dense(7),
            r"expected outputs of shape \(40, 4\), got \(40, 7\)",
        ),
        (nn.Dense(4), "expected a function out_features"),
        (3, "expected a function out_features"),
        (lambda out: None, "expected a function out_features"),
        (Stateful, "expected a module with params only, got"),
    ],
)
def test_an_invalid_conditioner_raises(conditioner, text):
    with pytest.raises(FlowjaxError, match=f"conditioner: {text}"):
        b.affine_coupling(conditioner=conditioner).init(key(), X)
