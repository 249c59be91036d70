"""Flows inside `jax.shard_map` with sharded rows, contexts, or parameters."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from grids import grid
from jax.sharding import PartitionSpec as P

from flowjax import flows
from flowjax.parallel.devices import make_mesh

DEPTH = {"realnvp": 2, "glow": 2, "neural_spline": 2, "maf": 2}
SHARDED = P("data")


# A flow of couplings and a masked flow, which samples by a scan.
DEFAULT = ("glow", "maf")


@pytest.fixture(
    scope="module",
    params=grid(DEPTH, default=DEFAULT),
)
def case(request):
    name = request.param
    flow = flows.make(name, 4, depth=DEPTH[name], width=4, unroll=1, base="conditional")
    x = jax.random.normal(jax.random.key(0), (8, 4))
    context = jax.random.normal(jax.random.key(1), (8, 2))
    return flow, jax.jit(flow.init)(jax.random.key(2), x, context), x, context


def over(f, ins, outs=SHARDED):
    return jax.jit(jax.shard_map(f, mesh=make_mesh(4), in_specs=ins, out_specs=outs))


def test_samples_with_a_sharded_context(case):
    flow, params, _, context = case
    draw = jax.jit(functools.partial(flow.sample, key=jax.random.key(3), n=2))
    found = over(lambda p, c: draw(p, context=c), (P(), SHARDED))(params, context)
    expected = jnp.concatenate([draw(params, context=c) for c in context.reshape(4, 2, 2)])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_an_ensemble_of_sharded_params(case):
    flow, params, x, context = case
    several = jax.tree.map(lambda a: jnp.stack([a, a * 0.9, a * 1.1, a]), params)

    def one(params, x, context):
        return flow.log_prob(jax.tree.map(lambda a: a[0], params), x, context)[None]

    found = over(one, (SHARDED, P(), P()))(several, x, context)
    expected = jax.jit(jax.vmap(flow.log_prob, (0, None, None)))(several, x, context)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_gradients_of_sharded_rows(case):
    flow, params, x, context = case

    def mean(params, x, context):
        return flow.log_prob(params, x, context).mean()

    def gradient(params, x, context):
        return jax.lax.pmean(
            jax.grad(mean)(jax.lax.pcast(params, "data", to="varying"), x, context), "data"
        )

    found = over(gradient, (P(), SHARDED, SHARDED), P())(params, x, context)
    expected = jax.jit(jax.grad(mean))(params, x, context)
    for a, b in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
