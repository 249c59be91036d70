"""Flows: densities that integrate to one, samples that follow them, recipes, errors."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from grids import grid

from flowjax import bijectors, flows
from flowjax.flows.recipe import options_of
from flowjax.types import describe, trainable_mask

# Most of the time of these tests is compilation, so XLA skips its optimisations.
quick = functools.partial(
    jax.jit,
    compiler_options={
        "xla_backend_optimization_level": 0,
        "xla_llvm_disable_expensive_passes": True,
    },
)
NET = {"width": 8, "hidden_layers": 1, "unroll": 1}

# name -> a flow of two dimensions, for the integral on a grid
FLOWS = {
    "glow": lambda: flows.glow(2, levels=1, depth=2, **NET),
    "glow_affine_lu": lambda: flows.glow(
        2, levels=1, depth=2, coupling="affine", permutation="lu", **NET
    ),
    "glow_as_released": lambda: flows.glow_as_released(2, levels=1, depth=2, width=8, unroll=1),
    "realnvp": lambda: flows.realnvp(2, depth=4, **NET),
    "realnvp_student": lambda: flows.realnvp(2, depth=2, base="student_t", **NET),
    "neural_spline": lambda: flows.neural_spline(2, depth=2, bins=4, **NET),
    "whitening": lambda: flows.whitening(2),
    "whitening_one_component": lambda: flows.whitening(2, components=1),
    "whitening_half": lambda: flows.whitening(2, power=0.5),
    "whitening_one_component_student": lambda: flows.whitening(
        2, components=1, power=0, base="student_t"
    ),
    "center": lambda: flows.center(2),
    "all_but_the_top": lambda: flows.all_but_the_top(2),
    "standardize": lambda: flows.standardize(2),
    "whitening_glow": lambda: flows.whitening_glow(2, levels=1, depth=2, **NET),
    "identity": lambda: flows.identity(2),
    "maf": lambda: flows.maf(2, depth=2, **NET),
    "maf_spline": lambda: flows.maf(2, depth=1, transform="spline", bins=4, **NET),
    "iaf": lambda: flows.iaf(2, depth=1, **NET),
    "elementwise_spline": lambda: flows.elementwise_spline(2, depth=1, bins=4, **NET),
}


def data(n=200, dim=2, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, dim)) @ (np.eye(dim) + 0.5 * rng.standard_normal((dim, dim)))
    return jnp.asarray(x + 0.2 * x**2, jnp.float32)


def noisy(params, size=0.15, seed=0):
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf, trains: (
            np.asarray(leaf) + size * trains * rng.standard_normal(leaf.shape).astype("f4")
        ),
        params,
        trainable_mask(params),
    )


def start(flow, x, context=None):
    return quick(flow.init)(jax.random.key(0, impl="unsafe_rbg"), x, context)


# Variants of flows that are tested here as well, and recipes of the same layers.
VARIANTS = ("glow_affine_lu", "realnvp_student", "whitening_one_component_student", "maf_spline")
VARIANTS += ("glow_as_released", "whitening_half", "iaf", "elementwise_spline")


@pytest.mark.parametrize("name", grid(FLOWS, slow=VARIANTS))
def test_density_integrates_to_one_and_samples_follow_it(name):
    """On the grid x = sinh(u), fine in the middle and far out: mass 1, the samples' moments."""
    flow = FLOWS[name]()
    params = noisy(start(flow, data()))
    edge, step = np.linspace(-6, 6, 501, retstep=True)
    axis, weight = np.sinh(edge), np.cosh(edge) * step
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    log_prob = quick(flow.log_prob)(params, jnp.asarray(grid, jnp.float32))
    mass = np.exp(np.asarray(log_prob, np.float64)) * np.outer(weight, weight).reshape(-1)
    np.testing.assert_allclose(mass.sum(), 1, atol=5e-3)

    sample = quick(flow.sample_and_log_prob, static_argnums=2)
    x, at_x = sample(params, jax.random.key(1), 40_000)
    assert x.shape == (40_000, 2) and at_x.shape == (40_000,)
    np.testing.assert_allclose(at_x[:100], flow.log_prob(params, x[:100]), atol=2e-3)
    alone = quick(flow.sample, static_argnums=2)(params, jax.random.key(1), 40_000)
    np.testing.assert_allclose(x, alone, atol=1e-4)
    mean, seen = mass @ grid, np.asarray(x, np.float64)
    spread = np.sqrt(mass @ (grid - mean) ** 2)
    np.testing.assert_allclose(seen.mean(axis=0), mean, atol=0.05 * spread.max())
    inner = np.clip(
        grid, mean - 2 * spread, mean + 2 * spread
    )  # heavy tails have no fourth moment
    wanted = np.cov(inner.T, aweights=mass)
    got = np.cov(np.clip(seen, mean - 2 * spread, mean + 2 * spread).T)
    np.testing.assert_allclose(got, wanted, atol=0.04 * spread.max() ** 2)


@pytest.mark.parametrize("name", flows.RECIPES)
def test_every_recipe_by_name(name):
    scanned = "unroll" in options_of(name)
    flow, x = flows.make(name, 12, **({"unroll": 1} if scanned else {})), data(30, 12)
    params = start(flow, x)
    z, log_det = quick(flow.forward)(params, x)
    back, minus = quick(flow.inverse)(params, z)
    latent = 12 - (name == "all_but_the_top")
    if latent == 12:
        np.testing.assert_allclose(back, x, atol=1e-3)
    else:  # the removed coordinates are at their mean
        again, log_det = quick(flow.forward)(params, back)
        np.testing.assert_allclose(again, z, atol=1e-3)
    np.testing.assert_allclose(minus, -log_det, atol=1e-3)
    for rows, shape in ((x, (30,)), (x[0], ())):
        assert jax.eval_shape(flow.log_prob, params, rows).shape == shape
    assert flow.name == name and flow.dim == 12 and flow.latent_dim == latent
    arrow = "" if latent == 12 else f" -> {latent}"
    assert describe(flow, params).startswith(f"{name}: dim 12{arrow}, ")
    dtypes = {leaf.dtype for leaf in jax.tree.leaves(params)}
    assert dtypes <= {jnp.dtype(jnp.float32)}
    with pytest.raises(ValueError, match=r"x: expected \(n, 12\), got \(3, 5\)"):
        flow.log_prob(params, jnp.ones((3, 5)))
    with pytest.raises(ValueError, match=rf"z: expected \(n, {latent}\), got \(3, 5\)"):
        flow.inverse(params, jnp.ones((3, 5)))
    with pytest.raises(ValueError, match="got nan at row 7, column 3"):
        flow.init(jax.random.key(0), x.at[7, 3].set(jnp.nan))


def test_glow_latents_in_the_papers_order():
    """The latents of level 1 come first, then those of level 2, then the top."""
    flow, x = flows.glow(8, levels=3, depth=1, latent_power=None, **NET), data(20, 8)
    params = start(flow, x)
    z, _ = flow.forward(params, x)
    deeper = jax.tree.map(lambda leaf: leaf, params)
    scale, (first, rest) = deeper["bijector"]
    deeper["bijector"] = (scale, (first, noisy(rest, size=0.5)))
    moved, _ = flow.forward(deeper, x)
    changed = np.abs(np.asarray(moved - z)).max(axis=0) > 1e-4
    np.testing.assert_array_equal(changed, [False] * 4 + [True] * 4)


@pytest.mark.parametrize("name", ["glow", "realnvp", "neural_spline"])
def test_actnorm_starts_from_the_batch(name):
    options = {"unroll": 1} | ({} if name == "realnvp" else {"permutation": "random"})
    flow, x = flows.make(name, 6, depth=2, **options), 50 * data(100, 6) + 7
    z, _ = quick(flow.forward)(start(flow, x), x)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(z.std(axis=0), 1, atol=1e-3)


def test_whitening_glow_starts_as_the_whitening_on_any_data():
    x, other = data(100, 6), 3 * data(100, 6, seed=1)
    x = jnp.concatenate([x, x[:, :1], jnp.ones((100, 1))], axis=1)  # rank-deficient, constant
    other = jnp.concatenate([other, other[:, :1], jnp.ones((100, 1))], axis=1)
    alone = flows.whitening(8)
    wanted = alone.log_prob(start(alone, x), other)
    for permutation in ("random", "lu"):
        flow = flows.whitening_glow(8, permutation=permutation, depth=2, levels=1, **NET)
        params = start(flow, x)
        np.testing.assert_allclose(flow.log_prob(params, other), wanted, rtol=1e-4)
    gradient = quick(jax.grad(lambda p: flow.log_prob(p, other).mean()))(params)
    frozen = gradient["bijector"][0]["frozen"]
    assert not any(leaf.any() for leaf in jax.tree.leaves(frozen))


def test_context_conditions_flow_and_base():
    x, context = data(50, 4), data(50, 3, seed=2)
    flow = flows.realnvp(4, depth=2, base="conditional", **NET)
    params = noisy(start(flow, x, context))
    base_only = flows.build(bijectors.identity(), 4, base="conditional")
    base_params = noisy(start(base_only, x, context))
    for f, p in ((flow, params), (base_only, base_params)):
        log_prob, sample = quick(f.log_prob), quick(f.sample_and_log_prob, static_argnums=2)
        gap = log_prob(p, x, context) - log_prob(p, x, context + 1)
        assert float(jnp.abs(gap).max()) > 1e-2
        samples, at = sample(p, jax.random.key(1), 50, context)
        np.testing.assert_allclose(at, log_prob(p, samples, context), atol=1e-3)
        same, _ = sample(p, jax.random.key(1), 50, context[0])
        np.testing.assert_allclose(same[0], samples[0], atol=1e-5)
    drawn = base_only.sample(base_params, jax.random.key(3), 20_000, context[0])
    mass = base_only.log_prob(base_params, drawn, context[0]).mean()
    entropy = -0.5 * 4 * (1 + np.log(2 * np.pi)) - jnp.log(drawn.std(axis=0)).sum()
    np.testing.assert_allclose(mass, entropy, atol=0.03)
    with pytest.raises(ValueError, match="context: expected"):
        flow.log_prob(params, x)
    with pytest.raises(ValueError, match=r"context: expected shape \(50, width\) or \(width,\)"):
        flow.log_prob(params, x, context[:7])


def test_log_prob_is_float64_where_x64_is_on():
    flow, x = flows.realnvp(3, depth=2, **NET), data(10, 3)
    params = start(flow, x)
    assert flow.log_prob(params, x.astype(jnp.bfloat16)).dtype == jnp.float32
    with jax.enable_x64(True):
        assert flow.log_prob(params, x).dtype == jnp.float64


def test_transforms_compose():
    """jit, vmap over rows and over parameters, grad of everything."""
    flow, x = flows.glow(6, levels=1, depth=2, **NET), data(10, 6)
    params = noisy(start(flow, x))
    rows = quick(jax.vmap(flow.log_prob, in_axes=(None, 0)))(params, x)
    np.testing.assert_allclose(rows, flow.log_prob(params, x), atol=1e-4)
    several = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf * 1.1]), params)
    assert quick(jax.vmap(flow.log_prob, in_axes=(0, None)))(several, x).shape == (2, 10)
    keys = jax.random.split(jax.random.key(0))
    inits = quick(jax.vmap(flow.init, in_axes=(0, None)))(keys, x)
    assert jax.tree.leaves(inits)[0].shape[0] == 2
    gradient = quick(jax.grad(lambda p: flow.log_prob(p, x).mean()))(params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def nets_moved(params, size=0.02):
    """Params whose couplings do something; LU layers stay the rotations that they start as."""

    def choose(path, old, new):
        name = jax.tree_util.keystr(path)
        return old if "triangles" in name or "log_diagonal" in name else new

    return jax.tree_util.tree_map_with_path(choose, params, noisy(params, size=size))


@pytest.mark.parametrize("permutation", grid(["random", "lu"], slow=["lu"]))
def test_deep_and_wide_inverts_and_compiles_as_shallow(permutation):
    """64 steps at dim 768 invert to 1e-3 in float32, and their program is not longer than 9's."""
    x = jnp.asarray(np.random.default_rng(0).standard_normal((64, 768)), jnp.float32)
    shallow, deep = (
        flows.glow(
            768, levels=1, depth=depth, coupling="affine", permutation=permutation, width=16
        )
        for depth in (9, 64)
    )
    start = quick(deep.init)(jax.random.key(0, impl="unsafe_rbg"), x)
    params = nets_moved(start)
    z, log_det = quick(deep.forward)(params, x)
    back, minus = quick(deep.inverse)(params, z)
    untouched, _ = quick(deep.forward)(start, x)
    assert float(jnp.abs(z - untouched).max()) > 0.1
    np.testing.assert_allclose(back, x, atol=1e-3)
    np.testing.assert_allclose(minus, -log_det, rtol=1e-4, atol=1e-2)

    def length(flow):
        shapes = jax.eval_shape(flow.init, jax.random.key(0), x)
        loss = jax.grad(lambda p: flow.log_prob(p, x).sum())
        return len(jax.jit(loss).lower(shapes).as_text().splitlines())

    assert length(deep) == length(shallow)


def test_the_gradient_is_zero_where_the_density_underflows():
    flow = flows.standardize(2)
    params = flow.init(jax.random.key(0), data())
    x = jnp.array([[1e25, 0.0], [1.0, 2.0]])
    log_prob = flow.log_prob(params, x)
    assert log_prob[0] == -jnp.inf and jnp.isfinite(log_prob[1])
    gradient = jax.grad(lambda x: flow.log_prob(params, x).sum())(x)
    assert not gradient[0].any() and jnp.isfinite(gradient).all() and gradient[1].all()
