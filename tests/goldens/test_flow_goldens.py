"""Tests against results of zuko, nflows, normflows, distrax and scikit-learn.

The scripts make_*.py in this folder wrote the arrays.
"""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowjax import bijectors as b
from flowjax.bijectors.spline import MIN_SLOPE, MIN_WIDTH, rational_quadratic_spline

BOUND = 3.0


def golden(peer):
    return np.load(Path(__file__).parent / f"{peer}.npz")


def same(part, params, x, z, log_det, near=1e-10):
    """Raises AssertionError unless forward and inverse agree with the reference arrays."""
    with jax.enable_x64(True):
        params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), params)
        got, got_log_det = part.forward(params, jnp.asarray(x))
        back, minus = part.inverse(params, jnp.asarray(z))
        assert got.dtype == jnp.float64
        np.testing.assert_allclose(got, z, atol=near)
        np.testing.assert_allclose(got_log_det, log_det, atol=near)
        np.testing.assert_allclose(back, x, atol=near)
        np.testing.assert_allclose(minus, -log_det, atol=near)


@pytest.mark.parametrize("peer", ["zuko", "nflows", "normflows", "distrax"])
def test_lu_linear(peer):
    g = golden(peer)
    if peer == "zuko":  # the diagonal belongs to L, and there is no bias
        diagonal = np.diag(g["lu"])
        lower, upper = np.tril(g["lu"]) / diagonal, np.triu(g["lu"], 1)
        bias = np.zeros_like(diagonal)
    elif peer == "normflows":  # z = x L (U + diag), so U^T is the lower factor
        diagonal = np.exp(g["lu_log_diagonal"])
        lower, upper = g["lu_upper"].T / diagonal, g["lu_lower"].T
        bias = np.zeros_like(diagonal)
    else:  # the diagonal belongs to U
        diagonal = np.diag(g["lu_upper"])
        lower, upper = g["lu_lower"], g["lu_upper"] / diagonal[:, None]
        bias = g["lu_bias"]
    triangles = np.tril(lower, -1) + np.triu(upper, 1)
    params = {"triangles": triangles, "log_diagonal": np.log(diagonal), "bias": bias}
    same(b.linear_lu(init="identity"), params, g["x"], g["lu_z"], g["lu_log_det"])


@pytest.mark.parametrize("peer", ["nflows", "normflows"])
def test_actnorm(peer):
    g = golden(peer)
    bias = g["actnorm_shift"] / np.exp(
        g["actnorm_log_scale"]
    )  # the peer adds its shift after scaling
    params = {"bias": bias, "log_scale": g["actnorm_log_scale"]}
    same(b.actnorm(), params, g["x"], g["actnorm_z"], g["actnorm_log_det"])


@pytest.mark.parametrize("peer", ["zuko", "nflows", "normflows", "distrax"])
def test_affine_coupling(peer):
    g = golden(peer)
    params = {"Dense_0": {"kernel": g["affine_weight"].T, "bias": g["affine_bias"]}}
    part = b.affine_coupling(conditioner=b.mlp(depth=0))
    same(part, params, g["x"], g["affine_z"], g["affine_log_det"])


def test_additive_coupling():
    g = golden("nflows")
    params = {"Dense_0": {"kernel": g["additive_weight"].T, "bias": g["additive_bias"]}}
    part = b.additive_coupling(conditioner=b.mlp(depth=0))
    same(part, params, g["x"], g["additive_z"], g["additive_log_det"])


def spline(x, raw, inverse=False):
    """Returns the spline of raw parameters with the bins on the last axis, as in the peers."""
    with jax.enable_x64(True):
        widths, heights, slopes = (jnp.asarray(np.swapaxes(a, -1, -2)) for a in raw)
        return rational_quadratic_spline(
            jnp.asarray(x), widths, heights, slopes, bound=BOUND, inverse=inverse
        )


@pytest.mark.parametrize("peer", ["nflows", "normflows"])
def test_spline_from_raw_parameters(peer):
    g = golden(peer)
    raw = [g[f"spline_{name}"] for name in ("widths", "heights", "slopes")]
    for name, inverse in (("z", False), ("inverse", True)):
        value, log_slope = spline(g["spline_x"], raw, inverse)
        np.testing.assert_allclose(value, g[f"spline_{name}"], atol=1e-9)
        np.testing.assert_allclose(log_slope, g[f"spline_{name}_log_slope"], atol=1e-9)
    assert (np.abs(g["spline_x"]) > BOUND).any()  # includes the linear tails


@pytest.mark.parametrize("peer", ["zuko", "distrax"])
def test_spline_from_knots(peer):
    """Raw parameters of these peers are defined differently, so they are computed from knots."""
    g = golden(peer)

    def raw_sizes(knots):
        part = np.diff(knots, axis=-1) / (2 * BOUND)
        return np.log((part - MIN_WIDTH) / (1 - MIN_WIDTH * part.shape[-1]))

    raw = [
        raw_sizes(g["spline_horizontal"]),
        raw_sizes(g["spline_vertical"]),
        np.log(np.expm1(g["spline_slopes"][..., 1:-1] - MIN_SLOPE)),
    ]
    value, log_slope = spline(g["spline_x"], raw)
    np.testing.assert_allclose(value, g["spline_z"], atol=1e-8)
    np.testing.assert_allclose(log_slope, g["spline_log_slope"], atol=1e-8)
    inverse, _ = spline(g["spline_x"], raw, inverse=True)
    np.testing.assert_allclose(inverse, g["spline_inverse"], atol=1e-7)
    assert (np.abs(g["spline_x"]) > BOUND).any()


def test_whitening_against_sklearn():
    """PCA of scikit-learn divides by n - 1 and flowjax by n."""
    g = golden("sklearn")
    x = g["x"]
    with jax.enable_x64(True):
        params = b.whitening(shrinkage="ledoit_wolf").init(jax.random.key(0), x)["frozen"]
        back = np.asarray(params["inverse"])
        np.testing.assert_allclose(back.T @ back, g["ledoit_wolf"], atol=1e-9)
        assert 0.05 < g["weight"] < 0.95
        part = b.whitening(components=3)
        z, _ = part.forward(part.init(jax.random.key(0), x), x)
        expected = g["pca_z"] * np.sqrt(len(x) / (len(x) - 1))
        np.testing.assert_allclose(np.abs(z), np.abs(expected), atol=1e-9)


@pytest.mark.parametrize("peer", ["zuko", "nflows", "normflows", "distrax"])
def test_reference_files_name_their_library(peer):
    assert str(golden(peer)["versions"][0]).startswith(f"{peer} ")
