"""Learned orthogonal layer: a product of Householder reflections."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from flowjax.bijectors.common import check_batch, check_dim, constant_log_det, product
from flowjax.errors import check_choice, check_integer, check_that
from flowjax.types import Array, Bijector, Params, PRNGKey


def householder(
    *, reflections: int | None = None, init: Literal["random", "identity"] = "random"
) -> Bijector:
    """Returns `z = H_1 ... H_k x` with the reflections `H_i = I - 2 v_i v_i^T / |v_i|^2`.

    The matrix is orthogonal for all values of the parameters `v_i`, so that log_det is 0 and the
    inverse is the transpose. With k = dim, the product can be any orthogonal matrix whose
    determinant is (-1)^k.

    Args:
        reflections: number k of reflections; None means the dimension of the data, rounded up to
            an even number. More reflections than that add parameters but no matrices.
        init: initialisation. "random" draws the vectors from a normal distribution; "identity"
            makes the vectors of each pair of reflections equal, so that they cancel.

    Returns:
        A bijector on `(n, dim)`.

    Raises:
        FlowjaxError: `reflections` is not an integer of at least 1, or it is odd although `init`
            is "identity".

    References:
        Tomczak and Welling, https://arxiv.org/abs/1611.09630; Joffrain et al., "Accumulating
        Householder transformations, revisited", 2006.

    Example:
        >>> layer, x = householder(), jax.random.normal(jax.random.key(0), (5, 4))
        >>> params = layer.init(jax.random.key(1), x)
        >>> z, log_det = layer.forward(params, x)
        >>> norms = jnp.linalg.norm(x, axis=1), jnp.linalg.norm(z, axis=1)
        >>> bool(jnp.allclose(*norms, atol=1e-4)), log_det.tolist()
        (True, [0.0, 0.0, 0.0, 0.0, 0.0])
    """
    check_choice("init", init, ("random", "identity"))
    if reflections is not None:
        reflections = check_integer("reflections", reflections, least=1)
        even = reflections % 2 == 0 or init == "random"
        check_that(even, "reflections", "an even number for init='identity'", reflections)

    def start(key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        x = check_batch("x", x)
        dim = x.shape[-1]
        count = dim + dim % 2 if reflections is None else reflections
        if init == "random":
            return {"vectors": jax.random.normal(key, (count, dim), x.dtype)}
        vectors = jax.random.normal(key, (count // 2, dim), x.dtype)
        return {"vectors": jnp.repeat(vectors, 2, axis=0)}

    def rotate(params: Params, x: Array, transpose: bool) -> tuple[Array, Array]:
        vectors = params["vectors"]
        x = check_dim("x", x, vectors.shape[-1])
        square = jnp.square(vectors).sum(axis=-1, keepdims=True)
        unit = vectors / jnp.sqrt(jnp.where(square > 0, square, 1))
        # H_1 ... H_k = I - U S^-1 U^T with the unit vectors as columns of U (Joffrain et al.).
        triangle = jnp.triu(product(unit, unit.T), 1) + jnp.eye(len(unit), dtype=unit.dtype) / 2
        rows = x.reshape(-1, x.shape[-1])
        inner = product(unit, rows.T)
        solved = solve_triangular(triangle, inner, trans=1 if transpose else 0)
        z = rows - product(solved.T, unit)
        return z.reshape(x.shape), constant_log_det(x)

    def forward(params: Params, x: Array, context: Array | None = None) -> tuple[Array, Array]:
        return rotate(params, x, False)

    def inverse(params: Params, z: Array, context: Array | None = None) -> tuple[Array, Array]:
        return rotate(params, z, True)

    count = "dim" if reflections is None else reflections
    return Bijector(start, forward, inverse, (f"householder(reflections={count}, init={init!r})",))
