"""Example weights: a weight of k is k copies of an example, in every part of a fit."""

import jax
import numpy as np
import optax
import pytest

import flowjax
from flowjax import flows
from flowjax.data.arrays import ArraySource
from flowjax.data.part import Part
from flowjax.errors import FlowjaxError
from flowjax.fitting import likelihood, passes
from flowjax.fitting.losses import nll_loss

RNG = np.random.default_rng(0)
X = (RNG.normal(size=(300, 2)) @ [[1.0, 0.5], [0.0, 2.0]]).astype(np.float32)
COUNTS = RNG.permutation(np.tile([0, 0, 1, 1, 3], 60))  # as many copies as examples
COPIES = np.repeat(X, COUNTS, axis=0)


def close(a, b, **tolerance):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, **{"rtol": 1e-4, "atol": 1e-5, **tolerance})


@pytest.mark.parametrize("name", ["whitening", "center", "all_but_the_top", "standardize"])
@pytest.mark.parametrize("resident", [True, False])
def test_closed_forms_and_likelihoods_equal_those_of_copies(name, resident):
    flow, options = flows.make(name, 2), {"key": 0}
    weighted = ArraySource(X, weights=COUNTS * 0.1, resident=resident)
    one, other = (flowjax.fit(flow, data, **options) for data in (weighted, COPIES))
    close(one.params, other.params)
    for key in ("nll_nats", "gaussian_nll_nats"):
        assert one.likelihood[key] == pytest.approx(other.likelihood[key], abs=1e-4)


def test_the_loss_and_its_gradient_equal_those_of_copies():
    """Also for a whole batch, a flow without base, and an example at infinity of weight 0."""
    flow = flows.realnvp(2, depth=2, width=8)
    params = flow.init(jax.random.key(0), X)
    far = np.append(X, [[1e30, 0]], axis=0)
    source = ArraySource(far, weights=np.append(COUNTS, 0))
    batch = {"rows": np.arange(len(far))}
    for form in (flow, flow._replace(base=None)):
        value = jax.value_and_grad(nll_loss(form), has_aux=True)
        one = value(params, source.resident, batch, None)
        other = value(params, None, {"x": COPIES}, None)
        scale = len(far) / len(X)  # the mean weight is 1 over all examples
        np.testing.assert_allclose(one[0][0], other[0][0], rtol=1e-4)
        close(one[1], other[1], rtol=1e-3, atol=1e-4)
        assert scale > 1


def test_the_whitening_of_the_latents_is_weighted():
    flow = flows.glow(2, levels=1, depth=1, width=4)
    trained = passes.trained_part(flow)
    params = trained.init(jax.random.key(0), X)
    one, other = (
        passes.finish_params(flow, params, source)
        for source in (ArraySource(X, weights=COUNTS), ArraySource(COPIES))
    )
    close(one, other, rtol=1e-3)
    nll = [
        likelihood.finished_nll(flow, source, source)(params)
        for source in (ArraySource(X, weights=COUNTS), ArraySource(COPIES))
    ]
    assert nll[0] == pytest.approx(nll[1], abs=1e-4)


def test_a_fit_finds_the_weighted_density():
    """Half of the examples come from another distribution and have weight 0."""
    other = RNG.normal(size=(300, 2)) * 3 + 50
    x, weights = np.concatenate([X, other]), np.repeat([2.0, 0.0], 300)
    flow, options = flows.realnvp(2, depth=2, width=8), {"key": 0, "batch_size": 100, "devices": 1}
    result = flowjax.fit(flow, x, weights=weights, steps=100, validation=0.2, **options)
    held = result.likelihood["validation_nll_nats"]
    alone = flowjax.fit(flow, X, steps=100, validation=0.2, **options)
    assert held == pytest.approx(alone.likelihood["validation_nll_nats"], abs=0.3)
    assert abs(np.asarray(flow.sample(result.params, jax.random.key(0), 200))).max() < 15


def test_validation_weights():
    flow, options = flows.realnvp(2, depth=2, width=8), {"key": 0, "steps": 4}
    one, other = (
        flowjax.fit(flow, X, validation=rows, validation_weights=weights, **options)
        for rows, weights in ((X, COUNTS), (COPIES, None))
    )
    for name, value in other.metrics[-1].items():
        if "validation" in name:
            assert one.metrics[-1][name] == pytest.approx(value, abs=1e-4)


def test_devices_and_streams_agree():
    flow = flows.realnvp(2, depth=2, width=8)
    options = {"key": 0, "steps": 5, "batch_size": 64, "optimizer": optax.adam(1e-2)}
    results = [
        flowjax.fit(flow, ArraySource(X, weights=COUNTS, resident=r), devices=n, **options).params
        for r, n in ((True, 1), (True, 8), (False, 1))
    ]
    close(results[0], results[1])
    close(results[0]["base"], results[2]["base"])
    whole = ArraySource(X, weights=COUNTS, resident=False)
    part = Part(whole, 0, 100, seed=0)
    rows = part.take(np.arange(100))
    found = passes.moments_of_rows(part)
    mean = np.average(rows["x"], axis=0, weights=rows["weight"])
    np.testing.assert_allclose(found.mean, mean, rtol=1e-5)
    cov = np.cov(rows["x"].T, aweights=rows["weight"], ddof=0)
    np.testing.assert_allclose(found.m2 / found.count, cov, rtol=1e-5)


BAD = {
    "negative": (np.where(np.arange(300) == 7, -1, 1), "at least 0, got -1.0 at row 7"),
    "NaN": (np.where(np.arange(300) == 7, np.nan, 1), "at least 0, got nan at row 7"),
    "infinite": (np.where(np.arange(300) == 7, np.inf, 1), "at least 0, got inf at row 7"),
    "all zero": (np.zeros(300), "at least one positive number, got 'only zeros'"),
    "too few": (np.ones(299), r"shape \(300,\), one per example, got \(299,\)"),
    "column": (np.ones((300, 1)), r"shape \(300,\), one per example, got \(300, 1\)"),
    "number": (2.0, r"shape \(300,\), one per example, got \(\)"),
    "text": (np.full(300, "a"), "real numbers, got '<U1'"),
    "masked": (np.ma.masked_equal(np.append(np.ones(299), 9), 9), "without masked values"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_weights(name):
    weights, message = BAD[name]
    flow, options = flows.realnvp(2, depth=2, width=8), {"key": 0, "steps": 1}
    with pytest.raises(FlowjaxError, match=f"^weights: expected .*{message}"):
        flowjax.fit(flow, X, weights=weights, **options)
    with pytest.raises(FlowjaxError, match=f"^validation_weights: expected .*{message}"):
        flowjax.fit(flow, X, validation=X, validation_weights=weights, **options)


def test_weights_given_twice_or_without_examples():
    flow = flows.realnvp(2, depth=2, width=8)
    with pytest.raises(
        FlowjaxError, match="weights: expected None because data is an ArraySource"
    ):
        flowjax.fit(flow, ArraySource(X), weights=COUNTS, key=0, steps=1)
    with pytest.raises(FlowjaxError, match="validation_weights: expected None, because valid"):
        flowjax.fit(flow, X, validation=0.1, validation_weights=COUNTS, key=0, steps=1)
