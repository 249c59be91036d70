"""Property tests of every bijector in table.py, in float32 and float64."""

from __future__ import annotations

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from grids import grid
from hypothesis import example, given, settings
from hypothesis import strategies as st
from table import BIJECTORS, CONTEXTUAL, DATA_DEPENDENT, QUICK, compiled, data, key, noisy

from flowjax.types import FlowjaxError, trainable_mask

# Hypothesis examples per test, always the same; FLOWJAX_EXAMPLES=200 tests more.
EXAMPLES = int(os.environ.get("FLOWJAX_EXAMPLES", "3"))
CASES = grid([(6, False), (5, True), (2, False), (16, True)], default=[(6, False), (5, True)])
# Largest error of values and of log_det, in units of the rounding error of their largest entry.
VALUES, LOG_DETS = 300, 1000
# The same for data of any scale, whose mean noisy parameters shift by many standard deviations.
SCALED = 30
# Largest rounding error of a spline on ±5, also for smaller data.
SPLINE = 50


def close(got, wanted, factor: float, size: float | None = None, unit: float = 0.0) -> None:
    """Raises AssertionError if two arrays differ by more than rounding errors.

    Each side of a bijector is compared in its own unit, so that an error of small latents is not
    hidden by large data.
    """
    got, wanted = np.asarray(got), np.asarray(wanted)
    size = float(np.abs(wanted).max()) if size is None else size
    limit = (factor * size + unit) * np.finfo(got.dtype).eps
    np.testing.assert_allclose(got, wanted, atol=limit, rtol=0)


def check(name: str, dim: int, x64: bool, *, scale: float = 1.0, seed: int = 0) -> None:
    """Raises AssertionError if a bijector violates the contract of `Bijector` on one batch."""
    with jax.enable_x64(x64):
        dtype = np.float64 if x64 else np.float32
        _, init, forward, inverse, singles = compiled(name)
        x = data(dim, scale=scale, seed=seed, dtype=dtype)
        params = noisy(init(key(seed), x), seed=seed)
        latent = data(dim, seed=seed + 1, dtype=dtype)
        z, log_det = forward(params, x)
        back, back_log_det = inverse(params, z)
        again, _ = forward(params, inverse(params, latent)[0])

        assert z.shape == x.shape and log_det.shape == x.shape[:1]
        assert z.dtype == log_det.dtype == dtype
        values, log_dets = (n * (1 if scale == 1 else SCALED) for n in (VALUES, LOG_DETS))
        unit = SPLINE if "spline" in name else 0.0
        if name == "affine_glow_net":  # noise in its log-scales makes its shifts large
            unit = SPLINE * float(np.abs(z).max())
        close(back, x, values, unit=unit)
        close(again, latent, values, unit=unit)
        size = 1 + float(np.abs(log_det).max())
        close(back_log_det, -log_det, log_dets, size)
        jacobian, (one, one_log_det) = singles(params, x)
        slogdet = np.linalg.slogdet(np.asarray(jacobian, np.float64))[1]
        close(log_det, slogdet, log_dets, size)
        close(one, z, values, unit=unit)
        close(one_log_det, log_det, log_dets, size)


@pytest.mark.parametrize("name", BIJECTORS)
def test_gradients_of_both_directions(name):
    """Reverse mode against central differences, which know no rule of differentiation."""
    with jax.enable_x64(True):
        part, init, forward, _, singles = compiled(name)
        x = data(5, dtype=np.float64)
        params = noisy(init(key(), x))
        step, cotangent = np.random.default_rng(1).standard_normal((2, *x.shape))
        ends = [forward(params, x + h * step)[0] for h in (1e-6, -1e-6)]
        jacobian, (z, _) = singles(params, x)
        slope = np.einsum("nij,nj->ni", jacobian, step)
        np.testing.assert_allclose((ends[0] - ends[1]) / 2e-6, slope, rtol=1e-6, atol=1e-6)

        def pulled(params, z, cotangent):
            return jax.vjp(lambda z: part.inverse(params, z)[0], z)[1](cotangent)[0]

        rows = jax.jit(pulled, compiler_options=QUICK)(params, z, jnp.asarray(cotangent))
        again = np.einsum("ni,nij->nj", rows, jacobian)  # the inverse of the Jacobian
        np.testing.assert_allclose(again, cotangent, rtol=1e-6, atol=1e-6)


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
    check(name, 5 if x64 else 6, x64, scale=10.0**exponent, seed=seed)


# One of each kind; with `-m slow`, all of them.
KINDS = ("actnorm", "permutation", "linear_lu", "householder", "affine_swap", "spline", "split")
KINDS += ("repeat", "repeat_scan", "whitening", "autoregressive", "elementwise_spline")


@pytest.mark.parametrize("name", grid(BIJECTORS, default=KINDS))
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
    params = jax.eval_shape(init, key(), x)
    z, log_det = jax.eval_shape(part.forward, params, x.astype(jnp.bfloat16))
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
    for i, wrong in enumerate((
        good._replace(inverse=lambda p, z, c=None: (z, good.inverse(p, z, c)[1])),
        good._replace(forward=lambda p, x, c=None: (good.forward(p, x, c)[0], x[..., 0])),
    )):  # fmt: skip
        monkeypatch.setitem(BIJECTORS, f"wrong {i}", lambda wrong=wrong: wrong)
        with pytest.raises(AssertionError):
            check(f"wrong {i}", 5, True)
