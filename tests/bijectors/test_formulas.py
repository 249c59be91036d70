"""Conditioners and scales against their formulas in NumPy, random keys, precision of products."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from table import data, key, noisy

from flowjax import bijectors as b
from flowjax import flows
from flowjax.types import Base, Bijector

RAW = np.linspace(-30, 30, 61, dtype=np.float32)
SCALES = {
    "sigmoid": np.log(np.exp(-3) + (1 - np.exp(-3)) / (1 + np.exp(-(RAW + 2.0)))),
    "tanh": 0.3 * np.tanh(RAW / 0.3),
}


@pytest.mark.parametrize("scale", SCALES)
def test_affine_maps(scale):
    transform, log_scale = b.affine_map(scale, bound=0.3), SCALES[scale]
    raw, x = jnp.stack([0 * RAW + 0.5, RAW]), np.full(61, 3.0, np.float32)
    z, log_derivative = transform.forward(raw, x)
    np.testing.assert_allclose(log_derivative, log_scale, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(z, 3 * np.exp(log_scale) + 0.5, rtol=1e-5)
    np.testing.assert_allclose(transform.inverse(raw, z)[0], x, rtol=1e-4)


def relu(x):
    return np.maximum(x, 0)


def dense(layers, index, x):
    layer = layers[f"Dense_{index}"]
    return x @ layer["kernel"] + layer["bias"]


def mlp(p, x):
    return dense(p, 2, relu(dense(p, 1, relu(dense(p, 0, x)))))


def residual(p, x):
    x = dense(p, 0, x)
    for i in (1, 3):
        x = x + dense(p, i + 1, relu(dense(p, i, relu(x))))
    return dense(p, 5, relu(x))


def glow_net(p, x):
    for name in ("hidden_0", "hidden_1", "output"):
        layer = p[name]
        x = (x @ layer["kernel"] + layer["bias"]) * np.exp(3 * layer["log_scale"])
        x = x if name == "output" else relu(x)
    return x


@pytest.mark.parametrize("formula", [mlp, residual, glow_net], ids=lambda f: f.__name__)
def test_networks(formula):
    net, x = getattr(b, formula.__name__)(7)(3), np.asarray(data(4))
    params = noisy(net.init(key(), x)["params"])
    np.testing.assert_allclose(net.apply({"params": params}, x), formula(params, x), atol=1e-5)


def test_a_masked_residual_network():
    network = b.made(6, 3, residual=True)
    masks, x = network.masks(4, None, "natural"), np.asarray(data(4))
    *hidden, last = network.masked(noisy(network.init(key(), masks, 2, np.float32)), masks)
    (k0, b0), (k1, b1), (k2, b2) = hidden
    first = x @ k0 + b0
    wanted = relu(relu(relu(first) @ k1 + b1) @ k2 + b2 + first)
    np.testing.assert_allclose(network.hidden(hidden, x), wanted, atol=1e-5)
    assert last[0].shape == (6, 2, 4)


def test_glow_net_standardizes_its_hidden_layers_on_the_first_batch():
    """The stored log-scale is divided by the factor; the kernels have standard deviation 0.05."""
    net, x = b.glow_net(200)(3), np.asarray(data(4, rows=100))
    params = net.init(key(), x)["params"]
    layer = params["hidden_0"]
    first = (x @ layer["kernel"] + layer["bias"]) * np.exp(3 * layer["log_scale"])
    np.testing.assert_allclose(first.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(first.std(axis=0), 1, atol=1e-5)
    np.testing.assert_allclose(params["hidden_1"]["kernel"].std(), 0.05, rtol=0.02)


def test_glorot_actnorm():
    """Both parameters are uniform in ±sqrt(6 / (dim + 1)), and independent of each other."""
    x = np.zeros((1, 2000), np.float32)
    params = b.actnorm(init="glorot", logscale_factor=3.0).init(key(), x)
    limit = np.sqrt(6 / 2001)
    for leaf in params.values():
        assert 0.99 * limit < np.abs(leaf).max() <= limit
    assert abs(np.corrcoef(*params.values())[0, 1]) < 0.1


def test_a_split_orders_its_latents_and_bounds_its_prior():
    large = (lambda k, n, out: {}, lambda p, x: jnp.full((*x.shape[:-1], 4), 1e3))
    x = jnp.arange(1.0, 6.0)[None]
    z, _ = b.split(b.identity()).forward({"inner": {}}, x)
    np.testing.assert_array_equal(z, [[4, 5, 1, 2, 3]])
    layer = b.split(b.identity(), conditional=True, conditioner=large)
    params = layer.init(key(), x)
    z, log_det = layer.forward(params, x)
    np.testing.assert_allclose(log_det, -4, atol=1e-5)  # two log-scales of at most 2
    np.testing.assert_allclose(layer.inverse(params, z)[0], x, atol=1e-3)


def test_every_part_of_a_flow_gets_a_key_of_its_own():
    """Also the two halves of a split, the copies of `repeat`, the base and the noise."""
    seen = []

    def recorded(k, *rest):
        seen.append(np.asarray(jax.random.key_data(k)))
        return {}

    def stacked(k, x, context=None):
        return {"key": jax.random.key_data(k)}

    same = b.identity()
    spy = same._replace(init=recorded)
    stack = Bijector(stacked, lambda p, x: same.forward({}, x), lambda p, x: same.inverse({}, x))
    net = (recorded, lambda p, x: jnp.zeros((*x.shape[:-1], 4)))
    parts = b.chain(spy, spy, b.repeat(stack, 3), b.split(spy, conditional=True, conditioner=net))

    def sample(params, k, shape, dtype, context=None):
        recorded(k)
        return jnp.zeros(shape, dtype)

    def noise(params, k, x):
        recorded(k)
        return x

    base = Base(recorded, lambda p, z, context=None: z[..., 0], sample, "spy")
    flow = flows.build(parts, 4, base=base, noise=noise)
    params = flow.init(jax.random.key(0), np.ones((3, 4), np.float32))
    seen.extend(np.asarray(params["bijector"][2]["key"]))
    assert len(seen) == 8
    seen.append(np.asarray(jax.random.key_data(jax.random.key(0))))  # the key of the flow
    assert len({tuple(k) for k in seen}) == 9
    seen.clear()
    flow.sample(params, jax.random.key(0), 2)
    assert len({tuple(k) for k in seen}) == len(seen) == 2


PRODUCTS = {
    "whitening": b.whitening,
    "whitening with components": lambda: b.whitening(components=2),
    "linear_lu": b.linear_lu,
    "householder": b.householder,
    "masked_autoregressive": b.masked_autoregressive,
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_linear_bijectors_ask_for_exact_products(name):
    """A GPU would round the factors otherwise; test_exact_products.py has the form for TPUs."""
    part, x = PRODUCTS[name](), data(4)
    params = part.init(key(), x)
    z, _ = part.forward(params, x)
    for function, rows in ((part.forward, x), (part.inverse, z)):
        lowered = jax.jit(function).trace(params, rows).lower(lowering_platforms=("cuda",))
        program = lowered.as_text()
        exact = program.count("precision = [HIGHEST, HIGHEST]")
        assert exact == program.count("dot_general"), program
        assert exact or "triangular_solve" in program
