"""Masked autoregressive and elementwise layers: dependences, any dimension, devices, errors."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from table import NET, QUICK, data, key, noisy

from flowjax import bijectors as b
from flowjax.types import FlowjaxError

# Tanh units are never constant, so each allowed derivative is not zero.
TANH = {"activation": "tanh", "start": "spread"}
LAYERS = {
    "affine": lambda order: b.masked_autoregressive(net=b.made(64, 2, **TANH), order=order),
    "linear net": lambda order: b.masked_autoregressive(net=b.made(64, 0, **TANH), order=order),
    "narrow": lambda order: b.masked_autoregressive(net=b.made(3, 1, **TANH), order=order),
    "residual spline": lambda order: b.masked_autoregressive(
        b.spline_map(4), net=b.made(48, 3, residual=True, **TANH), order=order
    ),
}
ORDERS = {
    "natural": np.arange,
    "reverse": lambda dim: np.arange(dim)[::-1],
    "random": lambda dim: np.random.default_rng(dim).permutation(dim),
}
CASES = [
    ("affine", 1, None, "natural"),
    ("affine", 2, 3, "reverse"),
    ("affine", 5, None, "random"),
    ("linear net", 5, 2, "random"),
    ("narrow", 19, 2, "random"),
    ("residual spline", 2, 2, "random"),
    ("residual spline", 19, None, "reverse"),
]


def quick(function):
    return jax.jit(function, compiler_options=QUICK)


@pytest.mark.parametrize(("name", "dim", "width", "order"), CASES)
def test_each_coordinate_depends_on_those_before_it_and_on_the_context(name, dim, width, order):
    sequence = ORDERS[order](dim)
    part = LAYERS[name](order if order != "random" else sequence)
    with jax.enable_x64(True):
        x = data(dim, rows=3, dtype=np.float64)
        context = data(width or 1, rows=3, seed=1, dtype=np.float64)
        given = (lambda c: c) if width else lambda c: None

        def results(x, context):
            params = part.init(jax.random.key(0), x, given(context))
            z, log_det = part.forward(params, x, given(context))
            back, minus = part.inverse(params, z, given(context))
            single = lambda row, c: part.forward(params, row, given(c))[0]  # noqa: E731
            jacobians = jax.jacfwd(single, argnums=(0, 1))(x[0], context[0])
            return log_det, back, minus, jacobians

        log_det, back, minus, (jacobian, by_context) = quick(results)(x, context)
    np.testing.assert_allclose(back, x, atol=1e-9)
    np.testing.assert_allclose(minus, -log_det, atol=1e-9)
    np.testing.assert_allclose(np.linalg.slogdet(jacobian)[1], log_det[0], atol=1e-9)
    ordered = np.asarray(jacobian)[np.ix_(sequence, sequence)]
    assert not np.triu(ordered, 1).any()
    if name != "narrow":  # three units cannot represent 19 different sets of coordinates
        assert (np.abs(ordered[np.tril_indices(dim)]) > 0).all()
    assert not width or (np.abs(by_context) > 0).all()


def test_the_inverse_has_gradients_and_leading_axes():
    part, dim = LAYERS["affine"]("reverse"), 3
    x, context = data(dim, rows=4), data(2, rows=4, seed=1)

    def results(x, context):
        params = part.init(jax.random.key(0), x, context)
        z, _ = part.forward(params, x, context)
        forward, inverse = (
            jax.jacfwd(lambda row, f=f: f(params, row, context[0])[0])(v)
            for f, v in ((part.forward, x[0]), (part.inverse, z[0]))
        )
        gradient = jax.grad(lambda p: part.inverse(p, z, context)[1].sum())(params)
        several = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf / 2]), params)
        back, _ = jax.vmap(part.inverse, in_axes=(0, None, None))(several, z, context)
        leading, _ = part.inverse(params, z.reshape(2, 2, dim), context.reshape(2, 2, 2))
        return inverse @ forward, gradient, back[0], leading.reshape(4, dim)

    product, gradient, back, leading = quick(results)(x, context)
    np.testing.assert_allclose(product, np.eye(dim), atol=1e-5)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    np.testing.assert_allclose(back, x, atol=1e-5)
    np.testing.assert_allclose(leading, x, atol=1e-5)


@pytest.mark.parametrize("width", [None, 2])
def test_elementwise_layers_are_diagonal_and_share_the_network(width):
    part, x = b.elementwise(b.spline_map(4), conditioner=NET), data(3, rows=5)
    context = None if width is None else data(width, rows=5, seed=1)
    params = noisy(quick(part.init)(key(), x, context))
    many = jnp.stack([x, 2 * x])  # one context vector for two examples

    def results(params, many, context):
        z, log_det = part.forward(params, many, context)
        row = None if context is None else context[0]
        jacobian = jax.jacfwd(lambda v: part.forward(params, v, row)[0])(many[1, 0])
        return z, log_det, part.inverse(params, z, context)[0], jacobian

    z, log_det, back, jacobian = quick(results)(params, many, context)
    assert z.shape == (2, 5, 3) and log_det.shape == (2, 5)
    np.testing.assert_allclose(back, many, atol=1e-4)
    assert not (jacobian * (1 - jnp.eye(3))).any()
    np.testing.assert_allclose(jnp.log(jnp.diag(jacobian)).sum(), log_det[1, 0], atol=1e-4)


@pytest.mark.parametrize("start", ["zero", "spread"])
def test_the_initial_weights_of_all_units_have_one_range_per_layer(start):
    # Not 1 / sqrt(number of inputs that the mask keeps), which is 1 for units with one input.
    layer = b.masked_autoregressive(net=b.made(30, 2, start=start))
    params = layer.init(jax.random.key(0), jnp.ones((4, 20)), jnp.ones((4, 5)))
    for fan_in, weights, last in zip([25, 30, 30], params, [False, False, True], strict=True):
        largest = jnp.abs(weights["kernel"]).max(axis=0)
        limit = 0.0 if last and start == "zero" else fan_in**-0.5
        assert jnp.all(largest <= limit) and jnp.all(largest >= 0.7 * limit)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: b.masked_autoregressive(order=[0, 0]), "order: expected a permutation of 0"),
        (lambda: b.masked_autoregressive(order="random"), "order: expected one of natural"),
        (lambda: b.masked_autoregressive(net=b.mlp(4)), r"net: expected made\(\), got mlp"),
        (lambda: b.masked_autoregressive("affine"), "transform: expected a ScalarMap, such as"),
        (lambda: b.elementwise("spline"), "transform: expected a ScalarMap, such as"),
        (lambda: b.spline_map(bins=1), "bins: expected an integer from 2"),
        (lambda: b.affine_map("exp"), "scale: expected one of tanh"),
    ],
)
def test_errors(call, text):
    with pytest.raises(FlowjaxError, match=text):
        call()


def test_another_width_or_dimension_is_an_error():
    x, context = data(2, rows=3), data(3, rows=3)
    for part in (b.masked_autoregressive(net=b.made(4)), b.elementwise(b.affine_map())):
        params = part.init(key(), x, context)
        for other in (None, context[:, :2]):
            with pytest.raises(FlowjaxError, match="context: expected the width"):
                part.forward(params, x, other)
        params = part.init(key(), x)
        with pytest.raises(FlowjaxError, match="context: expected the width"):
            part.forward(params, x, context)
        with pytest.raises(FlowjaxError, match=r"x: expected \(n, 2\)"):
            part.forward(params, context)
    with pytest.raises(FlowjaxError, match="order: expected a permutation"):
        b.masked_autoregressive(order=(0, 1, 2)).init(key(), x)
