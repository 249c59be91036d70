"""Tests of whitening, its options, and its computation from moments."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.covariance import OAS, LedoitWolf

from flowjax import bijectors as b
from flowjax import flows
from flowjax.bijectors.moments import moments_of, no_moments
from flowjax.types import FlowjaxError


def rows(n=400, dim=5, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, dim)) @ rng.standard_normal((dim, dim)) + 3
    return x.astype(dtype)


def whiten(x, **options):
    part = b.whitening(**options)
    params = part.init(jax.random.key(0), x)
    return part, params, *part.forward(params, x)


def test_output_has_covariance_one():
    _, params, z, _ = whiten(rows())
    np.testing.assert_allclose(np.cov(np.asarray(z).T, bias=True), np.eye(5), atol=1e-4)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-5)
    assert list(params) == ["frozen"]


def test_order_and_signs_are_fixed():
    """Eigenvalues decrease, and the result does not depend on the order of the examples."""
    x = rows()
    a, c = whiten(x)[1], whiten(x[::-1])[1]
    np.testing.assert_allclose(a["frozen"]["matrix"], c["frozen"]["matrix"], atol=1e-5)
    scaled = np.asarray(a["frozen"]["inverse"])
    assert (np.diff((scaled**2).sum(axis=1)) < 0).all()
    assert (scaled[np.arange(5), np.abs(scaled).argmax(axis=1)] > 0).all()


def test_whitening_from_moments_equals_whitening_from_a_batch():
    x = rows()
    moments = moments_of(np.split(x, 4), dim=5)
    for options in ({}, {"components": 3}, {"power": 0.5}, {"shrinkage": "auto"}):
        _, params, _, _ = whiten(x, **options)
        from_moments = b.whitening_from_moments(moments, **options)
        also = whiten(x[:3], moments=moments, **options)[1]
        for p in (from_moments, also):
            jax.tree.map(lambda u, v: np.testing.assert_allclose(u, v, atol=2e-4), p, params)
    _, std, _, _ = (lambda s: (s, s.init(jax.random.key(0), x), 0, 0))(b.standardize())
    also = b.standardize(moments=moments).init(jax.random.key(0), x[:3])
    jax.tree.map(lambda u, v: np.testing.assert_allclose(u, v, atol=1e-5), also, std)


def test_fewer_components_are_probabilistic_pca():
    """log_prob is scipy's Gaussian with covariance U diag(l) U^T + s (I - U U^T)."""
    x = rows(300)
    values, vectors = np.linalg.eigh(np.cov(x.T.astype(np.float64), bias=True))
    keep, noise = vectors[:, -2:], values[:3].mean()
    model = keep @ np.diag(values[-2:] - noise) @ keep.T + noise * np.eye(5)
    flow = flows.whitening(5, components=2)
    params = flow.init(jax.random.key(0), x)
    wanted = multivariate_normal(x.mean(axis=0), model).logpdf(x)
    np.testing.assert_allclose(flow.log_prob(params, x), wanted, atol=5e-5)
    samples = flow.sample(params, jax.random.key(1), 100_000)
    np.testing.assert_allclose(np.cov(samples.T), model, atol=0.03 * values.max())
    z, _ = flow.forward(params, x)
    back, log_det = flow.inverse(params, z)
    again, minus = flow.forward(params, back)
    np.testing.assert_allclose(again, z, atol=1e-4)
    np.testing.assert_allclose(log_det, -minus, atol=1e-3)
    assert z.shape == (300, 2) and flow.latent_dim == 2 and flow.dim == 5


def test_soft_whitening():
    _, _, z, _ = whiten(rows(), power=0.5)
    cov = np.cov(np.asarray(z).T, bias=True)
    values = np.linalg.eigvalsh(np.cov(rows().T, bias=True))[::-1]
    np.testing.assert_allclose(np.diag(cov), np.sqrt(values), rtol=1e-3)
    np.testing.assert_allclose(cov - np.diag(np.diag(cov)), 0, atol=1e-3)


def test_shrinkage_mixes_with_the_spherical_covariance():
    x = rows(dtype=np.float64)
    cov = np.cov(x.T, bias=True)
    mixed = 0.7 * cov + 0.3 * np.trace(cov) / 5 * np.eye(5)
    matrix = np.asarray(whiten(x, shrinkage=0.3)[1]["frozen"]["matrix"])
    np.testing.assert_allclose(matrix.T @ mixed @ matrix, np.eye(5), atol=1e-4)


@pytest.mark.parametrize("shrinkage", ["auto", "likelihood", "ledoit_wolf"])
def test_estimated_shrinkage_helps_with_few_examples(shrinkage):
    """Shrinkage improves the density for 20 examples in 30 dims and vanishes for many examples."""
    rng = np.random.default_rng(0)
    few, many = rng.standard_normal((20, 30)), rng.standard_normal((20_000, 4)) * [1, 2, 3, 4]
    flow = flows.whitening(30, shrinkage=shrinkage)
    test = rng.standard_normal((200, 30))
    got = flow.log_prob(flow.init(jax.random.key(0), few), test).mean()
    plain = flows.whitening(30)
    assert got > plain.log_prob(plain.init(jax.random.key(0), few), test).mean() + 100
    shrunk, sample = (whiten(many, shrinkage=s)[1] for s in (shrinkage, 0.0))
    jax.tree.map(lambda u, v: np.testing.assert_allclose(u, v, atol=5e-2), shrunk, sample)
    inside = jax.jit(b.whitening(shrinkage=shrinkage).init)(jax.random.key(0), few)
    outside = b.whitening(shrinkage=shrinkage).init(jax.random.key(0), few)
    logs = [float(p["frozen"]["log_det"]) for p in (inside, outside)]
    np.testing.assert_allclose(*logs, atol=1e-2)


def oas(x):
    """Returns the covariance of equation 23 of the paper; scikit-learn omits its terms 2 / dim."""
    (n, dim), cov = x.shape, np.cov(x.T, bias=True)
    square, trace = np.trace(cov @ cov), np.trace(cov)
    top, bottom = (1 - 2 / dim) * square + trace**2, square - trace**2 / dim
    weight = min(1, top / ((n + 1 - 2 / dim) * bottom))
    return (1 - weight) * cov + weight * trace / dim * np.eye(dim)


def ledoit_wolf(x):
    return LedoitWolf().fit(x).covariance_


@pytest.mark.parametrize(("name", "reference"), [("auto", oas), ("ledoit_wolf", ledoit_wolf)])
def test_estimated_shrinkage_is_that_of_the_references(name, reference):
    for n, dim in ((50, 5), (20, 30), (500, 3)):
        x = np.random.default_rng(0).normal(size=(n, dim)) * np.linspace(1, 2, dim) + 3
        p = whiten(x, shrinkage=name, eigenvalue_floor=1e-12)[1]["frozen"]
        inverse = np.asarray(p["inverse"], np.float64)  # inverse^T inverse is the covariance
        np.testing.assert_allclose(inverse.T @ inverse, reference(x), atol=1e-5)
    x = np.random.default_rng(0).normal(size=(300, 200)) * np.linspace(1, 2, 200)
    np.testing.assert_allclose(oas(x), OAS().fit(x).covariance_, atol=0.01)


@pytest.mark.parametrize("floor", [1e-6, 1e-2, 0.3])
def test_the_floor_of_the_eigenvalues_of_the_correlation_matrix(floor):
    x = rows(dtype=np.float64) * [1, 10, 1e-2, 1, 1]
    x[:, 4] = x[:, 0] + 1e-5 * x[:, 4]  # an eigenvalue of nearly 0
    std = x.std(axis=0)
    values, vectors = np.linalg.eigh(np.corrcoef(x.T))
    wanted = (vectors * np.maximum(values, floor * values[-1])) @ vectors.T
    inverse = np.asarray(whiten(x, eigenvalue_floor=floor)[1]["frozen"]["inverse"]) / std
    np.testing.assert_allclose(inverse.T @ inverse, wanted, atol=1e-5)
    if floor == 1e-6:
        default = np.asarray(whiten(x)[1]["frozen"]["inverse"]) / std
        np.testing.assert_allclose(default, inverse, atol=1e-6)


@pytest.mark.parametrize("n", [30, 60, 400])
def test_the_likelihood_weight_has_nearly_the_best_held_out_likelihood(n):
    """Variances differ by 1e4, so the weight with the least squared error is too large."""
    rng = np.random.default_rng(1)
    train, test = (rng.standard_normal((m, 20)) * np.geomspace(0.1, 10, 20) for m in (n, 3000))

    def held(shrinkage):
        flow = flows.whitening(20, shrinkage=shrinkage)
        return float(flow.log_prob(flow.init(jax.random.key(0), train), test).mean())

    found, best = held("likelihood"), max(map(held, np.geomspace(1e-5, 1, 40)))
    assert found > best - 1.5  # nats; with n = 30 for 20 dimensions, 1.0
    if n < 400:
        assert found > held("auto") + 1


@pytest.mark.parametrize("name", ["constant", "repeated", "few", "one", "huge", "tiny"])
def test_degenerate_data_give_finite_results(name):
    x = rows(50).astype(np.float64)
    x = {
        "constant": np.concatenate([x, np.full((50, 1), 7.0)], axis=1),
        "repeated": np.concatenate([x, x[:, :2]], axis=1),
        "few": x[:3],
        "one": x[:1],
        "huge": x + 1e6,
        "tiny": x * 1e-12,
    }[name].astype(np.float32)
    for part in (b.whitening(), b.standardize(), b.actnorm()):
        for init in (part.init, jax.jit(part.init)):
            params = init(jax.random.key(0), x)
            z, log_det = part.forward(params, x)
            back, _ = part.inverse(params, z)
            assert np.isfinite(z).all() and np.isfinite(log_det).all()
            np.testing.assert_allclose(back, x, atol=2e-4 * np.abs(x).max())
            if name == "constant":
                assert np.abs(np.asarray(z)).max() < 20


def test_standardize_inputs_of_1e6():
    x = rows(200) + np.float32(1e6)
    part = b.standardize()
    z, _ = part.forward(part.init(jax.random.key(0), x), x)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=0.06)  # spacing of float32 at 1e6
    np.testing.assert_allclose(z.std(axis=0), 1, atol=1e-2)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: b.whitening(components=0), "components: expected an integer of at least 1"),
        (lambda: whiten(rows(), components=6), "components: expected at most dim = 5, got 6"),
        (lambda: b.whitening(power=2), "power: expected a number in"),
        (lambda: b.whitening(shrinkage="lots"), "shrinkage: expected a number in"),
        (lambda: b.whitening(shrinkage=1.5), "shrinkage: expected a number in"),
        (lambda: b.whitening(eigenvalue_floor=0), "eigenvalue_floor: expected"),
        (lambda: b.whitening_from_moments(no_moments(3)), "at least one example"),
        (
            lambda: b.whitening_from_moments(no_moments(3), shrinkage="ledoit_wolf"),
            "expected a number, 'auto' or 'likelihood' with moments, got 'ledoit_wolf'",
        ),
        (
            lambda: b.whitening(moments=moments_of([rows()], 5)).init(None, jnp.ones((2, 3))),
            r"x: expected \(n, 5\), got \(2, 3\)",
        ),
    ],
)
def test_wrong_arguments_raise(call, text):
    with pytest.raises(FlowjaxError, match=text):
        call()


COLUMNS = np.random.default_rng(3).normal(size=(60, 3))
HARD = {
    "constant": np.column_stack([np.full(60, 1e6), COLUMNS[:, :2]]),
    "far off": COLUMNS + 1e6,
    "small": COLUMNS * 1e-20,
    "large": COLUMNS * 1e18,
    "few": np.random.default_rng(4).normal(size=(5, 12)),
}


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("options", [{}, {"components": 2, "shrinkage": 0.1}], ids=str)
def test_density_is_the_same_inside_and_outside_of_jit(name, options):
    """Inside of jit, the computation is in float32 instead of float64."""
    x = jnp.asarray(HARD[name], jnp.float32)
    flow = flows.whitening(x.shape[1], **options)
    outside = flow.log_prob(flow.init(jax.random.key(0), x), x)
    inside = flow.log_prob(jax.jit(flow.init)(jax.random.key(0), x), x)
    assert np.isfinite(outside).all()
    np.testing.assert_allclose(inside, outside, atol=1e-3)


def test_constant_float64_columns_with_rounding_errors():
    x = np.full((50, 3), 0.1)
    for params in (
        b.whitening_from_moments(moments_of([x[:17], x[17:]], dim=3)),
        b.whitening().init(jax.random.key(0), x),
    ):
        np.testing.assert_allclose(np.abs(params["frozen"]["matrix"]).max(), 1, rtol=1e-6)
    with jax.enable_x64(True):
        params = b.whitening().init(jax.random.key(0), x)
        np.testing.assert_allclose(np.abs(params["frozen"]["matrix"]).max(), 1, rtol=1e-6)


@pytest.mark.parametrize("n", [220, 240])
def test_constant_columns_with_rounding_errors_inside_of_jit(n):
    """For these n, the mean of equal numbers has a rounding error, even if computed twice."""
    params = jax.jit(b.whitening().init)(jax.random.key(0), jnp.full((n, 3), 0.1))
    np.testing.assert_allclose(np.abs(params["frozen"]["matrix"]).max(), 1, rtol=1e-6)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_linear_lu_with_pca_init_is_finite_on_hard_data(offset):
    for name, x in HARD.items():
        layer, x = b.linear_lu(init="pca"), jnp.asarray(x + offset, jnp.float32)
        z, log_det = layer.forward(layer.init(jax.random.key(0), x), x)
        assert np.isfinite(z).all() and np.isfinite(log_det).all(), name
