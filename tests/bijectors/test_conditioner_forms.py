"""Tests of the forms of a conditioner: Flax linen, Flax NNX, and `(init, apply)` pairs."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from table import QUICK, data, key

import flowjax
from flowjax import bijectors as b
from flowjax import flows
from flowjax.bijectors.nets import features_of
from flowjax.types import FlowjaxError

X = data(4)


class NnxNet(nnx.Module):
    """Network of Flax NNX with a list of layers."""

    def __init__(self, in_features, out_features, *, rngs, width=8):
        sizes = (in_features, width, out_features)
        layers = [nnx.Linear(a, b, rngs=rngs) for a, b in pairwise(sizes)]
        self.layers = nnx.List(layers)

    def __call__(self, x):
        return self.layers[1](jnp.tanh(self.layers[0](x)))


class NnxDropout(nnx.Module):
    def __init__(self, in_features, out_features, *, rngs):
        self.linear = nnx.Linear(in_features, out_features, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return self.dropout(self.linear(x))


def pair_init(key, in_features, out_features):
    return {"kernel": jax.random.normal(key, (in_features, out_features)) / 4}


def pair_apply(params, x):
    return jnp.tanh(x) @ params["kernel"]


FORMS = {
    "linen": nn.Dense,
    "NNX class": NnxNet,
    "partial NNX class": partial(NnxNet, width=4),
    "NNX function": lambda in_features, out, rngs: NnxNet(in_features, out, rngs=rngs),
    "pair": (pair_init, pair_apply),
}
VARIANTS = ("partial NNX class", "NNX function")
LAYERS = {
    "coupling": lambda net: b.repeat(b.spline_coupling(conditioner=net, bins=3), 2),
    "elementwise": lambda net: b.elementwise(b.affine_map(), conditioner=net),
    "split": lambda net: b.split(b.actnorm(), conditional=True, conditioner=net),
}


@pytest.mark.parametrize(
    ("form", "layer"),
    [
        *((form, "coupling") for form in ("linen", "NNX class", "pair")),
        *(pytest.param(form, "coupling", marks=pytest.mark.slow) for form in VARIANTS),
        ("NNX class", "elementwise"),
        ("pair", "split"),
    ],
)
def test_each_form_of_a_conditioner(form, layer):
    """Round trip, gradients, the context, and names of parameters that a file can have."""
    part, context = LAYERS[layer](FORMS[form]), data(2, seed=1)

    def results(x, context):
        params = part.init(key(), x, context)
        z, log_det = part.forward(params, x, context)
        gradient = jax.grad(lambda p: part.forward(p, x, context)[0].var())(params)
        other, _ = part.forward(params, x, context + 1)
        back, minus = part.inverse(params, z, context)
        return params, z, log_det, gradient, other, back, minus

    compiled = jax.jit(results, compiler_options=QUICK)
    params, z, log_det, gradient, other, back, minus = compiled(X, context)
    np.testing.assert_allclose(back, X, atol=1e-3)
    np.testing.assert_allclose(minus, -log_det, atol=1e-2)
    assert float(jnp.abs(z - X).max()) > 1e-2 and float(jnp.abs(z - other).max()) > 1e-3
    assert all(np.any(leaf) for leaf in jax.tree.leaves(gradient))
    paths = jax.tree_util.tree_leaves_with_path(params)
    names = [entry.key for path, _ in paths for entry in path if hasattr(entry, "key")]
    assert all(isinstance(name, str) for name in names)
    with pytest.raises(FlowjaxError, match="context: expected the width"):
        part.forward(params, X, context[:, :1])


def test_a_flow_with_an_nnx_conditioner_is_fitted_and_saved(tmp_path):
    flow = flows.realnvp(4, depth=2, conditioner=NnxNet)
    params = flowjax.fit(flow, X, key=0, steps=2, batch_size=20, devices=1).params
    folder = flowjax.save_flow(tmp_path / "model", flow, params)
    _, loaded = flowjax.load_flow(folder, flow)
    np.testing.assert_array_equal(flow.log_prob(loaded, X), flow.log_prob(params, X))
    assert "affine_coupling(NnxNet)" in flow.describe()


@pytest.mark.parametrize(
    ("conditioner", "text"),
    [
        (NnxDropout, "expected a module with params only, got .*RngKey"),
        (nnx.Linear(2, 4, rngs=nnx.Rngs(0)), "expected a function out_features"),
        ((pair_init,), "expected a function out_features"),
        (
            (lambda key, i, out: jnp.ones((i, out + 1)), lambda params, x: x @ params),
            r"expected outputs of shape \(40, 4\), got \(40, 5\)",
        ),
    ],
)
def test_an_invalid_conditioner_raises(conditioner, text):
    with pytest.raises(FlowjaxError, match=f"conditioner: {text}"):
        b.affine_coupling(conditioner=conditioner).init(key(), X)


def test_equal_modules_are_traced_once_for_each_shape():
    traces = []

    class Counted(nn.Module):
        out: int

        @nn.compact
        def __call__(self, x):
            traces.append(x.shape)
            return nn.Dense(self.out)(x)

    x = jnp.ones((5, 4))
    part = b.repeat(b.affine_coupling(conditioner=Counted), 3)
    params = part.init(jax.random.key(0), x)
    traces.clear()
    jax.jit(part.forward).lower(params, x)
    jax.jit(jax.grad(lambda p: part.inverse(p, x)[0].sum())).lower(params)
    assert traces == []  # `init` has traced it for this shape
    jax.jit(part.forward).lower(params, x[:3])
    assert traces == [(3, 2)]


def test_a_module_with_an_array_as_attribute():
    class Scaled(nn.Module):
        out: int
        scale: np.ndarray

        @nn.compact
        def __call__(self, x):
            return nn.Dense(self.out)(x) * self.scale

    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 4)), jnp.float32)
    found = []
    for scale in (1.0, 2.0):
        part = b.affine_coupling(
            conditioner=lambda out, scale=scale: Scaled(out, np.full(out, scale))
        )
        found.append(part.forward(part.init(jax.random.key(0), x), x)[1])
    assert not np.allclose(*found)


def test_the_context_follows_the_identity_half():
    """Kernels of saved models have their rows in this order."""
    found = features_of(jnp.ones((2, 3)), jnp.zeros(1))
    np.testing.assert_array_equal(found, [[1, 1, 1, 0]] * 2)
