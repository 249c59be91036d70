"""`whiten_latents`: after the fit the latents are white, and the density is still exact."""

import jax
import numpy as np
import pytest

import flowjax
from flowjax import flows

RNG = np.random.default_rng(0)
X = (RNG.normal(size=(1500, 6)) @ RNG.normal(size=(6, 6))).astype(np.float32)


@pytest.fixture(scope="module")
def fitted():
    flow = flows.glow(6, depth=1, width=4, whiten_latents=True)
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


def test_it_can_only_add_to_the_likelihood(fitted):
    flow, params = fitted
    before = {key: value for key, value in params.items() if key != "latents"}
    gain = flow.log_prob(params, X).mean() - flow.log_prob(before, X).mean()
    assert gain > 0.1


def test_training_itself_is_the_same(fitted):
    plain = flows.glow(6, depth=1, width=4, whiten_latents=False)
    other = flowjax.fit(plain, X, key=0, batch_size=96, steps=5).params
    same = jax.tree.map(np.array_equal, fitted[1]["bijector"], other["bijector"])
    assert all(jax.tree.leaves(same)) and "latents" not in other


def test_fewer_rows_than_dimensions_stay_tame():
    flow = flows.glow(6, depth=1, width=4, whiten_latents=True)
    params = flowjax.fit(flow, X[:4], key=0, batch_size=4, steps=2, devices=1).params
    z = np.asarray(flow.forward(params, X[4:])[0])
    assert np.isfinite(z).all() and np.abs(z).max() < 1e3


def test_a_saved_model_keeps_it(tmp_path):
    model = flowjax.BertFlow(flow="glow", flow_options={"whiten_latents": True, "width": 4})
    rows = RNG.normal(size=(400, 256)).astype(np.float32)
    model.fit_vectors(rows, steps=2, batch_size=64)
    again = flowjax.BertFlow.load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.transform(rows[:5]), model.transform(rows[:5]))


@pytest.mark.parametrize("base", ["student_t", "conditional"])
def test_over_another_base_there_is_none(base):
    """White latents are the likeliest under a normal only."""
    flow = flows.glow(6, depth=1, width=4, base=base)
    context = None if base == "student_t" else X[:, :1]
    options = {"key": 0, "batch_size": 96, "steps": 2, "context": context}
    assert "latents" not in flowjax.fit(flow, X, **options).params
    assert "whitening" not in flow.describe()
    assert "whitening" in flows.glow(6, base=flows.normal()).describe()
