"""Learned linear layer in LU form: Glow's 1x1 convolution for vectors."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular

from flowjax.bijectors.common import check_batch, check_dim, constant_log_det, product, total
from flowjax.bijectors.moments import deviations, scatter
from flowjax.bijectors.take import take_columns
from flowjax.errors import check_choice, check_integer
from flowjax.types import Array, Bijector, Params, PRNGKey


def _mixing_rotation(dim: int, seed: int) -> np.ndarray:
    """Returns a random rotation (determinant 1) that mixes the two halves, in float64.

    Let s be the fraction of the variance of the output's first half that comes from the input's
    first half. Rotations are drawn until s is at most its expectation and at least half of its
    expectation. benchmarks/density.md compares these bounds, and rotations with reflections, at
    dim 2.
    """
    if dim == 1:
        return np.ones((1, 1))
    rng, half = np.random.default_rng(seed), dim - dim // 2
    while True:
        rotation, _ = np.linalg.qr(rng.standard_normal((dim, dim)))
        rotation[:, -1] *= np.linalg.slogdet(rotation)[0]
        fraction, expected = (rotation[:half, :half] ** 2).sum() / half, half / dim
        if expected / 2 <= fraction <= expected:
            return rotation


@lru_cache(maxsize=16)
def _rotation(dim: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns float64 factors of a random rotation R: `(order, triangles, diagonal)`.

    R[order] = L D U, where `triangles` holds L below the diagonal and U above the diagonal.
    """
    from scipy.linalg import lu  # slow to import

    factors: Any = lu(_mixing_rotation(dim, seed), p_indices=True)
    rows, lower, upper = factors
    diagonal = np.diag(upper).copy()
    triangles = np.tril(lower, -1) + np.triu(upper / diagonal[:, None], 1)
    return np.argsort(rows), triangles, diagonal


def _zca(x: Array) -> tuple[Any, Any, Any]:
    """Returns the triangles, log-diagonal and bias of the ZCA whitening of a batch."""
    xp, mean, rows, unit = deviations(x)
    values, vectors = xp.linalg.eigh(scatter(rows) / len(rows))
    values = xp.maximum(values, xp.where(values[-1] > 0, 1e-6 * values[-1], 1))
    halves = vectors * values**-0.25  # matrix = halves halves^T is exactly symmetric
    matrix = scatter(halves.T)
    lower = xp.linalg.cholesky(matrix)  # matrix = C C^T = (C / d) d^2 (C / d)^T, d = diag C
    root = xp.diag(lower)
    triangle = xp.tril(lower / root, -1)
    bias = -(matrix * mean).sum(axis=1) / unit
    return triangle + triangle.T, 2 * xp.log(root) - xp.log(unit), bias


def linear_lu(
    *, init: Literal["rotation", "identity", "pca"] = "rotation", seed: int = 0
) -> Bijector:
    """Returns `z = P L D U x + bias`: L unit lower and U unit upper triangular, D diagonal.

    The permutation P and the signs of D are fixed; they depend on `init`, `seed` and the dim. The
    learned parameters are the triangles (packed in one matrix), `log |D|` and the bias. log_det is
    the sum of `log |D|`; the inverse solves two triangular systems. Unlike in Glow's code, D is
    separate from U. The triangles, and the effect of the step size and of weight decay on the
    triangles, therefore do not depend on the scale of the data.

    Args:
        init: initialisation. "rotation" is a random rotation, as in Glow, drawn until it mixes the
            two halves. "identity" is the identity. "pca" is the symmetric (ZCA) whitening of the
            first batch, `U Lambda^(-1/2) U^T (x - mean)`; its LU factors need no pivoting, so
            that P does not depend on the data.
        seed: integer seed of the rotation; unused by the other initialisations.

    Returns:
        A bijector on `(n, dim)`; log_det in nats.

    Raises:
        FlowjaxError: `init` or `seed` is out of range. The `init` of the bijector raises it for a
            wrong shape or values that are not finite.

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
    check_choice("init", init, ("rotation", "identity", "pca"))
    seed, rotated = check_integer("seed", seed), init == "rotation"

    def start(key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        x = check_batch("x", x)
        dim = x.shape[1]
        values: tuple[Any, Any, Any]
        if rotated:
            _, triangles, diagonal = _rotation(dim, seed)
            values = triangles, np.log(np.abs(diagonal)), np.zeros(dim)
        elif init == "identity":
            values = np.zeros((dim, dim)), np.zeros(dim), np.zeros(dim)
        else:
            values = _zca(x)
        names = ("triangles", "log_diagonal", "bias")
        return {k: jnp.asarray(v, x.dtype) for k, v in zip(names, values, strict=True)}

    def factors(params: Params) -> tuple[Array, Array, Array]:
        triangles, diagonal = params["triangles"], jnp.exp(params["log_diagonal"])
        if rotated:
            diagonal = diagonal * np.sign(_rotation(len(diagonal), seed)[2]).astype(diagonal.dtype)
        one = jnp.eye(len(diagonal), dtype=triangles.dtype)
        return jnp.tril(triangles, -1) + one, diagonal, jnp.triu(triangles, 1) + one

    def forward(params: Params, x: Array, context: Array | None = None) -> tuple[Array, Array]:
        x = check_dim("x", x, params["bias"].shape[0])
        lower, diagonal, upper = factors(params)
        z = product(product(x, upper.T) * diagonal, lower.T)
        if rotated:
            z = take_columns(z, np.argsort(_rotation(z.shape[-1], seed)[0]))
        return z + params["bias"], constant_log_det(x, total(params["log_diagonal"]))

    def inverse(params: Params, z: Array, context: Array | None = None) -> tuple[Array, Array]:
        z = check_dim("z", z, params["bias"].shape[0])
        lower, diagonal, upper = factors(params)
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
