"""A learned linear map held as its LU factors: Glow's 1x1 convolution for vectors."""

from __future__ import annotations

from functools import lru_cache

import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular

from flowjax.bijectors.common import (
    as_float,
    check_batch,
    check_dim,
    constant_log_det,
    product,
    total,
)
from flowjax.bijectors.moments import deviations, scatter
from flowjax.bijectors.permutation import take_columns
from flowjax.types import Array, Bijector, FlowjaxError, Params, PRNGKey


def _mixing_rotation(dim: int, seed: int) -> np.ndarray:
    """Returns the first proper rotation drawn that mixes the halves, in float64.

    The first half it gives takes at most as much of its variance from the first half it is given
    as is to be expected, and at least half of that. A coupling then moves most of what the last
    one kept, and turns of one rotation go through many directions; reflections, which QR gives at
    dim 2, would alternate between two. What that does at dim 2: benchmarks/density.md.
    """
    if dim == 1:
        return np.ones((1, 1))
    rng, half = np.random.default_rng(seed), dim - dim // 2
    while True:
        rotation, _ = np.linalg.qr(rng.standard_normal((dim, dim)))
        rotation[:, -1] *= np.linalg.slogdet(rotation)[0]
        share, expected = (rotation[:half, :half] ** 2).sum() / half, half / dim
        if expected / 2 <= share <= expected:
            return rotation


@lru_cache(maxsize=16)
def _rotation(dim: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns (order, L and U packed, D): R[order] = L D U for a random rotation R, in float64."""
    rotation = _mixing_rotation(dim, seed)
    lu, order = rotation.copy(), np.arange(dim)
    for k in range(dim - 1):  # elimination with partial pivoting, which NumPy does not offer
        pivot = k + int(np.argmax(np.abs(lu[k:, k])))
        lu[[k, pivot]], order[[k, pivot]] = lu[[pivot, k]], order[[pivot, k]]
        lu[k + 1 :, k] /= lu[k, k]
        lu[k + 1 :, k + 1 :] -= np.outer(lu[k + 1 :, k], lu[k, k + 1 :])
    diagonal = np.diag(lu).copy()
    unit = np.triu(lu, 1) / diagonal[:, None]
    return order, np.tril(lu, -1) + unit, diagonal


def linear_lu(*, init: str = "rotation", seed: int = 0) -> Bijector:
    """Returns `z = P L D U x + bias`: L unit lower and U unit upper triangular, D diagonal.

    The permutation P and the signs of D are fixed by `init`, `seed` and the dim; what is learned
    is the triangles (packed in one matrix), the logarithm of |D|, and the bias. log_det is that
    logarithm's sum, and inverting solves two triangular systems. (Glow's code keeps D inside U;
    apart from it the triangles have no scale, so that a step or weight decay means the same
    whatever the data's scale.)

    Args:
        init: "rotation", a random one from `seed` as in Glow, drawn until it mixes the halves;
            "identity"; or "pca", the first batch's symmetric whitening `U Lambda^(-1/2) U^T` with
            its mean taken out (the one whitening whose LU factors need no pivoting, so that P is
            fixed before any data).
        seed: for "rotation".

    Returns:
        A bijector on `(n, dim)`; log_det in nats.

    Raises:
        FlowjaxError: unknown init.

    References:
        Glow, https://arxiv.org/abs/1807.03039, section 3.2.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> layer, x = linear_lu(), jax.random.normal(jax.random.key(0), (5, 4))
        >>> params = layer.init(jax.random.key(1), x)
        >>> z, log_det = layer.forward(params, x)
        >>> norms = jnp.linalg.norm(x, axis=1), jnp.linalg.norm(z, axis=1)
        >>> bool(jnp.allclose(*norms, atol=1e-4)), bool(jnp.allclose(log_det, 0, atol=1e-4))
        (True, True)
    """
    if init not in ("rotation", "identity", "pca"):
        raise FlowjaxError(f"init: expected 'rotation', 'identity' or 'pca', got {init!r}")
    rotated = init == "rotation"

    def start(key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        x = check_batch("x", x)
        dim = x.shape[1]
        bias = jnp.zeros(dim, x.dtype)
        if rotated:
            _, packed, diagonal = _rotation(dim, seed)
            return {
                "triangles": jnp.asarray(packed, x.dtype),
                "log_diagonal": jnp.asarray(np.log(np.abs(diagonal)), x.dtype),
                "bias": bias,
            }
        if init == "identity":
            zeros = jnp.zeros((dim, dim), x.dtype)
            return {"triangles": zeros, "log_diagonal": bias, "bias": bias}
        xp, mean, rows, unit = deviations(x)
        values, vectors = xp.linalg.eigh(scatter(rows) / len(rows))
        values = xp.maximum(values, xp.where(values[-1] > 0, 1e-6 * values[-1], 1))
        halves = vectors * values**-0.25  # so that matrix = halves halves^T, exactly symmetric
        matrix = scatter(halves.T)
        lower = xp.linalg.cholesky(matrix)  # matrix = C C^T = (C / d) d^2 (C / d)^T, d = diag C
        root = xp.diag(lower)
        triangle = xp.tril(lower / root, -1)
        params = {
            "triangles": triangle + triangle.T,
            "log_diagonal": 2 * xp.log(root) - xp.log(unit),
            "bias": -(matrix * mean).sum(axis=1) / unit,
        }
        return {name: jnp.asarray(value, x.dtype) for name, value in params.items()}

    def factors(params: Params, x: Array) -> tuple[Array, Array, Array]:
        dim = params["bias"].shape[0]
        check_dim("x", x, dim)
        diagonal = jnp.exp(params["log_diagonal"])
        if rotated:
            diagonal = diagonal * np.sign(_rotation(dim, seed)[2]).astype(diagonal.dtype)
        triangles, one = params["triangles"], jnp.eye(dim, dtype=params["triangles"].dtype)
        return jnp.tril(triangles, -1) + one, diagonal, jnp.triu(triangles, 1) + one

    def forward(params: Params, x: Array, context: Array | None = None) -> tuple[Array, Array]:
        x = as_float(x)
        lower, diagonal, upper = factors(params, x)
        z = product(product(x, upper.T) * diagonal, lower.T)
        if rotated:
            z = take_columns(z, np.argsort(_rotation(z.shape[-1], seed)[0]))
        return z + params["bias"], constant_log_det(x, total(params["log_diagonal"]))

    def inverse(params: Params, z: Array, context: Array | None = None) -> tuple[Array, Array]:
        z = as_float(z)
        lower, diagonal, upper = factors(params, z)
        rows = (z - params["bias"]).reshape(-1, z.shape[-1])
        if rotated:
            rows = take_columns(rows, _rotation(z.shape[-1], seed)[0])
        columns = solve_triangular(lower, rows.T, lower=True, unit_diagonal=True)
        columns = solve_triangular(upper, columns / diagonal[:, None], unit_diagonal=True)
        return columns.T.reshape(z.shape), constant_log_det(z, -total(params["log_diagonal"]))

    def constants(dim: int) -> tuple[np.ndarray, ...]:
        if not rotated:
            return ()
        order, _, diagonal = _rotation(dim, seed)
        return order, np.sign(diagonal).astype(int)

    line = f"linear_lu(init={init!r}{f', seed={seed}' if rotated else ''})"
    return Bijector(start, forward, inverse, (line,), constants=constants)
