"""Property tests of every bijector in table.py, in float32 and float64."""

from __future__ import annotations

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from table import BIJECTORS, CONTEXTUAL, DATA_DEPENDENT, QUICK, compiled, data, key, noisy

from flowjax.types import FlowjaxError, trainable_mask

# Hypothesis examples per test, always the same; FLOWJAX_EXAMPLES=200 tests more.
EXAMPLES = int(os.environ.get("FLOWJAX_EXAMPLES", "5"))
CASES = [(2, False), (3, True), (6, False), (16, True)]


def check(name: str, dim: int, x64: bool, *, scale: float = 1.0, seed: int = 0) -> None:
    """Raises AssertionError if a bijector violates the contract of `Bijector` on one batch."""
    with jax.enable_x64(x64):
        dtype, near = (np.float64, 1e-9) if x64 else (np.float32, 1e-4)
        _, init, forward, inverse, singles = compiled(name)
        x = data(dim, scale=scale, seed=seed, dtype=dtype)
        params = noisy(init(key(seed), x), seed=seed)
        latent = data(dim, seed=seed + 1, dtype=dtype)
        z, log_det = forward(params, x)
        back, back_log_det = inverse(params, z)
        again, _ = forward(params, inverse(params, latent)[0])

        assert z.shape == x.shape and log_det.shape == x.shape[:1]
        assert z.dtype == log_det.dtype == dtype
        spread = max(np.abs(x).max(), np.abs(z).max(), np.abs(latent).max())
        np.testing.assert_allclose(back, x, atol=near * spread, rtol=0)
        np.testing.assert_allclose(again, latent, atol=near * spread, rtol=0)
        digits = 10 * near * (1 + np.abs(log_det).max())
        np.testing.assert_allclose(back_log_det, -log_det, atol=digits, rtol=0)
        jacobian, (one, one_log_det) = singles(params, x)
        slogdet = np.linalg.slogdet(np.asarray(jacobian, np.float64))[1]
        np.testing.assert_allclose(log_det, slogdet, atol=digits, rtol=0)
        np.testing.assert_allclose(one, z, atol=near * spread, rtol=0)
        np.testing.assert_allclose(one_log_det, log_det, atol=digits, rtol=0)


@pytest.mark.parametrize(("dim", "x64"), CASES, ids=lambda v: str(v))
@pytest.mark.parametrize("name", BIJECTORS)
def test_contract(name, dim, x64):
    check(name, dim, x64)


@pytest.mark.parametrize("name", BIJECTORS)
@settings(max_examples=EXAMPLES, derandomize=True, deadline=None)
@given(exponent=st.floats(-3, 3), seed=st.integers(0, 10_000), x64=st.booleans())
@example(exponent=-3.0, seed=0, x64=False)
@example(exponent=3.0, seed=0, x64=False)
@example(exponent=-3.0, seed=0, x64=True)
@example(exponent=3.0, seed=0, x64=True)
def test_any_scale(name, exponent, seed, x64):
    check(name, 3 if x64 else 6, x64, scale=10.0**exponent, seed=seed)


@pytest.mark.parametrize("name", BIJECTORS)
def test_results_are_the_same_inside_of_jit(name):
    part, init, forward, _, _ = compiled(name)
    x = data(6)
    params = noisy(init(key(), x))
    for a, b in zip(forward(params, x), part.forward(params, x), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("name", DATA_DEPENDENT)
def test_init_is_the_same_inside_of_jit(name):
    """Outside of jit, whitening is computed in float64; inside, in the dtype of the data."""
    part, init, *_ = compiled(name)
    x = data(6)
    inside, outside = init(key(), x), part.init(key(), x)
    for a, b in zip(*map(jax.tree.leaves, (inside, outside)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", BIJECTORS)
def test_every_trainable_leaf_has_a_gradient(name):
    """The gradient is not zero after one step of gradient descent, and zero for frozen leaves."""
    part, init, *_ = compiled(name)
    x = data(6)

    def loss(params):
        z, log_det = part.forward(params, x)
        return jnp.mean(0.5 * jnp.sum(jnp.square(z - 0.3), axis=-1) - log_det)

    gradient = jax.jit(jax.grad(loss), compiler_options=QUICK)
    params = init(key(), x)
    after = gradient(params)
    params = jax.tree.map(lambda p, g: np.asarray(p) - 0.01 * np.asarray(g), params, after)
    leaves = jax.tree_util.tree_leaves_with_path(gradient(params))
    mask = jax.tree.leaves(trainable_mask(params))
    for (path, leaf), trains in zip(leaves, mask, strict=True):
        where = jax.tree_util.keystr(path)
        assert np.isfinite(leaf).all(), where
        assert bool(np.any(np.asarray(leaf) != 0)) == trains, where


@pytest.mark.parametrize("name", BIJECTORS)
def test_bfloat16_inputs_give_float32(name):
    part, init, *_ = compiled(name)
    x = data(6)
    z, log_det = part.forward(init(key(), x), x.astype(jnp.bfloat16))
    assert z.dtype == log_det.dtype == jnp.float32


@pytest.mark.parametrize("name", DATA_DEPENDENT)
def test_a_batch_of_one(name):
    """Initialisation from one example gives finite results, and zeros for centring bijectors."""
    part = BIJECTORS[name]()
    x = data(6, rows=1)
    z, log_det = part.forward(part.init(key(), x), x)
    assert np.isfinite(z).all() and np.isfinite(log_det).all()
    if name in ("actnorm", "whitening", "standardize"):
        np.testing.assert_array_equal(z, 0)


@pytest.mark.parametrize("name", CONTEXTUAL)
def test_context_changes_the_result(name):
    part, x = CONTEXTUAL[name](), data(6)
    context = data(2, seed=5)
    params = noisy(jax.jit(part.init)(key(), x, context))
    forward, inverse = (jax.jit(f, compiler_options=QUICK) for f in part[1:3])
    z, log_det = forward(params, x, context)
    other, _ = forward(params, x, context + 1)
    assert float(jnp.abs(z - other).max()) > 1e-3
    back, minus = inverse(params, z, context)
    np.testing.assert_allclose(back, x, atol=1e-4)
    np.testing.assert_allclose(minus, -log_det, atol=1e-4)
    one, _ = forward(params, x, context[0])  # one vector for all examples
    np.testing.assert_allclose(one[0], z[0], atol=1e-5)
    with pytest.raises(FlowjaxError, match="context: expected the width"):
        part.forward(params, x)


def test_wrong_bijectors_fail_the_check(monkeypatch):
    """A wrong inverse and a wrong log_det fail."""
    good = BIJECTORS["affine"]()
    compiled.cache_clear()
    for wrong in (
        good._replace(inverse=lambda p, z, c=None: (z, good.inverse(p, z, c)[1])),
        good._replace(forward=lambda p, x, c=None: (good.forward(p, x, c)[0], x[..., 0])),
    ):
        monkeypatch.setitem(BIJECTORS, "wrong", lambda wrong=wrong: wrong)
        compiled.cache_clear()
        with pytest.raises(AssertionError):
            check("wrong", 3, True)
    compiled.cache_clear()
