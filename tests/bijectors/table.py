"""Bijectors that the tests share, one entry per bijector and option: name -> function."""

from __future__ import annotations

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from flowjax import bijectors as b
from flowjax.types import trainable_mask


class Small(nn.Module):
    """User-defined conditioner, initialised with NumPy to avoid compiling random draws."""

    out: int

    @nn.compact
    def __call__(self, x):
        def fixed(key, shape, dtype):
            return jnp.asarray(np.random.default_rng(0).normal(0, 0.5, shape), dtype)

        x = jnp.tanh(nn.Dense(5, kernel_init=fixed)(x))
        return nn.Dense(self.out, kernel_init=nn.initializers.zeros)(x)


NET = Small

BIJECTORS = {
    "actnorm": b.actnorm,
    "actnorm_glorot": lambda: b.actnorm(init="glorot", logscale_factor=3.0),
    "identity": b.identity,
    "permutation": lambda: b.permutation(seed=1),
    "reverse": b.reverse,
    "linear_lu": b.linear_lu,
    "linear_lu_identity": lambda: b.linear_lu(init="identity"),
    "linear_lu_pca": lambda: b.linear_lu(init="pca"),
    "householder": b.householder,
    "householder_identity": lambda: b.householder(reflections=2, init="identity"),
    "additive": lambda: b.additive_coupling(conditioner=NET),
    "additive_checkerboard_swap": lambda: b.additive_coupling(
        conditioner=NET, mask="checkerboard", swap=True
    ),
    "affine": lambda: b.affine_coupling(conditioner=NET),
    "affine_swap": lambda: b.affine_coupling(conditioner=b.mlp(5, 1), swap=True),
    "affine_sigmoid_checkerboard": lambda: b.affine_coupling(
        conditioner=b.residual(5, 1, activation="gelu"), scale="sigmoid", mask="checkerboard"
    ),
    "affine_glow_net": lambda: b.affine_coupling(conditioner=b.glow_net(5)),
    "spline": lambda: b.spline_coupling(conditioner=NET, bins=4),
    "spline_swap": lambda: b.spline_coupling(conditioner=NET, bins=5, bound=2.0, swap=True),
    "split": lambda: b.split(b.actnorm()),
    "split_conditional": lambda: b.split(b.actnorm(), conditional=True, conditioner=NET),
    "chain": lambda: b.chain(b.actnorm(), b.reverse(), b.affine_coupling(conditioner=NET)),
    "chain_of_none": b.chain,
    "repeat": lambda: b.repeat(
        b.chain(b.actnorm(), b.permutation(), b.additive_coupling(conditioner=NET)), 3
    ),
    "repeat_scan": lambda: b.repeat(
        b.chain(b.actnorm(), b.permutation(), b.affine_coupling(conditioner=NET)), 3, unroll=1
    ),
    "repeat_of_none": lambda: b.repeat(b.reverse(), 9),
    "repeat_scan_checkpoint": lambda: b.repeat(
        b.affine_coupling(conditioner=NET), 4, unroll=2, checkpoint=True
    ),
    "invert": lambda: b.invert(b.affine_coupling(conditioner=NET)),
    "whitening": b.whitening,
    "whitening_soft": lambda: b.whitening(power=0.5, shrinkage=0.1),
    "standardize": b.standardize,
    "autoregressive": lambda: b.masked_autoregressive(
        net=b.made(9, 1, activation="tanh"), order="reverse"
    ),
    "autoregressive_spline": lambda: b.masked_autoregressive(
        b.spline_map(4), net=b.made(8, 3, residual=True)
    ),
    "inverse_autoregressive": lambda: b.invert(b.masked_autoregressive(net=b.made(8))),
    "elementwise_affine": lambda: b.elementwise(b.affine_map(), conditioner=NET),
    "elementwise_spline": lambda: b.elementwise(b.spline_map(4), conditioner=NET),
}

# Bijectors that a context conditions.
CONTEXTUAL = {
    name: BIJECTORS[name]
    for name in (
        "additive",
        "additive_checkerboard_swap",
        "affine_swap",
        "affine_sigmoid_checkerboard",
        "affine_glow_net",
        "spline",
        "spline_swap",
        "split_conditional",
        "chain",
        "repeat",
        "repeat_scan",
        "repeat_scan_checkpoint",
        "invert",
        "autoregressive",
        "autoregressive_spline",
        "inverse_autoregressive",
        "elementwise_affine",
        "elementwise_spline",
    )
}

# Bijectors whose `init` depends on the values of the batch and not only on its shape.
DATA_DEPENDENT = (
    "actnorm",
    "linear_lu_pca",
    "affine_glow_net",
    "repeat",
    "whitening",
    "standardize",
)


def data(dim: int, *, rows: int = 40, scale: float = 1.0, seed: int = 0, dtype=np.float32):
    """Returns skewed and correlated data with a mean other than 0, shape (rows, dim)."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, dim)) @ (np.eye(dim) + 0.3 * rng.standard_normal((dim, dim)))
    return jnp.asarray(scale * (x + 0.1 * x**2 + 0.5), dtype)


def noisy(params, *, size: float = 0.2, seed: int = 0):
    """Returns params with noise added to every trainable leaf, away from the initial values."""
    leaves, structure = jax.tree.flatten(jax.tree.map(np.asarray, params))
    mask = jax.tree.leaves(trainable_mask(params))
    rng = np.random.default_rng(seed)
    moved = [
        leaf + (size * rng.standard_normal(leaf.shape)).astype(leaf.dtype) if trains else leaf
        for leaf, trains in zip(leaves, mask, strict=True)
    ]
    return jax.tree.unflatten(structure, moved)


# No optimizations, because compilation takes most of the time of the tests.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def key(seed: int = 0):
    """Returns a random key of the implementation that compiles fastest."""
    return jax.random.key(seed, impl="unsafe_rbg")


@functools.cache
def compiled(name: str):
    """Returns (bijector, init, forward, inverse, singles) of an entry; the functions are jitted.

    singles(params, x) returns the Jacobian dz/dx, z and log_det of every example, by vmap.
    """
    part = BIJECTORS[name]()
    jit = functools.partial(jax.jit, compiler_options=QUICK)

    def single(params, row):
        z, log_det = part.forward(params, row)
        return z, (z, log_det)

    singles = jax.vmap(jax.jacrev(single, argnums=1, has_aux=True), in_axes=(None, 0))
    return part, jit(part.init), jit(part.forward), jit(part.inverse), jit(singles)
