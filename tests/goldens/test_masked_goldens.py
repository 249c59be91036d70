"""Autoregressive layers against layers of zuko and nflows with the same weights."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowjax import bijectors as b
from flowjax.bijectors.spline import rational_quadratic_spline

BINS, BOUND = 5, 3.0


def plain_spline(raw, x, inverse=False):
    """The spline of nflows, whose raw parameters have no bound."""
    parts = raw[..., :BINS, :], raw[..., BINS : 2 * BINS, :], raw[..., 2 * BINS :, :]
    return rational_quadratic_spline(x, *parts, bound=BOUND, inverse=inverse)


LAYERS = {
    "zuko": (b.affine_map(), 2, True),
    "nflows": (
        b.ScalarMap("plain", 3 * BINS - 1, plain_spline, partial(plain_spline, inverse=True)),
        3,
        False,
    ),
}


@pytest.mark.parametrize("peer", LAYERS)
def test_a_layer_agrees_with_the_layer_of_a_peer(peer):
    g = np.load(Path(__file__).parent / "masked.npz")
    transform, depth, conditional = LAYERS[peer]
    dim, units = g["x"].shape[1], np.argsort(g[f"{peer}_degrees"], kind="stable")
    params = []
    for i in range(depth + 1):
        kernel, bias = g[f"{peer}_kernel_{i}"], g[f"{peer}_bias_{i}"]
        if i > 0:
            kernel = kernel[units]
        if i < depth:
            kernel, bias = kernel[:, units], bias[units]
        else:  # the peers order outputs by coordinate first
            kernel, bias = (
                np.swapaxes(a.reshape(*a.shape[:-1], dim, -1), -1, -2).reshape(a.shape)
                for a in (kernel, bias)
            )
        params.append({"kernel": kernel, "bias": bias})
    order = np.argsort(g["zuko_rank"]) if peer == "zuko" else "natural"
    part = b.masked_autoregressive(transform, net=b.made(len(units), depth), order=order)
    with jax.enable_x64(True):
        params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), tuple(params))
        context = jnp.asarray(g["context"]) if conditional else None
        z, log_det = part.forward(params, jnp.asarray(g["x"]), context)
        x, minus = part.inverse(params, jnp.asarray(g[f"{peer}_z"]), context)
    np.testing.assert_allclose(z, g[f"{peer}_z"], atol=1e-10)
    np.testing.assert_allclose(log_det, g[f"{peer}_log_det"], atol=1e-10)
    np.testing.assert_allclose(x, g["x"], atol=1e-9)
    np.testing.assert_allclose(minus, -log_det, atol=1e-9)
