"""`latent_power`: coordinates of the latents for every power, over the same density."""

import jax
import numpy as np
import pytest
from grids import grid

import flowjax
from flowjax import flows
from flowjax.flows.latents import divided, joined

RNG = np.random.default_rng(0)
X = (RNG.normal(size=(1500, 6)) @ RNG.normal(size=(6, 6)) + 2).astype(np.float32)
GLOW = {"depth": 1, "width": 4}
POWERS = (0.0, 0.3, 1.0)


@pytest.fixture(scope="module")
def fitted():
    """The paper's flow, and the same fit with a map of the latents of each power."""
    options = {"key": 0, "batch_size": 96, "steps": 5, "measured": False}
    plain = flows.glow(6, latent_power=None, **GLOW)
    found = {None: (plain, flowjax.fit(plain, X, **options).params)}
    for power in POWERS:
        flow = flows.glow(6, latent_power=power, **GLOW)
        found[power] = flow, flowjax.fit(flow, X, **options).params
    return found


def latents(flow, params):
    return np.asarray(flow.forward(params, X)[0], np.float64)


def cosines(z):
    z = z[:200] / np.linalg.norm(z[:200], axis=1, keepdims=True)
    return z @ z.T


@pytest.mark.parametrize("power", grid(POWERS, default=[0.3]))
def test_the_density_is_the_same_for_every_power_and_the_inverse_exact(fitted, power):
    flow, params = fitted[power]
    wanted = fitted[1.0][0].log_prob(fitted[1.0][1], X)
    np.testing.assert_allclose(flow.log_prob(params, X), wanted, rtol=2e-6, atol=2e-5)
    z, log_det = flow.forward(params, X[:9])
    back, inverse_log_det = flow.inverse(params, z)
    np.testing.assert_allclose(back, X[:9], atol=1e-4)
    np.testing.assert_allclose(inverse_log_det, -log_det, atol=1e-5)
    jacobian = jax.vmap(jax.jacobian(lambda row: flow.forward(params, row[None])[0][0]))(X[:9])
    np.testing.assert_allclose(np.linalg.slogdet(jacobian)[1], log_det, atol=1e-4)
    draws, log_prob = flow.sample_and_log_prob(params, jax.random.key(0), 20_000)
    np.testing.assert_allclose(flow.log_prob(params, draws), log_prob, atol=1e-3)
    np.testing.assert_allclose(np.cov(draws.T), np.cov(X.T), atol=0.05 * X.var())


def test_power_0_has_the_cosines_of_the_paper_and_power_1_is_white(fitted):
    for flow, params in (fitted[0.0], fitted[None]):
        np.testing.assert_allclose(
            cosines(latents(flow, params)), cosines(latents(*fitted[None])), atol=1e-5
        )
    z = latents(*fitted[1.0])
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(np.cov(z.T, bias=True), np.eye(6), atol=0.02)
    assert fitted[1.0][0].base is flows.normal() and fitted[None][0].closed_form is None


def test_any_power_needs_one_fit(fitted):
    mean, sd = flows.latent_moments(*fitted[0.0])
    z0 = latents(*fitted[0.0])
    np.testing.assert_allclose(z0.mean(axis=0), mean, atol=1e-4)
    np.testing.assert_allclose(z0.std(axis=0), sd, rtol=0.01)
    flow, params = fitted[0.3]
    inner = flow.closed_form.take(params)
    assert jax.tree.structure(inner) == jax.tree.structure(fitted[None][1])
    for start in POWERS:
        for power in POWERS:
            other, its = flows.at_power(*fitted[start], power)
            assert other.recipe == fitted[power][0].recipe
            assert other.layers == fitted[power][0].layers
            assert jax.tree.structure(its) == jax.tree.structure(fitted[power][1])
            z = latents(other, its)
            np.testing.assert_allclose(z, latents(*fitted[power]), atol=1e-4)
            np.testing.assert_allclose(z, (z0 - power * mean) * sd**-power, atol=1e-4)
    assert np.array_equal(flows.latent_moments(*fitted[1.0]), [np.zeros(6), np.ones(6)])
    with pytest.raises(ValueError, match="flow: expected a whitening, or a recipe with a number"):
        flows.at_power(*fitted[None], 0.5)
    with pytest.raises(ValueError, match=r"latent_power: expected a number in \[0, 1\], got 1.5"):
        flows.at_power(*fitted[0.0], 1.5)


def test_it_raises_the_likelihood(fitted):
    gain = fitted[0.3][0].log_prob(fitted[0.3][1], X) - fitted[None][0].log_prob(
        fitted[None][1], X
    )
    assert gain.mean() > 1


@pytest.mark.parametrize("power", grid([0.3, 1.0], default=[0.3]))
def test_before_the_fit_it_is_the_identity(fitted, power):
    flow, key = fitted[power][0], jax.random.key(0)
    inner = flow.closed_form.inner
    for name in ("forward", "inverse"):
        z, log_det = getattr(flow, name)(flow.init(key, X), X)
        same, same_log_det = getattr(inner, name)(inner.init(key, X), X)
        np.testing.assert_array_equal(z, same)
        np.testing.assert_array_equal(log_det, same_log_det)
    np.testing.assert_array_equal(
        flow.log_prob(flow.init(key, X), X), inner.log_prob(inner.init(key, X), X)
    )


def test_training_itself_is_the_same(fitted):
    same = jax.tree.map(np.array_equal, fitted[0.3][1]["bijector"][0], fitted[None][1]["bijector"])
    assert all(jax.tree.leaves(same))


RECIPES = {
    "realnvp": {"depth": 2, "width": 4},
    "neural_spline": {"depth": 1, "width": 4, "bins": 3},
    "maf": {"depth": 1, "width": 4},
    "iaf": {"depth": 1, "width": 4},
    "glow_as_released": {"levels": 1, "depth": 1, "width": 4, "data_dependent_init": True},
    "whitening_glow": {"components": 4, "levels": 1, "depth": 1, "width": 4},
}


SLOW = ("realnvp", "neural_spline", "maf", "iaf", "glow_as_released")  # glow is above


@pytest.mark.parametrize("name", grid(RECIPES, slow=SLOW))
def test_every_trained_recipe_has_powers(name):
    """With components, whitening_glow also has a closed form that comes first."""
    flow = flows.make(name, 6, latent_power=0.5, **RECIPES[name])
    params = flowjax.fit(flow, X, key=0, batch_size=96, steps=2, measured=False).params
    white, its = flows.at_power(flow, params, 1.0)
    z = latents(white, its)
    np.testing.assert_allclose(np.cov(z.T, bias=True), np.eye(z.shape[1]), atol=0.02)
    wanted = white.log_prob(its, X)
    np.testing.assert_allclose(flow.log_prob(params, X), wanted, rtol=1e-5, atol=1e-4)
    draws, log_prob = flow.sample_and_log_prob(params, jax.random.key(0), 20_000)
    np.testing.assert_allclose(flow.log_prob(params, draws), log_prob, atol=2e-3)
    np.testing.assert_allclose(np.cov(draws.T), np.cov(X.T), atol=0.15 * X.var())
    again = flowjax.fit(flow, X, key=0, batch_size=96, steps=1, params=params, measured=False)
    assert jax.tree.structure(again.params) == jax.tree.structure(params)


@pytest.mark.parametrize("components", [None, 3])
@pytest.mark.parametrize("base", grid(["normal", "student_t"], slow=["student_t"]))
def test_whitening_has_the_same_density_for_every_power(components, base):
    options = {"components": components, "base": base}
    start = flows.whitening(6, **options)
    params = start.init(jax.random.key(0), X)
    wanted, z1 = start.log_prob(params, X), latents(start, params)
    for power in POWERS:
        flow = flows.whitening(6, power=power, **options)
        for its in (flow.init(jax.random.key(0), X), jax.jit(flow.init)(jax.random.key(0), X)):
            np.testing.assert_allclose(flow.log_prob(its, X), wanted, rtol=1e-5, atol=2e-5)
        other, moved = flows.at_power(start, params, power)
        assert other.recipe == flow.recipe
        z = latents(flow, flow.init(jax.random.key(0), X))
        np.testing.assert_allclose(latents(other, moved), z, atol=1e-4)
        _, sd = flows.latent_moments(other, moved)
        np.testing.assert_allclose(z, z1 * sd, atol=1e-4)
        draws, log_prob = flow.sample_and_log_prob(moved, jax.random.key(0), 50)
        np.testing.assert_allclose(flow.log_prob(moved, draws), log_prob, atol=1e-3)


def test_fewer_rows_than_dimensions_stay_tame():
    flow = flows.glow(6, latent_power=1, **GLOW)
    params = flowjax.fit(
        flow, X[:4], key=0, batch_size=4, steps=2, devices=1, measured=False
    ).params
    z = np.asarray(flow.forward(params, X[4:])[0])
    assert np.isfinite(z).all() and np.abs(z).max() < 1e3


@pytest.mark.parametrize("power", grid([None, 0.2, 1], default=[0.2]))
def test_a_saved_model_keeps_it(tmp_path, power):
    options = {"latent_power": power, "levels": 1, **GLOW}
    model = flowjax.BertFlow(flow="glow", flow_options=options)
    rows = RNG.normal(size=(400, 256)).astype(np.float32)
    model.fit_vectors(rows, steps=2, batch_size=64)
    again = flowjax.BertFlow.load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.transform(rows[:5]), model.transform(rows[:5]))
    assert again.flow.recipe == model.flow.recipe


@pytest.mark.parametrize("base", ["student_t", "conditional"])
def test_over_another_base_there_is_none(base):
    """Whitening is the most likely affine map of the latents for a normal base only."""
    flow = flows.glow(6, base=base, **GLOW)
    context = None if base == "student_t" else X[:, :1]
    options = {"key": 0, "batch_size": 96, "steps": 2, "context": context, "measured": False}
    params = flowjax.fit(flow, X, **options).params
    first = flow.init(jax.random.key(0), X, context)
    assert jax.tree.structure(params) == jax.tree.structure(first)
    assert flow.closed_form is None and "whitening" not in flow.describe()
    assert "whitening" in flows.glow(6, base=flows.normal()).describe()


@pytest.mark.parametrize("flow", [flows.glow(6, **GLOW), flows.center(6)], ids=["glow", "center"])
def test_a_hand_written_loop_may_donate_the_parameters(flow):
    """XLA refuses an array that is donated twice."""
    step = jax.jit(lambda params: jax.tree.map(lambda leaf: leaf + 1, params), donate_argnums=0)
    step(flow.init(jax.random.key(0), X))


def test_the_parts_of_a_divided_whitening_are_the_whole():
    whole = flows.whitening(6).init(jax.random.key(0), X)["bijector"]
    for power, centre in ((0.0, 0.0), (0.4, 1.0), (0.7, 0.7)):
        again = joined(*divided(whole, power, centre=centre))
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), again, whole
        )
