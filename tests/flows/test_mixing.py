"""Every coordinate is transformed, given the others: permutations, couplings and levels."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from grids import grid

from flowjax import bijectors as b
from flowjax import flows
from flowjax.types import FlowjaxError

NET = {"width": 4, "hidden_layers": 1}


def filled(flow, seed):
    """Returns positive random params, with which every latent increases with its inputs.

    No dependence cancels, and all ReLU units are active. Frozen matrices are the identity.
    """
    rng = np.random.default_rng(seed)

    def fill(path, leaf):
        frozen = any(getattr(entry, "key", None) == "frozen" for entry in path)
        if frozen and len(leaf.shape) == 2:
            return np.eye(*leaf.shape)
        return rng.uniform(0.1, 0.3, leaf.shape)

    x = jax.ShapeDtypeStruct((2, flow.dim), np.float32)
    shapes = jax.eval_shape(flow.init, jax.random.key(0), x)
    return jax.tree_util.tree_map_with_path(fill, shapes)


def dependence(flow, seed=0):
    """Returns True at (i, j) if latent i depends on data coordinate j."""
    with jax.enable_x64(True):
        x = 0.5 + np.random.default_rng(seed).random(flow.dim)
        rows = np.concatenate([x[None], x + 0.01 * np.eye(flow.dim)])
        z = np.asarray(jax.jit(flow.forward)(filled(flow, seed), rows)[0])
    return np.abs(z[1:] - z[0]).T > 1e-12


def untransformed(flow, seed=0):
    """Returns the number of latents that depend on a single coordinate of the data."""
    return int((dependence(flow, seed).sum(axis=1) < 2).sum())


# recipe, dim, options, number of untransformed coordinates that the depth does not allow to avoid
MORE = [
    *(("glow", dim, {"levels": 1, "depth": 2 + dim % 2}, 0) for dim in (3, 4, 6, 7, 9)),
    *(("glow", dim, {"levels": 2, "depth": 2 + dim % 2}, 0) for dim in (4, 6, 8)),
    *(("glow", dim, {"levels": 1, "depth": 3, "mask": "checkerboard"}, 0) for dim in (3, 4)),
    *(("glow", dim, {"levels": 1, "depth": 3, "permutation": "reverse"}, 0) for dim in (3, 8)),
    ("whitening_glow", 2, {"levels": 1, "depth": 2}, 0),
    ("neural_spline", 2, {"depth": 2, "permutation": "random", "bound": 50.0}, 0),
    ("neural_spline", 3, {"depth": 3, "permutation": "reverse", "bound": 50.0}, 0),
]
CASES = [
    *(("glow", dim, {"levels": 1, "depth": 2 + dim % 2}, 0) for dim in (2, 5, 8)),
    ("glow", 7, {"levels": 2, "depth": 3}, 0),
    ("glow", 7, {"levels": 1, "depth": 3, "mask": "checkerboard"}, 0),
    ("glow", 5, {"levels": 1, "depth": 3, "permutation": "reverse"}, 0),
    ("glow", 7, {"levels": 2, "depth": 3, "permutation": "reverse", "mask": "checkerboard"}, 0),
    ("glow", 5, {"levels": 2, "depth": 2}, 0),  # the second level transforms the coordinate left
    ("glow", 5, {"levels": 2, "depth": 2, "mask": "checkerboard"}, 0),
    ("glow", 5, {"levels": 2, "depth": 2, "permutation": "reverse"}, 0),
    ("glow", 9, {"levels": 3, "depth": 2, "permutation": "reverse", "mask": "checkerboard"}, 0),
    ("glow", 3, {"levels": 1, "depth": 2}, 1),
    ("glow", 8, {"levels": 3, "depth": 1}, 1),
    ("glow", 6, {"levels": 2, "depth": 9}, 0),  # scanned
    ("glow", 256, {"levels": 1, "depth": 3}, 0),
    ("whitening_glow", 6, {"levels": 2, "depth": 2, "coupling": "affine"}, 0),
    ("neural_spline", 5, {"depth": 3, "permutation": "random", "bound": 50.0}, 0),
    ("neural_spline", 3, {"depth": 1, "bound": 50.0}, 0),
    *(("realnvp", dim, {"depth": 2, "permutation": "random"}, 0) for dim in (2, 5)),
    ("realnvp", 7, {"depth": 2, "mask": "checkerboard"}, 0),
    *(("realnvp", dim, {"depth": 2}, 0) for dim in (2, 5)),  # the halves alternate
]


@pytest.mark.parametrize(("name", "dim", "options", "least"), grid([*CASES, *MORE], slow=MORE))
def test_every_coordinate_is_transformed(name, dim, options, least):
    seed = dim % 4  # default_rng(0) and default_rng(1) do not change the order of two coordinates
    closed = {"latent_power": None} if name == "glow" else {}
    flow = flows.make(name, dim, seed=seed, **NET, **closed, **options)
    assert untransformed(flow, seed) == least


@pytest.mark.parametrize("dim", [4, 7, 32])
def test_six_steps_make_every_latent_depend_on_every_coordinate(dim):
    for seed in range(2):
        flow = flows.glow(dim, levels=1, depth=6, seed=seed, latent_power=None, **NET)
        assert dependence(flow).all()


def test_the_released_flow_keeps_the_order_of_its_code():
    """With a reversal in each step, one level never transforms the middle of an odd dimension."""
    assert untransformed(flows.glow_as_released(5, levels=1, depth=4, width=4)) == 1
    assert untransformed(flows.glow_as_released(6, levels=1, depth=4, width=4)) == 0


def positions(dim, mask):
    return np.arange(dim) >= dim - dim // 2 if mask == "half" else np.arange(dim) % 2 == 1


@pytest.mark.parametrize("mask", ["half", "checkerboard"])
@pytest.mark.parametrize("repeated", [False, True])
def test_orders_bring_every_coordinate_to_the_transformed_half(mask, repeated):
    """Two layers suffice in even dims, three in odd dims; four if one permutation is repeated."""
    for dim in [*range(2, 20), 257]:
        for seed in range(20 if dim < 20 else 2):
            depth = 4 if repeated else 2 + dim % 2
            count, last = np.zeros(dim, int), positions(dim, mask)
            for index in range(40):
                part = b.permutation(seed=seed, index=0 if repeated else index, mask=mask)
                (order,) = part.constants(dim)
                assert sorted(order) == list(range(dim))
                count = count[order] + last
                assert index + 1 < depth or count.min() > 0, (dim, seed)
            if not repeated and dim > 2:
                assert count.max() - count.min() <= 3


def test_copies_of_a_repeat_have_different_orders():
    def step(index):
        return b.chain(b.actnorm(), b.permutation(seed=5, index=index))

    orders = b.repeat(step, 12).constants(9)
    assert len({tuple(order) for order in orders}) == 12
    shared = b.repeat(step(0), 12).constants(9)
    assert len(shared) == 1


def test_traced_orders_equal_the_static_orders():
    """Copies that are scanned give the results of unrolled copies, and their inverses."""

    def step(index):
        return b.chain(b.actnorm(init="identity"), b.permutation(seed=1, index=index))

    x = jax.random.normal(jax.random.key(0), (3, 6))
    parts = [b.repeat(step, 11, unroll=n) for n in (1, 3, 11)]
    params = parts[0].init(jax.random.key(0), x)
    values = [np.asarray(part.forward(params, x)[0]) for part in parts]
    np.testing.assert_array_equal(values[0], values[1])
    np.testing.assert_array_equal(values[0], values[2])
    assert (values[0] != x).any() and values[0].shape == x.shape
    np.testing.assert_array_equal(parts[0].inverse(params, values[0])[0], x)
    forward, reverse = (
        f(lambda x: parts[0].forward(params, x)[0])(x[0]) for f in (jax.jacfwd, jax.jacrev)
    )
    np.testing.assert_array_equal(forward, reverse)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: b.permutation(seed=-1), "seed: expected an integer of at least 0, got -1"),
        (lambda: b.permutation(index=1.5), "index: expected an integer of at least 0, got 1.5"),
        (lambda: b.permutation(mask="all"), "mask: expected one of half, checkerboard"),
        (lambda: b.repeat([b.actnorm()], 2), "repeat: bijector: expected a Bijector, got a list"),
        (lambda: b.repeat(b.actnorm, 2), "repeat: bijector"),
        (lambda: b.repeat(lambda i: None, 2), "expected a Bijector, got a NoneType"),
        (
            lambda: b.repeat(lambda i: [b.reverse(), b.identity()][i > 0], 2).init(
                jax.random.key(0), np.ones((2, 2))
            ),
            "repeat: bijector: expected a function of a traced integer",
        ),
        (lambda: b.chain([b.actnorm()]), r"chain: .* got a list; write `chain\(\*parts\)`"),
        (lambda: b.chain(b.actnorm), r"chain: .* call it: `actnorm\(\)`"),
        (lambda: b.chain(flows.identity(2)), "chain: .* use its attribute `bijector`"),
        (lambda: b.invert([b.actnorm()]), "invert: expected a Bijector"),
    ],
)
def test_errors(call, text):
    with pytest.raises(FlowjaxError, match=text):
        call()


def test_levels_of_glow_have_their_own_seeds():
    layers = "\n".join(flows.glow(12, seed=5, depth=2).layers)
    assert "permutation(seed=5" in layers and "permutation(seed=6" in layers
    assert "seed=7" not in layers  # two levels by default


def test_the_couplings_of_all_levels_limit_their_log_scales():
    """To min(2, 16 / number of couplings of the flow)."""
    for levels, bound in ((2, "bound=1"), (4, "bound=0.5")):
        layers = flows.glow(64, levels=levels, depth=8, coupling="affine").layers
        couplings = [line for line in layers if "affine_coupling" in line]
        assert len(couplings) == levels and all(f"[{bound}]" in line for line in couplings)


def test_actnorm_of_realnvp_is_an_option():
    for normalize in (True, False):
        layers = flows.realnvp(6, depth=2, normalize=normalize).layers
        assert any("actnorm" in line for line in layers) == normalize
    assert flows.realnvp(6).layers == flows.realnvp(6, normalize=True).layers


def test_actnorm_of_the_released_code_has_a_factor():
    layers = [line.strip() for line in flows.glow_as_released(12).layers]
    assert "actnorm(logscale_factor=3)" in layers and "actnorm" not in layers


def test_masked_layers_limit_their_log_scales_like_two_couplings():
    for depth, bound in ((8, "[bound=1]"), (16, "[bound=0.5]")):
        for make in (flows.maf, flows.iaf):
            layers = "\n".join(make(6, depth=depth).layers)
            assert f"affine{bound}" in layers


@pytest.mark.parametrize("name", ["glow", "realnvp", "maf", "iaf", "neural_spline"])
def test_each_copy_of_a_step_has_its_own_permutation(name):
    levels = {"levels": 1} if name == "glow" else {}
    flow = flows.make(name, 9, depth=8, permutation="random", latent_power=None, **levels)
    orders = [tuple(order) for order in flow.bijector.constants(9) if np.ndim(order) == 1]
    assert len(orders) > 3 and len(set(orders)) == len(orders)


@pytest.mark.parametrize("name", ["realnvp", "maf"])
def test_constant_columns_are_divided_by_the_smallest_standard_deviation(name):
    x = np.array([[0, 0, 7], [2, 8, 7], [1, 3, 7]], np.float32)
    flow = flows.make(name, 3, depth=2)
    params = flow.init(jax.random.key(0), x)["bijector"][0]["frozen"]
    log_std = np.asarray(params["log_std"])
    np.testing.assert_allclose(log_std[[0, 2]], np.log(x[:, 0].std()), rtol=1e-5)
