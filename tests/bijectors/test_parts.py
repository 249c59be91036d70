"""Tests of actnorm, permutations, frozen parameters, and checks of inputs."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from table import BIJECTORS, compiled, data, key, noisy

from flowjax import bijectors as b
from flowjax.types import FlowjaxError, trainable_mask


def test_actnorm_standardizes_the_first_batch_at_any_scale():
    x = data(6, rows=50) * jnp.array([1e-3, 1, 1e3, 1e-12, 1e12, 1]) + jnp.array(
        [0, 0, 0, 0, 0, 5]
    )
    part = b.actnorm()
    z, _ = part.forward(part.init(key(), x), x)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(z.std(axis=0), 1, atol=1e-4)


def test_actnorm_centres_constant_columns():
    x = data(3, rows=50).at[:, 1].set(1e6 / 3)
    params = b.actnorm().init(key(), x)
    assert float(params["log_scale"][1]) == 0 and float(params["log_scale"][0]) != 0
    z, _ = b.actnorm().forward(params, x)
    np.testing.assert_allclose(z[:, 1], 0, atol=0.05)


def test_columns_that_only_rounding_errors_vary_are_not_scaled():
    """Also columns that vary 1e25 times less than another one."""
    for n in (2, 220, 999):
        wobble = np.arange(n) % 2
        large = np.where(wobble, np.nextafter(np.float32(1e9), np.float32(2e9)), 1e9)
        x = np.stack([wobble, large, 1e-32 * wobble, np.full(n, 0.1)], axis=1)
        for init in (b.actnorm().init, jax.jit(b.actnorm().init)):
            log_scale = init(key(), jnp.asarray(x, jnp.float32))["log_scale"]
            np.testing.assert_array_equal(np.asarray(log_scale) == 0, [False, True, True, True])


def test_no_scatter_in_any_gradient():
    """A scatter-add would be slow on a CPU."""
    x = data(6)
    for name in ("permutation", "additive_checkerboard_swap", "spline", "repeat", "split"):
        part, init, *_ = compiled(name)
        params = init(key(), x)

        def loss(params, x, part=part):
            z, log_det = part.forward(params, x)
            return (z**2).sum() - log_det.sum()

        # the lowered program, because a jaxpr also lists transposes that never run
        program = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(params, x).as_text()
        assert "scatter" not in program, name


def test_a_permutation_supports_forward_and_reverse_mode():
    def permute(x):
        return b.permutation(seed=3).forward({}, x)[0]

    x = jnp.arange(5.0)
    forward, reverse = jax.jacfwd(permute)(x), jax.jacrev(permute)(x)
    np.testing.assert_array_equal(forward, reverse)
    np.testing.assert_array_equal(forward @ x, permute(x))
    assert jax.hessian(lambda x: (permute(x) ** 3).sum())(x).shape == (5, 5)


def test_a_permutation_depends_on_its_seed_only():
    x = jnp.arange(10.0)[None]
    orders = [b.permutation(seed=s).forward({}, x)[0].tolist() for s in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert jax.tree.leaves(b.permutation().init(key(), x)) == []


def test_frozen_params_have_no_gradient_and_are_not_trainable():
    part, x = BIJECTORS["whitening"](), data(4)
    params = part.init(key(), x)
    gradient = jax.grad(lambda p: part.forward(p, x)[0].sum() + part.inverse(p, x)[0].sum())(
        params
    )
    assert not any(leaf.any() for leaf in jax.tree.leaves(gradient))
    assert not any(jax.tree.leaves(trainable_mask(params)))


def test_wrong_shapes_and_values_raise():
    x = data(4)
    for part in (b.actnorm(), b.linear_lu(), b.whitening(), b.standardize()):
        params = part.init(key(), x)
        for call in (part.forward, part.inverse):
            with pytest.raises(FlowjaxError, match=r"expected \(n, 4\), got \(2, 3\)"):
                call(params, jnp.ones((2, 3)))
    for wrong in (jnp.ones(4), jnp.ones((0, 4)), jnp.ones((2, 3, 4))):
        with pytest.raises(FlowjaxError, match=r"x: expected \(n, dim\)"):
            b.actnorm().init(key(), wrong)
    with pytest.raises(FlowjaxError, match="got inf at row 2, column 1"):
        b.repeat(b.actnorm(), 2).init(key(), x.at[2, 1].set(jnp.inf))


def test_inputs_of_1e6_invert():
    x = data(6, scale=1e6)
    for name in ("repeat", "repeat_scan", "spline", "linear_lu", "whitening", "affine_glow_net"):
        _, init, forward, inverse, _ = compiled(name)
        params = noisy(init(key(), x), size=0.1)
        z, log_det = forward(params, x)
        assert np.isfinite(z).all() and np.isfinite(log_det).all(), name
        np.testing.assert_allclose(inverse(params, z)[0], x, atol=1e-4 * 1e6, err_msg=name)
