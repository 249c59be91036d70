"""Removal of the mean and of leading components, compared with the published methods."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

import flowjax
from flowjax import bijectors, flows
from flowjax.bijectors.moments import moments_of
from flowjax.evaluation.baselines import null_top_singular_vectors
from flowjax.types import FlowjaxError

RNG = np.random.default_rng(0)
DIM = 8
X = (RNG.normal(size=(500, DIM)) @ RNG.normal(size=(DIM, DIM)) + 3).astype(np.float32)
NEW = (RNG.normal(size=(50, DIM)) + 3).astype(np.float32)
METHODS = {
    "center": (flows.center(DIM), 0),
    "all_but_the_top": (flows.all_but_the_top(DIM), 1),
    "all_but_the_top, 3": (flows.all_but_the_top(DIM, components=3), 3),
}


def cosines(z):
    z = np.asarray(z, np.float64)
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    return z @ z.T


@pytest.mark.parametrize("name", METHODS)
def test_cosines_equal_those_of_the_published_method(name):
    flow, k = METHODS[name]
    published = null_top_singular_vectors(X, k, center=True)(NEW)
    fitted = flowjax.fit(flow, X, key=0).params
    for params in (flow.init(jax.random.key(0), X), fitted):
        z, _ = flow.forward(params, NEW)
        assert z.shape == (50, DIM - k)
        np.testing.assert_allclose(cosines(z), cosines(published), atol=1e-5)
        np.testing.assert_allclose(
            np.linalg.norm(z, axis=1), np.linalg.norm(published, axis=1), rtol=1e-4
        )
    if k == 0:
        np.testing.assert_allclose(z, published, atol=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_the_density_is_the_gaussian_of_the_data(name):
    flow, _ = METHODS[name]
    params = flow.init(jax.random.key(0), X)
    wide = X.astype(np.float64)
    gaussian = multivariate_normal(wide.mean(axis=0), np.cov(wide.T, bias=True))
    np.testing.assert_allclose(flow.log_prob(params, NEW), gaussian.logpdf(NEW), rtol=1e-4)
    draws, log_prob = flow.sample_and_log_prob(params, jax.random.key(1), 50_000)
    np.testing.assert_allclose(flow.log_prob(params, draws), log_prob, atol=1e-3)
    scale = np.cov(wide.T).max()
    np.testing.assert_allclose(np.cov(draws.T), np.cov(wide.T), atol=0.03 * scale)
    z, _ = flow.forward(params, NEW)
    back, minus = flow.inverse(params, z)
    again, log_det = flow.forward(params, back)
    np.testing.assert_allclose(again, z, atol=1e-4)
    np.testing.assert_allclose(minus, -log_det, atol=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_moments_jit_and_float64_give_the_same(name):
    flow, k = METHODS[name]
    params = flow.init(jax.random.key(0), X)
    options = {"components": k} if k > 1 else {}
    moments = moments_of(np.split(X, 5), DIM)
    from_moments = flows.make(flow.name, DIM, moments=moments, **options)
    assert from_moments.closed_form is None and flow.closed_form is not None
    others = [
        from_moments.init(jax.random.key(0), X[:1]),
        flow.closed_form.set(flow.init(jax.random.key(0), X[:9]), moments),
        jax.jit(flow.init)(jax.random.key(0), X),
    ]
    for other in others:
        assert jax.tree.structure(other) == jax.tree.structure(params)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-3), other, params)
    rows = jax.vmap(flow.log_prob, in_axes=(None, 0))(params, NEW)
    np.testing.assert_allclose(rows, flow.log_prob(params, NEW), rtol=1e-5)
    with jax.enable_x64(True):
        wide = flow.init(jax.random.key(0), jnp.asarray(X, jnp.float64))
        assert flow.log_prob(wide, NEW).dtype == jnp.float64
        np.testing.assert_allclose(flow.log_prob(wide, NEW), rows, rtol=1e-4)


def test_the_default_removes_a_hundredth_of_the_components():
    for dim, removed in ((2, 1), (199, 1), (768, 7)):
        assert flows.all_but_the_top(dim).latent_dim == dim - removed


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: flows.all_but_the_top(1), "dim: expected an integer of at least 2, got 1"),
        (lambda: flows.all_but_the_top(3, components=3), "components: expected .* 1 to 2, got 3"),
        (lambda: flows.all_but_the_top(3, components=0), "components: expected .*, got 0"),
        (lambda: bijectors.all_but_the_top(components=0), "components: expected .*, got 0"),
        (
            lambda: bijectors.all_but_the_top(components=DIM).init(jax.random.key(0), X),
            "components: expected less than dim = 8, got 8",
        ),
        (
            lambda: bijectors.invert(bijectors.all_but_the_top(components=1)).init(None, X),
            "invert: expected a bijector that keeps the dimension, got all_but_the_top",
        ),
    ],
)
def test_wrong_options_raise(call, text):
    with pytest.raises(FlowjaxError, match=text):
        call()
