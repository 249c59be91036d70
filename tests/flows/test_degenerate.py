"""All recipes on data with constant, tiny or dependent coordinates."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from bijectors.table import QUICK, noisy
from grids import grid

from flowjax import fit, flows
from flowjax.types import trainable_mask

ROWS, DIM = 5, 6
SMALL = {"depth": 1, "width": 4, "hidden_layers": 1}
OPTIONS = {
    "glow": SMALL | {"coupling": "affine"},
    "glow_as_released": {"depth": 1, "width": 4, "levels": 1, "data_dependent_init": True},
    "neural_spline": SMALL | {"bins": 3},
    "elementwise_spline": SMALL | {"bins": 3},
    "maf": SMALL,
    "realnvp": SMALL | {"depth": 2},
    "whitening_glow": SMALL | {"levels": 1},
    "whitening, power": {"power": 0.5},
}


def situations() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, DIM)) + 3
    row = rng.normal(size=(1, DIM))
    found = {
        "constant": np.where(np.arange(DIM) == 2, 0.1, x),
        "1e-32": np.where(np.arange(DIM) == 1, 1e-32, 1) * x,
        "1e-7": np.where(np.arange(DIM) == 4, 1e-7, 1) * (x - 3),
        "equal": x[:, [0, 1, 2, 3, 4, 0]],
        "rank 2": rng.normal(size=(ROWS, 2)) @ rng.normal(size=(2, DIM)),
        "n < d": x,
        "one row repeated": np.repeat(row, ROWS, axis=0),
    }
    return {name: x.astype(np.float32) for name, x in found.items()}


@functools.cache
def recipe(name: str):
    flow = flows.make(name.split(",")[0], DIM, **OPTIONS.get(name, {}))
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2))

    def run(params, x):
        """Returns params after three steps, the round trip and samples."""
        mask = trainable_mask(params)

        def loss(params):
            return -flow.log_prob(params, x).mean()

        def step(_, carry):
            params, state = carry
            change, state = optimizer.update(jax.grad(loss)(params), state)
            return jax.tree.map(lambda p, c, m: p + c if m else p, params, change, mask), state

        params, _ = jax.lax.fori_loop(0, 3, step, (params, optimizer.init(params)))
        z, log_det = flow.forward(params, x)
        back, _ = flow.inverse(params, z)
        return params, z, log_det, back, flow.sample(params, jax.random.key(1), 50)

    return flow, jax.jit(run, compiler_options=QUICK)


# The layers of other recipes.
SLOW = ("maf", "iaf", "realnvp", "glow_as_released", "elementwise_spline")
NAMES = sorted({*flows.RECIPES, *OPTIONS} - {"identity"})


@pytest.mark.parametrize("name", grid(NAMES, slow=SLOW))
def test_every_recipe_trains_inverts_and_samples(name):
    flow, run = recipe(name)
    for situation, x in situations().items():
        params, z, log_det, back, samples = run(flow.init(jax.random.key(0), x), jnp.asarray(x))
        for leaf in jax.tree.leaves((params, z, log_det, samples)):
            assert np.isfinite(leaf).all(), situation
        size = np.abs(x).max(axis=0)
        size = np.maximum(size, 1e-3 * size.max())
        if flow.latent_dim == DIM:
            np.testing.assert_allclose(back / size, x / size, atol=5e-3, err_msg=situation)
        else:  # the removed coordinates are at their mean
            again, _ = flow.forward(params, back)
            limit = 5e-3 * np.abs(z).max()
            np.testing.assert_allclose(again, z, atol=limit, err_msg=situation)
        assert np.abs(samples).max() < 100 * size.max(), situation


def test_fit_warns_once_of_columns_that_do_not_vary():
    x = np.tile(situations()["1e-32"], (8, 1))
    flow = flows.glow(DIM, levels=1, depth=1, width=4, hidden_layers=1)
    with pytest.warns(UserWarning, match=r"got 1 of 6 .* \(columns 1\)") as seen:
        params = fit(flow, x, key=0, steps=2, batch_size=8, measured=False).params
    assert {w.filename for w in seen} == {__file__}  # the user's line
    assert len([w for w in seen if "hardly vary" in str(w.message)]) == 1
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))


def test_constant_columns_are_exactly_constant_in_any_mode():
    """The mean of 220 equal numbers has a rounding error in float32."""
    x = jnp.asarray(np.repeat(np.random.default_rng(0).normal(size=(1, 500)), 220, axis=0))
    layer = flows.standardize(500)
    for init in (layer.init, jax.jit(layer.init)):
        params = init(jax.random.key(0), x)
        z, log_det = layer.forward(params, x)
        assert not z.any() and not log_det.any()


@pytest.mark.parametrize("name", ["glow", "maf", "neural_spline", "realnvp", "whitening_glow"])
def test_gradients_are_finite_where_the_density_underflows(name):
    flow, _ = recipe(name)
    x = jnp.asarray(situations()["n < d"])
    params = noisy(flow.init(jax.random.key(0), x), size=0.1)

    def log_prob(params, x):
        value = flow.log_prob(params, x)
        return value.sum(), value

    slopes = jax.jit(jax.grad(log_prob, argnums=(0, 1), has_aux=True), compiler_options=QUICK)
    for size in (1e19, 1e22, 1e25):
        found, value = slopes(params, size * (x - 3))
        assert (value == -np.inf).any()
        finite = [np.isfinite(leaf).all() for leaf in jax.tree.leaves(found)]
        assert all(finite), size
