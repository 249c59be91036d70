"""`latent_power`: the latents are white after the fit, and the density stays exact."""

import jax
import numpy as np
import pytest

import flowjax
from flowjax import flows

RNG = np.random.default_rng(0)
X = (RNG.normal(size=(1500, 6)) @ RNG.normal(size=(6, 6))).astype(np.float32)


@pytest.fixture(scope="module")
def fitted():
    flow = flows.glow(6, depth=1, width=4, latent_power=1)
    return flow, flowjax.fit(flow, X, key=0, batch_size=96, steps=5).params


def test_latents_of_the_data_are_white(fitted):
    flow, params = fitted
    z = np.asarray(flow.forward(params, X)[0])
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(np.cov(z.T, bias=True), np.eye(6), atol=0.05)


def test_inverse_and_log_det_are_exact(fitted):
    flow, params = fitted
    z, log_det = flow.forward(params, X[:9])
    back, inverse_log_det = flow.inverse(params, z)
    np.testing.assert_allclose(back, X[:9], atol=1e-4)
    np.testing.assert_allclose(inverse_log_det, -log_det, atol=1e-5)
    jacobian = jax.vmap(jax.jacobian(lambda row: flow.forward(params, row[None])[0][0]))(X[:9])
    np.testing.assert_allclose(np.linalg.slogdet(jacobian)[1], log_det, atol=1e-4)
    draws, log_prob = flow.sample_and_log_prob(params, jax.random.key(0), 7)
    np.testing.assert_allclose(flow.log_prob(params, draws), log_prob, atol=1e-3)


def test_it_raises_the_likelihood(fitted):
    flow, params = fitted
    inner = flow.closed_form.inner
    trained = {**params, "bijector": params["bijector"][0]}
    gain = flow.log_prob(params, X).mean() - inner.log_prob(trained, X).mean()
    assert gain > 1


def test_before_the_fit_it_is_the_identity(fitted):
    flow, _ = fitted
    inner, key = flow.closed_form.inner, jax.random.key(0)
    for name in ("forward", "inverse"):
        z, log_det = getattr(flow, name)(flow.init(key, X), X)
        same, same_log_det = getattr(inner, name)(inner.init(key, X), X)
        np.testing.assert_array_equal(z, same)
        np.testing.assert_array_equal(log_det, same_log_det)


def test_training_itself_is_the_same(fitted):
    plain = flows.glow(6, depth=1, width=4, latent_power=None)
    other = flowjax.fit(plain, X, key=0, batch_size=96, steps=5).params
    same = jax.tree.map(np.array_equal, fitted[1]["bijector"][0], other["bijector"])
    assert all(jax.tree.leaves(same))


def test_fewer_rows_than_dimensions_stay_tame():
    flow = flows.glow(6, depth=1, width=4, latent_power=1)
    params = flowjax.fit(flow, X[:4], key=0, batch_size=4, steps=2, devices=1).params
    z = np.asarray(flow.forward(params, X[4:])[0])
    assert np.isfinite(z).all() and np.abs(z).max() < 1e3


def test_a_saved_model_keeps_it(tmp_path):
    model = flowjax.BertFlow(flow="glow", flow_options={"latent_power": 1, "width": 4})
    rows = RNG.normal(size=(400, 256)).astype(np.float32)
    model.fit_vectors(rows, steps=2, batch_size=64)
    again = flowjax.BertFlow.load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.transform(rows[:5]), model.transform(rows[:5]))


@pytest.mark.parametrize("base", ["student_t", "conditional"])
def test_over_another_base_there_is_none(base):
    """Whitening is the most likely affine map of the latents for a normal base only."""
    flow = flows.glow(6, depth=1, width=4, base=base)
    context = None if base == "student_t" else X[:, :1]
    options = {"key": 0, "batch_size": 96, "steps": 2, "context": context}
    params = flowjax.fit(flow, X, **options).params
    first = flow.init(jax.random.key(0), X, context)
    assert jax.tree.structure(params) == jax.tree.structure(first)
    assert flow.closed_form is None and "whitening" not in flow.describe()
    assert "whitening" in flows.glow(6, base=flows.normal()).describe()


def test_a_hand_written_loop_may_donate_the_parameters(fitted):
    """XLA refuses an array that is donated twice."""
    flow, _ = fitted
    step = jax.jit(lambda params: jax.tree.map(lambda leaf: leaf + 1, params), donate_argnums=0)
    step(flow.init(jax.random.key(0), X))
