"""A bijector and a base density make a flow."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from flowjax.bijectors.common import as_float, check_batch, check_dim
from flowjax.bijectors.moments import Moments
from flowjax.bijectors.whitening import whitening, whitening_from_moments
from flowjax.flows.base import Base, base_from
from flowjax.flows.blocks import in_blocks
from flowjax.types import Array, Bijector, Flow, FlowjaxError, Params, PRNGKey


def build(
    bijector: Bijector,
    dim: int,
    *,
    base: str | Base = "normal",
    name: str = "flow",
    latent_dim: int | None = None,
    noise: Callable[[Params, PRNGKey, Array], Array] | None = None,
    whiten_latents: bool = False,
) -> Flow:
    """Returns the flow of a bijector over a base density.

    Its params are `{"bijector": ..., "base": ...}`, and
    `log_prob(x) = base.log_prob(z) + log_det` in nats, with `z, log_det` from `forward`.

    Args:
        bijector: any, data -> latent.
        dim: size of a data vector; every call checks it.
        base: "normal", "student_t", "conditional", or a `Base`.
        name: for layer lists.
        latent_dim: size of a latent where the bijector drops coordinates; None is `dim`.
        noise: `noise(bijector_params, key, x) -> x`, which adds to samples what the bijector
            dropped.
        whiten_latents: `fit` ends with a closed-form whitening of the latents, in `finish`; while
            training, it is not there and costs nothing.

    Returns:
        A `Flow`. Its functions raise FlowjaxError for a wrong shape of x, and `init`, outside
        of jit, for NaN or infinity in x, named by row and column.

    Raises:
        FlowjaxError: dim is not a positive integer, or the base's name is unknown.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from flowjax import bijectors
        >>> flow = build(bijectors.chain(bijectors.actnorm(), bijectors.reverse()), dim=3)
        >>> x = jax.random.normal(jax.random.key(0), (10, 3))
        >>> params = flow.init(jax.random.key(1), x)
        >>> flow.log_prob(params, x).shape, flow.sample(params, jax.random.key(2), 4).shape
        ((10,), (4, 3))
    """
    if not isinstance(dim, int) or isinstance(dim, bool) or dim < 1:
        raise FlowjaxError(f"dim: expected a positive integer, got {dim!r}")
    latent = dim if latent_dim is None else latent_dim
    density = base_from(base)
    whiten = whitening()

    def init(key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        check_dim("x", x, dim)
        x = check_batch("x", x)
        check_context(context, x)
        bijector_key, base_key = jax.random.split(key)
        params = bijector.init(bijector_key, x, context)
        z = jax.ShapeDtypeStruct((x.shape[0], latent), x.dtype)
        return {"base": density.init(base_key, z, context), "bijector": params}

    def forward_rows(params: Params, x: Array, context: Array | None) -> tuple[Array, Array]:
        z, log_det = bijector.forward(params["bijector"], x, context)
        if "latents" not in params:
            return z, log_det
        z, change = whiten.forward(params["latents"], z)
        return z, log_det + change

    def inverse_rows(params: Params, z: Array, context: Array | None) -> tuple[Array, Array]:
        if "latents" not in params:
            return bijector.inverse(params["bijector"], z, context)
        z, change = whiten.inverse(params["latents"], z)
        x, log_det = bijector.inverse(params["bijector"], z, context)
        return x, log_det + change

    def forward(params: Params, x: Array, context: Array | None = None) -> tuple[Array, Array]:
        check_dim("x", x, dim)
        check_context(context, x)
        return in_blocks(forward_rows)(params, as_float(x), context)

    def inverse(params: Params, z: Array, context: Array | None = None) -> tuple[Array, Array]:
        check_dim("z", z, latent)
        check_context(context, z)
        return in_blocks(inverse_rows)(params, as_float(z), context)

    def finish(params: Params, moments: Moments) -> Params:
        # "auto" shrinks where rows are few; of many it changes nothing that shows
        found = whitening_from_moments(moments, shrinkage="auto")
        return {"base": params["base"], "bijector": params["bijector"], "latents": found}

    def log_parts(params: Params, x: Array, context: Array | None = None) -> tuple[Array, Array]:
        z, log_det = forward(params, x, context)
        return density.log_prob(params["base"], z, context), log_det

    def log_prob(params: Params, x: Array, context: Array | None = None) -> Array:
        log_base, log_det = log_parts(params, x, context)
        return log_base + log_det

    def draw(
        params: Params, key: PRNGKey, n: int, context: Array | None
    ) -> tuple[Array, Array, Array]:
        base_key, noise_key = jax.random.split(key)
        dtype = jnp.result_type(jnp.float32, *jax.tree.leaves(params))
        z = density.sample(params["base"], base_key, (n, latent), dtype, context)
        x, log_det = inverse(params, z, context)
        return z, x if noise is None else noise(params["bijector"], noise_key, x), log_det

    def sample(params: Params, key: PRNGKey, n: int, context: Array | None = None) -> Array:
        return draw(params, key, n, context)[1]

    def sample_and_log_prob(
        params: Params, key: PRNGKey, n: int, context: Array | None = None
    ) -> tuple[Array, Array]:
        z, x, log_det = draw(params, key, n, context)
        if noise is not None:
            return x, log_prob(params, x, context)
        return x, density.log_prob(params["base"], z, context) - log_det

    return Flow(
        init,
        forward,
        inverse,
        log_prob,
        sample,
        dim,
        sample_and_log_prob,
        latent,
        name,
        (*bijector.layers, density.line),
        log_parts,
        finish=finish if whiten_latents else None,
    )


def check_context(context: Array | None, x: Array) -> None:
    """Raises FlowjaxError unless the context is None, one vector, or one vector per row of x."""
    if context is None:
        return
    shape, leading = jnp.shape(context), jnp.shape(x)[:-1]
    if len(shape) < 1 or shape[:-1] not in ((), leading):
        rows = ", ".join(str(size) for size in leading)
        raise FlowjaxError(f"context: expected ({rows}, width) or (width,), got {shape}")


def bits_per_dim(nll: Array | float, dim: int) -> Array | float:
    """Returns a negative log-likelihood in nats as bits per dimension, `nll / (dim ln 2)`.

    The continuous density of BERT-flow's loss: it may well be negative.

    Args:
        nll: in nats, any shape.
        dim: size of a data vector.

    Returns:
        The same shape, in bits per dimension.

    Example:
        >>> round(bits_per_dim(math.log(2) * 6, dim=3), 6)
        2.0
    """
    return nll / (dim * math.log(2))
