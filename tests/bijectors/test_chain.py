"""Tests of `chain`, `repeat` and `invert`: programs, output dims and constants."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from table import BIJECTORS, NET, QUICK, data, key, noisy

from flowjax import bijectors as b


def test_unrolling_changes_the_program_but_not_its_results():
    step = b.chain(b.actnorm(), b.permutation(), b.affine_coupling(conditioner=NET))
    x = data(4)
    params = noisy(jax.jit(b.repeat(step, 5).init, compiler_options=QUICK)(key(), x))

    def report(part):
        def loss(p):
            z, log_det = part.forward(p, x)
            back, _ = part.inverse(p, z)
            return (z**2).sum() - log_det.sum(), back

        return jax.value_and_grad(loss, has_aux=True)

    layouts = {"all": {}, "scan": {"unroll": 1}, "both": {"unroll": 2, "checkpoint": True}}
    reports = {name: report(b.repeat(step, 5, **options)) for name, options in layouts.items()}
    programs = {name: str(jax.make_jaxpr(r)(params)) for name, r in reports.items()}
    assert [" scan[" in p for p in programs.values()] == [False, True, True]
    assert ["remat" in p or "checkpoint" in p for p in programs.values()] == [False, False, True]
    results = {n: jax.jit(r, compiler_options=QUICK)(params) for n, r in reports.items()}
    for name, got in results.items():
        np.testing.assert_allclose(got[0][1], x, atol=1e-4, err_msg=name)
        for u, v in zip(*map(jax.tree.leaves, (got, results["all"])), strict=True):
            np.testing.assert_allclose(u, v, rtol=1e-3, atol=1e-4, err_msg=name)


def test_the_program_of_a_deep_repeat_does_not_grow():
    x = data(4)

    def program(n):
        layers = b.repeat(b.actnorm(), n)
        return str(jax.make_jaxpr(layers.forward)(layers.init(key(), x), x))

    assert " scan[" not in program(8)
    assert "unroll=1\n" in program(9) and program(9).count("\n") == program(40).count("\n")


@pytest.mark.parametrize("width", [4, 600])
def test_params_of_repeat_have_one_structure(width):
    """Params are stacked for every size, whether copies are unrolled or scanned."""
    layer, x = b.additive_coupling(conditioner=b.mlp(width, 2)), data(4)
    unrolled, scanned = (b.repeat(layer, 3, unroll=n).init(key(), x) for n in (3, 1))
    jax.tree.map(np.testing.assert_array_equal, unrolled, scanned)
    assert unrolled["Dense_1"]["kernel"].shape == (3, width, width)


@pytest.mark.parametrize("unroll", [None, 1])
def test_nested_repeats_invert(unroll):
    x = data(4)
    outer = b.repeat(b.repeat(b.chain(b.linear_lu(), b.actnorm()), 2), 3, unroll=unroll)
    params = outer.init(key(), x)
    assert params[1]["bias"].shape == (3, 2, 4)
    z, _ = outer.forward(params, x)
    np.testing.assert_allclose(z.std(axis=0), 1, atol=1e-4)  # each actnorm saw its own input
    np.testing.assert_allclose(outer.inverse(params, z)[0], x, atol=1e-4)


def nested(seed):
    """Returns a bijector with a permutation in each kind of combinator."""
    step = b.chain(b.actnorm(), b.permutation(seed=seed))
    level = b.chain(b.permutation(seed=seed + 1), b.invert(b.linear_lu(seed=seed + 2)))
    return b.chain(b.repeat(step, 3), b.split(level), b.whitening(components=4), step)


def test_constants_list_every_permutation_and_sign():
    found = nested(seed=7).constants(9)
    assert [array.shape for array in found] == [(9,), (5,), (5,), (5,), (4,)]
    assert all(array.dtype.kind == "i" for array in found)
    for array, seed in zip((found[0], found[1], found[4]), (7, 8, 7)):
        order = b.permutation(seed=seed).forward({}, jnp.arange(float(len(array))))[0]
        np.testing.assert_array_equal(array, order)
    np.testing.assert_array_equal(np.sort(found[2]), np.arange(5))
    assert set(found[3].tolist()) <= {-1, 1}


def test_constants_follow_the_seed_and_only_the_seed():
    first, same, other = (nested(seed=seed).constants(9) for seed in (7, 7, 11))
    for a, c in zip(first, same):
        np.testing.assert_array_equal(a, c)
    assert sum((a != c).any() for a, c in zip(first, other)) >= 4
    unchanging = (b.actnorm(), b.reverse(), b.linear_lu(init="pca"), b.affine_coupling())
    assert b.chain(*unchanging).constants(9) == ()


@pytest.mark.parametrize("name", BIJECTORS)
def test_output_dim_is_the_size_of_a_latent(name):
    part = BIJECTORS[name]()
    z, _ = jax.eval_shape(lambda x: part.forward(part.init(key(), x), x), data(6))
    assert z.shape[-1] == part.output_dim(6)


@pytest.mark.parametrize("part", [b.householder(), b.actnorm()])
def test_one_copy_is_initialised_without_a_scan(part):
    """A scan of one step would take longer to compile."""
    x, once = data(4), b.repeat(part, 1)
    assert " scan[" not in str(jax.make_jaxpr(once.init)(key(), x))
    wanted = part.init(jax.random.split(key(), 1)[0], x)
    for got, leaf in zip(*map(jax.tree.leaves, (once.init(key(), x), wanted)), strict=True):
        np.testing.assert_array_equal(got, leaf[None])
