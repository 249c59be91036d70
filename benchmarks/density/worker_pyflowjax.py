"""Worker: the same flows made of the parts of PyPI's flowjax, and a plain optax loop.

Runs in a separate environment: that package and this library have one import name.
"""

from __future__ import annotations

import importlib.metadata

import common
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from paramax import NonTrainable, unwrap

from flowjax import bijections, distributions
from flowjax.flows import (
    _affine_with_min_scale,  # what its `coupling_flow` uses
    masked_autoregressive_flow,
)


def actnorm(x: jax.Array) -> bijections.AbstractBijection:
    """Returns the affine map, with values from the training rows, in place of an actnorm."""
    mean, std = x.mean(0), x.std(0)
    return bijections.Affine(-mean / std, 1 / std)


def linear(dim: int, seed: int) -> bijections.AbstractBijection:
    """Returns two triangular maps, initialised at a rotation, in place of an LU map."""
    order, lower, upper = common.rotation_lu(dim, seed)
    zeros = jnp.zeros(dim)
    return bijections.Chain(
        [
            bijections.TriangularAffine(zeros, jnp.asarray(upper, jnp.float32), lower=False),
            bijections.TriangularAffine(zeros, jnp.asarray(lower, jnp.float32), lower=True),
            bijections.Permute(jnp.asarray(np.argsort(order))),
        ]
    )


def coupling(job: common.Job, key: jax.Array, swap: bool = False) -> bijections.AbstractBijection:
    o = job.options
    if job.flow == "neural_spline":
        # `knots` counts inner ones; the two slopes at the ends are learned too
        move = bijections.RationalQuadraticSpline(knots=o["bins"] - 1, interval=o["bound"])
    else:
        move = _affine_with_min_scale()
    layer = bijections.Coupling(
        key,
        transformer=move,
        untransformed_dim=job.dim - job.kept if swap else job.kept,
        dim=job.dim,
        cond_dim=job.context_dim or None,
        nn_width=o["width"],
        nn_depth=o["hidden_layers"],
    )
    if not swap:
        return layer
    order = np.roll(np.arange(job.dim), -job.kept)
    there, back = (bijections.Permute(jnp.asarray(p)) for p in (order, np.argsort(order)))
    return bijections.Chain([there, layer, back])


def build(job: common.Job, seed: int) -> distributions.Transformed:
    o = job.options
    if job.flow in ("maf", "maf_spline"):  # its own recipe
        move = bijections.RationalQuadraticSpline(knots=o["bins"] - 1, interval=o["bound"])
        return masked_autoregressive_flow(
            jax.random.key(seed),
            base_dist=distributions.StandardNormal((job.dim,)),
            transformer=move if job.flow == "maf_spline" else None,
            cond_dim=job.context_dim or None,
            flow_layers=o["depth"],
            nn_width=o["width"],
            nn_depth=o["hidden_layers"],
        )
    layers: list[bijections.AbstractBijection] = []
    x, given = jnp.asarray(job.train), job.contexts["train"]

    def add(layer: bijections.AbstractBijection) -> None:
        nonlocal x
        layers.append(layer)
        whole = unwrap(layer)
        if given is None or whole.cond_shape is None:
            x = eqx.filter_jit(jax.vmap(whole.transform))(x)
        else:
            x = eqx.filter_jit(jax.vmap(whole.transform))(x, given)

    for i, key in enumerate(jax.random.split(jax.random.key(seed), job.options["depth"])):
        if job.flow == "realnvp":
            if i % 2 == 0:
                add(actnorm(x))
            add(coupling(job, key, swap=i % 2 == 1))
        else:
            add(actnorm(x))
            add(linear(job.dim, 100 * seed + i))
            add(coupling(job, key))
    base = distributions.StandardNormal((job.dim,))
    return distributions.Transformed(base, bijections.Invert(bijections.Chain(layers)))


def fit(job: common.Job, seed: int) -> dict[str, float]:
    o = job.options
    params, static = eqx.partition(
        build(job, seed), eqx.is_inexact_array, is_leaf=lambda leaf: isinstance(leaf, NonTrainable)
    )
    rate = optax.cosine_decay_schedule(o["learning_rate"], o["steps"])
    optimizer = optax.chain(optax.clip_by_global_norm(o["clip_norm"]), optax.adam(rate))
    train, contexts = jnp.asarray(job.train), job.contexts
    given = None if job.context_dim == 0 else jnp.asarray(contexts["train"])

    @jax.jit
    def mean(params, rows, context):
        return unwrap(eqx.combine(params, static)).log_prob(rows, context).mean()

    @jax.jit
    def chunk(state, batches):
        def one(state, rows):
            params, moments = state
            context = None if given is None else given[rows]
            grads = jax.grad(lambda p: -mean(p, train[rows], context))(params)
            updates, moments = optimizer.update(grads, moments)
            return (optax.apply_updates(params, updates), moments), None

        return jax.lax.scan(one, state, batches)[0]

    state, every = (params, optimizer.init(params)), o["validate_every"]
    best, step, kept = -float("inf"), 0, params
    batches = job.batches(seed)
    for stop in range(every, o["steps"] + 1, every):
        state = chunk(state, batches[stop - every : stop])
        now = float(mean(state[0], job.validation, contexts["validation"]))
        if now > best:
            best, step, kept = now, stop, state[0]
    return {
        "test": float(mean(kept, job.test, contexts["test"])),
        "validation": best,
        "best_step": step,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
    }


if __name__ == "__main__":
    version = importlib.metadata.version("flowjax")
    common.work(fit, {"flowjax (PyPI)": version, "jax": jax.__version__})
