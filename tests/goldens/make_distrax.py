"""Script that writes distrax.npz: reference results of distrax in float64.

Create an environment for this script with `pip install distrax==0.1.9`, and run
`python tests/goldens/make_distrax.py`. The forward direction of distrax is latent -> data, but
the tests compare the functions only, so the direction does not matter. The array `versions`
lists the versions of the packages.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import distrax
import jax
import jax.numpy as jnp
import numpy as np

ROWS, DIM, BINS, BOUND = 9, 6, 5, 3.0
HALF = DIM // 2


def main():
    jax.config.update("jax_enable_x64", True)
    rng = np.random.default_rng(20260102)
    x = jnp.asarray(rng.standard_normal((ROWS, DIM)))
    matrix = 0.4 * rng.standard_normal((DIM, DIM)) + np.diag(np.arange(1.0, DIM + 1))
    bias = rng.standard_normal(DIM)
    linear = distrax.LowerUpperTriangularAffine(jnp.asarray(matrix), jnp.asarray(bias))
    lu_z, lu_log_det = linear.forward_and_log_det(x)

    points = jnp.asarray(2 * rng.standard_normal((ROWS, DIM)))
    spline = distrax.RationalQuadraticSpline(
        jnp.asarray(rng.standard_normal((ROWS, DIM, 3 * BINS + 1))),
        range_min=-BOUND,
        range_max=BOUND,
        boundary_slopes="identity",
        min_bin_size=0.01,
    )
    spline_z, spline_log_slope = spline.forward_and_log_det(points)

    weight = 0.7 * rng.standard_normal((2 * HALF, HALF))
    offset = 0.3 * rng.standard_normal(2 * HALF)

    def make_inner(out):
        return distrax.ScalarAffine(out[..., :HALF], log_scale=2 * jnp.tanh(out[..., HALF:] / 2))

    coupling = distrax.SplitCoupling(
        HALF, 1, lambda kept: kept @ weight.T + offset, make_inner, split_axis=-1
    )
    affine_z, affine_log_det = coupling.forward_and_log_det(x)
    np.savez_compressed(
        Path(__file__).parent / "distrax.npz",
        x=x,
        lu_lower=np.tril(matrix, -1) + np.eye(DIM),
        lu_upper=np.triu(matrix),
        lu_bias=bias,
        lu_z=lu_z,
        lu_log_det=lu_log_det,
        spline_x=points,
        spline_horizontal=spline._x_pos,
        spline_vertical=spline._y_pos,
        spline_slopes=spline._knot_slopes,
        spline_z=spline_z,
        spline_log_slope=spline_log_slope,
        spline_inverse=spline.inverse(points),
        affine_weight=weight,
        affine_bias=offset,
        affine_z=affine_z,
        affine_log_det=affine_log_det,
        versions=np.array([f"{p} {version(p)}" for p in ("distrax", "jax", "numpy")]),
    )


if __name__ == "__main__":
    main()
