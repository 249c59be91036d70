"""What the table's properties do not say: of single parts, and of how programs are laid out."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from table import BIJECTORS, NET, QUICK, compiled, data, key, noisy

from flowjax import bijectors as b
from flowjax.types import trainable_mask


def test_actnorm_standardizes_the_first_batch_at_any_scale():
    x = data(6, rows=50) * jnp.array([1e-3, 1, 1e3, 1e-12, 1e12, 1]) + jnp.array(
        [0, 0, 0, 0, 0, 5]
    )
    part = b.actnorm()
    z, _ = part.forward(part.init(key(), x), x)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(z.std(axis=0), 1, atol=1e-4)


def test_actnorm_centres_what_does_not_vary():
    x = data(3, rows=50).at[:, 1].set(1e6 / 3)
    params = b.actnorm().init(key(), x)
    assert float(params["log_scale"][1]) == 0 and float(params["log_scale"][0]) != 0
    z, _ = b.actnorm().forward(params, x)
    np.testing.assert_allclose(z[:, 1], 0, atol=0.05)


def test_pca_linear_whitens_the_first_batch():
    part, x = b.linear_lu(init="pca"), data(6, rows=500) * 100 + 7
    z, _ = part.forward(part.init(key(), x), x)
    np.testing.assert_allclose(np.cov(np.asarray(z).T, bias=True), np.eye(6), atol=1e-2)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-2)


def test_random_rotation_is_one():
    part, x = b.linear_lu(seed=3), jnp.eye(8)
    matrix, log_det = part.forward(part.init(key(), x), x)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(8), atol=1e-5)
    np.testing.assert_allclose(log_det, 0, atol=1e-5)


def test_unrolling_changes_the_program_and_not_the_numbers():
    turn = b.chain(b.actnorm(), b.permutation(), b.affine_coupling(conditioner=NET))
    x = data(4)
    params = noisy(jax.jit(b.repeat(turn, 5).init, compiler_options=QUICK)(key(), x))

    def report(part):
        def loss(p):
            z, log_det = part.forward(p, x)
            back, _ = part.inverse(p, z)
            return (z**2).sum() - log_det.sum(), back

        return jax.value_and_grad(loss, has_aux=True)

    layouts = {"all": {}, "scan": {"unroll": 1}, "both": {"unroll": 2, "checkpoint": True}}
    reports = {name: report(b.repeat(turn, 5, **options)) for name, options in layouts.items()}
    programs = {name: str(jax.make_jaxpr(r)(params)) for name, r in reports.items()}
    assert [" scan[" in p for p in programs.values()] == [False, True, True]
    assert ["remat" in p or "checkpoint" in p for p in programs.values()] == [False, False, True]
    numbers = {n: jax.jit(r, compiler_options=QUICK)(params) for n, r in reports.items()}
    for name, got in numbers.items():
        np.testing.assert_allclose(got[0][1], x, atol=1e-4, err_msg=name)
        for u, v in zip(*map(jax.tree.leaves, (got, numbers["all"])), strict=True):
            np.testing.assert_allclose(u, v, rtol=1e-3, atol=1e-4, err_msg=name)


def test_a_spread_start_is_no_identity_and_inverts():
    x = data(6)
    for start, moves in (("zero", False), ("spread", True)):
        part = b.affine_coupling(conditioner=b.mlp(8, 1, start=start))
        params = part.init(key(), x)
        z, log_det = part.forward(params, x)
        assert bool(jnp.abs(z - x).max() > 0.01) == moves
        assert bool(jnp.abs(log_det).min() > 0) == moves
        np.testing.assert_allclose(part.inverse(params, z)[0], x, atol=1e-5)
    assert "start='spread'" in part.layers[0]


def test_halves_are_mixed_by_every_rotation():
    for dim in (2, 3, 4, 7, 16):
        half = dim - dim // 2
        for seed in range(30):
            part, x = b.linear_lu(seed=seed), jnp.eye(dim)
            matrix = part.forward(part.init(key(), x), x)[0].T
            share = float((matrix[:half, :half] ** 2).sum() / half * dim / half)
            assert 0.499 < share < 1.001, (dim, seed, share)
            assert jnp.linalg.det(matrix) == pytest.approx(1, abs=1e-4), (dim, seed)


def test_no_scatter_in_any_gradient():
    """Permutations, masks and splines gather or select; a scatter-add would be slow on a CPU."""
    x = data(6)
    for name in ("permutation", "additive_checkerboard_swap", "spline", "repeat", "split"):
        part, init, *_ = compiled(name)
        params = init(key(), x)

        def loss(params, x, part=part):
            z, log_det = part.forward(params, x)
            return (z**2).sum() - log_det.sum()

        # The program that XLA is given: a jaxpr also names transposes that are never run.
        program = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(params, x).as_text()
        assert "scatter" not in program, name


def test_both_modes_of_differentiation_pass_through_a_permutation():
    def move(x):
        return b.permutation(seed=3).forward({}, x)[0]

    x = jnp.arange(5.0)
    forward, reverse = jax.jacfwd(move)(x), jax.jacrev(move)(x)
    np.testing.assert_array_equal(forward, reverse)
    np.testing.assert_array_equal(forward @ x, move(x))
    assert jax.hessian(lambda x: (move(x) ** 3).sum())(x).shape == (5, 5)


def test_permutations_are_constants_of_the_seed():
    x = jnp.arange(10.0)[None]
    orders = [b.permutation(seed=s).forward({}, x)[0].tolist() for s in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert jax.tree.leaves(b.permutation().init(key(), x)) == []


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


def test_constants_of_linear_lu_are_the_factors_of_its_map():
    """Rows of the map in the order of the constants are L D U, and D has their signs."""
    dim, part = 6, b.linear_lu(seed=3)
    order, signs = part.constants(dim)
    params = part.init(key(), jnp.eye(dim))
    matrix = np.asarray(part.forward(params, jnp.eye(dim))[0]).T
    triangles = np.asarray(params["triangles"])
    lower, upper = np.tril(triangles, -1) + np.eye(dim), np.triu(triangles, 1) + np.eye(dim)
    diagonal = signs * np.exp(params["log_diagonal"])
    np.testing.assert_allclose(matrix[order], lower * diagonal @ upper, atol=1e-5)


def test_a_users_module_is_the_conditioner():
    class Bilinear(nn.Module):
        out: int

        @nn.compact
        def __call__(self, x):
            left, right = nn.Dense(4)(x), nn.Dense(4)(x)
            return nn.Dense(self.out)(left * right)

    part, x = b.affine_coupling(conditioner=Bilinear), data(5)
    params = part.init(key(), x)
    assert set(params) == {"Dense_0", "Dense_1", "Dense_2"}
    z, _ = part.forward(params, x)
    np.testing.assert_allclose(part.inverse(params, z)[0], x, atol=1e-4)
    assert float(jnp.abs(z - x).max()) > 1e-2 and "Bilinear" in part.layers[0]


@pytest.mark.parametrize("factory", [b.mlp, b.residual])
def test_hidden_layers_start_spread_and_the_last_one_at_zero(factory):
    """Biases differ from each other within ±1 / sqrt(fan_in); the net itself is zero."""
    net, x = factory(16, 1)(3), data(4)
    params = net.init(key(), x)["params"]
    *hidden, last = params.values()
    for layer in hidden:
        limit = layer["kernel"].shape[0] ** -0.5
        for leaf in layer.values():
            assert np.abs(leaf).max() <= limit and np.std(leaf) > 0.3 * limit
    assert not any(np.any(leaf) for leaf in last.values())
    assert not np.any(net.apply({"params": params}, x))


def test_a_module_with_state_is_refused():
    class Stateful(nn.Module):
        out: int

        @nn.compact
        def __call__(self, x):
            return nn.BatchNorm(use_running_average=False)(nn.Dense(self.out)(x))

    with pytest.raises(ValueError, match="a module with params only, got"):
        b.additive_coupling(conditioner=Stateful).init(key(), data(4))


@pytest.mark.parametrize("dim", [2, 3, 5, 6])
@pytest.mark.parametrize("mask", ["half", "checkerboard"])
@pytest.mark.parametrize("swap", [False, True])
def test_masks(dim, mask, swap):
    """The kept coordinates stay, each other one moves by its own net output."""
    part = b.coupling(
        "count", 1, lambda raw, x: (x + jnp.arange(1.0, x.shape[-1] + 1), None), None,
        conditioner=NET, mask=mask, swap=swap,
    )  # fmt: skip
    x = jnp.zeros((1, dim))
    moved = part.forward(part.init(key(), x), x)[0][0]
    first = np.arange(dim) < dim - dim // 2 if mask == "half" else np.arange(dim) % 2 == 0
    where = first if swap else ~first
    wanted = np.zeros(dim)
    wanted[where] = np.arange(1, where.sum() + 1)
    np.testing.assert_array_equal(moved, wanted)


def test_the_spline_is_the_identity_at_zero_and_outside():
    x = jnp.linspace(-9, 9, 101)[:, None]
    zeros, slopes = jnp.zeros((101, 6, 1)), jnp.full((101, 5, 1), np.log(np.expm1(1 - 1e-3)))
    z, log_slope = b.rational_quadratic_spline(x, zeros, zeros, slopes, bound=3.0)
    np.testing.assert_allclose(z, x, atol=1e-5)
    np.testing.assert_allclose(log_slope, 0, atol=1e-5)
    rng = np.random.default_rng(0)
    raw = [jnp.asarray(rng.normal(size=(1, n, 1)) * 5, jnp.float32) for n in (6, 6, 5)]
    z, log_slope = b.rational_quadratic_spline(x, *raw, bound=3.0)
    out = np.abs(x) >= 3
    np.testing.assert_array_equal(z[out], x[out])
    np.testing.assert_array_equal(log_slope[out], 0)
    assert (np.diff(z[:, 0]) > 0).all()
    gradient = jax.grad(lambda r: b.rational_quadratic_spline(x, *r, bound=3.0)[0].sum())(raw)
    assert all(np.isfinite(g).all() for g in gradient)


def test_gradients_of_an_inverse_spline_are_finite_where_its_root_is_zero():
    """In a steep bin that ends flat rounding takes the discriminant to zero, and the root there
    has no gradient."""
    raw = [jnp.array(v)[:, None] for v in ([0.0, -20.0, 0.0], [0.0, 20.0, 0.0], [-20.0, -20.0])]
    heights = 1e-3 + (1 - 3e-3) * jax.nn.softmax(raw[1], axis=0)
    end = np.float32(10 * heights[:2].sum() - 5)  # of the middle bin
    x = jnp.asarray(end - 2e-7 * np.arange(3000), jnp.float32)[:, None]

    def loss(raw):
        return sum(map(jnp.sum, b.rational_quadratic_spline(x, *raw, inverse=True)))

    for gradient in (jax.grad(loss), jax.jit(jax.grad(loss))):
        assert all(np.isfinite(g).all() for g in gradient(raw))


def test_frozen_leaves_get_no_gradient_and_are_not_trainable():
    part, x = BIJECTORS["whitening"](), data(4)
    params = part.init(key(), x)
    gradient = jax.grad(lambda p: part.forward(p, x)[0].sum() + part.inverse(p, x)[0].sum())(
        params
    )
    assert not any(leaf.any() for leaf in jax.tree.leaves(gradient))
    assert not any(jax.tree.leaves(trainable_mask(params)))


def test_shapes_are_checked_by_name():
    x = data(4)
    for part in (b.actnorm(), b.linear_lu(), b.whitening(), b.standardize()):
        params = part.init(key(), x)
        for call in (part.forward, part.inverse):
            with pytest.raises(ValueError, match=r"expected \(n, 4\), got \(2, 3\)"):
                call(params, jnp.ones((2, 3)))
    for wrong in (jnp.ones(4), jnp.ones((0, 4)), jnp.ones((2, 3, 4))):
        with pytest.raises(ValueError, match=r"x: expected \(n, dim\)"):
            b.actnorm().init(key(), wrong)
    with pytest.raises(ValueError, match="got inf at row 2, column 1"):
        b.repeat(b.actnorm(), 2).init(key(), x.at[2, 1].set(jnp.inf))


def test_large_inputs_come_back():
    """Inputs of 1e6: relative to their size, as exact as float32 is."""
    x = data(6, scale=1e6)
    for name in ("repeat", "repeat_scan", "spline", "linear_lu", "whitening", "affine_glow_net"):
        _, init, forward, inverse, _ = compiled(name)
        params = noisy(init(key(), x), size=0.1)
        z, log_det = forward(params, x)
        assert np.isfinite(z).all() and np.isfinite(log_det).all(), name
        np.testing.assert_allclose(inverse(params, z)[0], x, atol=1e-4 * 1e6, err_msg=name)
