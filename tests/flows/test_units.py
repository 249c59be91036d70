"""The same fit in all units of the data and of the context."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bijectors.table import QUICK, noisy
from grids import grid

from flowjax import fit, flows
from flowjax.types import FROZEN

SMALL = {"depth": 1, "width": 4, "hidden_layers": 1}
OPTIONS = {
    "glow": SMALL | {"levels": 1, "coupling": "affine", "latent_power": None},
    "neural_spline": SMALL | {"bins": 3},
    "elementwise_spline": SMALL | {"bins": 3},
    "maf": SMALL,
    "realnvp": SMALL | {"depth": 2},
    "standardize": {},
    "whitening": {},
    "whitening, power": {"power": 0.5},
    "center": {},
    "all_but_the_top": {},
    "whitening_glow": SMALL | {"levels": 1, "coupling": "affine"},
}
DIM, ROWS = 4, 100
UNITS = {
    "1e-6": (1e-6, 0),
    "1e6": (1e6, 0),
    "offset": (1, 100),
    "offset of mixed units": (np.array([1e-6, 1, 1e6, 1e-3]), np.array([1e-5, -30, 1e7, 0.1])),
    "mixed": (np.array([1e-6, 1e6, 1e-3, 1e6]), 0),
}


def data(n: int = ROWS) -> np.ndarray:
    """Returns skewed, correlated data."""
    rng = np.random.default_rng(0)
    return rng.gamma(2.0, size=(n, DIM)) @ (np.eye(DIM) + 0.3 * rng.normal(size=(DIM, DIM)))


@functools.cache
def recipe(name: str):
    flow = flows.make(name.split(",")[0], DIM, **OPTIONS[name])

    def loss(params, x, context):
        log_prob = flow.log_prob(params, x, context)
        return -log_prob.mean(), log_prob

    return flow, jax.jit(jax.value_and_grad(loss, has_aux=True), compiler_options=QUICK)


def evaluate(name: str, x, context=None):
    """Returns log_prob and its gradient, at trainable parameters away from their start."""
    flow, gradient = recipe(name)
    x = jnp.asarray(x, jnp.float32)
    args = (x,) if context is None else (x, jnp.asarray(context, jnp.float32))
    # The principal axes of a whitening depend on the units, its density does not.
    params = noisy(flow.init(jax.random.key(0), *args), size=0 if "whitening" in name else 0.1)
    (_, log_prob), slope = gradient(params, x, None if context is None else args[1])
    trained = [
        (np.asarray(leaf), np.asarray(change))
        for (path, leaf), change in zip(
            jax.tree_util.tree_leaves_with_path(params), jax.tree.leaves(slope), strict=True
        )
        if FROZEN not in str(path)
    ]
    return params, np.asarray(log_prob), trained


@pytest.mark.parametrize("unit", grid(UNITS, default=["mixed", "offset of mixed units"]))
@pytest.mark.parametrize("name", OPTIONS)
def test_density_and_gradient_are_the_same_in_all_units(name, unit):
    """Equal gradients of equal parameters result in equal fits."""
    scale, offset = UNITS[unit]
    _, plain, trained = evaluate(name, data())
    _, scaled, also = evaluate(name, data() * scale + offset)
    log_scale = np.log(np.broadcast_to(scale, DIM)).sum()
    np.testing.assert_allclose(scaled + log_scale, plain, atol=2e-3, rtol=2e-3)
    if name == "whitening_glow" and np.ndim(scale):
        return
    for (leaf, slope), (other, change) in zip(trained, also, strict=True):
        np.testing.assert_allclose(other, leaf, atol=1e-3)
        np.testing.assert_allclose(change, slope, atol=2e-3 + 2e-3 * np.abs(slope).max())


def test_a_fit_is_the_same_in_mixed_units():
    flow, (scale, offset) = (
        flows.realnvp(DIM, **OPTIONS["realnvp"]),
        UNITS["offset of mixed units"],
    )
    found = []
    for x, change in ((data(), 0.0), (data() * scale + offset, np.log(scale).sum())):
        params = fit(flow, x, key=0, steps=40, batch_size=48, measured=False).params
        found.append(float(flow.log_prob(params, x.astype(np.float32)).mean()) + change)
    np.testing.assert_allclose(*found, atol=0.01)


CONTEXTS = {"year": (30, 1990), "unix time": (1e7, 1.6e9), "1e-4": (1e-4, 0), "1e6": (1e6, 0)}


@pytest.mark.parametrize("unit", CONTEXTS)
def test_density_and_gradient_are_the_same_in_all_units_of_the_context(unit):
    name = "realnvp"
    scale, offset = CONTEXTS[unit]
    context = np.random.default_rng(1).uniform(size=(ROWS, 2))
    _, plain, trained = evaluate(name, data(), context)
    _, scaled, also = evaluate(name, data(), context * scale + offset)
    np.testing.assert_allclose(scaled, plain, atol=2e-3)
    for (_, slope), (_, change) in zip(trained, also, strict=True):
        np.testing.assert_allclose(change, slope, atol=2e-3 + 2e-3 * np.abs(slope).max())


@pytest.mark.parametrize("white", [False, True])
def test_all_functions_standardize_the_context(white):
    x, years = data(), 1990 + 30 * np.random.default_rng(1).uniform(size=(ROWS, 1))
    years = np.asarray(years, np.float32)
    if white:
        flow = flows.glow(DIM, levels=1, depth=1, width=4, hidden_layers=1)
        assert flow.closed_form is not None
    else:
        flow = flows.realnvp(DIM, **OPTIONS["realnvp"], base="conditional")
    key = jax.random.key(0)
    params = noisy(flow.init(key, x, years), size=0.3)
    frozen = params["context"][FROZEN]
    scaled = (years - np.asarray(frozen["mean"])) / np.exp(np.asarray(frozen["log_std"]))
    np.testing.assert_allclose([scaled.mean(), scaled.std()], [0, 1], atol=1e-4)
    body = {"bijector": params["bijector"], "base": params["base"]}  # takes the context as it is
    n, close = ROWS, functools.partial(np.testing.assert_allclose, atol=1e-4, rtol=1e-4)
    for c, s in ((years, scaled), (years[3], scaled[3])):
        close(flow.log_prob(params, x, c), flow.log_prob(body, x, s))
        close(flow.forward(params, x, c)[0], flow.forward(body, x, s)[0])
        close(flow.inverse(params, x, c)[0], flow.inverse(body, x, s)[0])
        close(flow.sample(params, key, n, c), flow.sample(body, key, n, s))
        parts = flow.sample_and_log_prob(params, key, n, c)
        close(parts[1], flow.sample_and_log_prob(body, key, n, s)[1])
        close(sum(flow.log_parts(params, x, c)), flow.log_prob(body, x, s))
    with pytest.raises(ValueError, match="context: expected the width of init, 1, got"):
        flow.log_prob(params, x, np.zeros((ROWS, 2)))
