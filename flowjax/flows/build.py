"""A bijector and a base density make a flow."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.export
import jax.numpy as jnp

from flowjax.bijectors.common import as_float, check_batch, check_dim, init_part
from flowjax.bijectors.moments import Moments
from flowjax.bijectors.whitening import whitening, whitening_from_moments
from flowjax.flows.base import NORMAL, Base, base_from
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
            training, it is not there and costs nothing. Only over the standard normal, where it
            is the likeliest affine map of the latents; over another base it does nothing.

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
    whiten, whitens = whitening(), whiten_latents and density is NORMAL

    def init(key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        check_dim("x", x, dim)
        x = check_batch("x", x)
        if context is not None:
            context = first_context(context, x)
        bijector_key, base_key = jax.random.split(key)
        params = init_part(bijector, bijector_key, x, context)
        z = jax.ShapeDtypeStruct((x.shape[0], latent), x.dtype)
        return {"base": density.init(base_key, z, context), "bijector": params}

    def forward_rows(params: Params, x: Array, context: Array | None) -> tuple[Array, Array]:
        z, log_det = bijector.forward(params["bijector"], x, context)
        check_result(z, log_det, x, latent)
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
        x = as_float(x)
        return in_blocks(forward_rows)(params, x, check_context(context, x))

    def inverse(params: Params, z: Array, context: Array | None = None) -> tuple[Array, Array]:
        check_dim("z", z, latent)
        z = as_float(z)
        return in_blocks(inverse_rows)(params, z, check_context(context, z))

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
        n = check_count(n)
        context = check_context(context, jax.ShapeDtypeStruct((n, latent), jnp.float32))
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
        finish=finish if whitens else None,
    )


def check_count(n: Any) -> Any:
    """Returns how many samples to draw, an integer or one that `jax.export` does not know yet."""
    if jax.export.is_symbolic_dim(n):
        return n
    try:
        count = operator.index(n)
    except TypeError:
        count = -1
    if count < 0:
        raise FlowjaxError(f"n: expected how many samples to draw, 0 or more, got {n!r}")
    return count


def first_context(context: Any, x: Array) -> Array:
    """Returns a first batch's context, `(n, width)` and finite, or raises FlowjaxError.

    Later one vector may do for all rows; here it could be a label a row as well.
    """
    context = jnp.asarray(context)
    if context.ndim != 2 or len(context) != len(x):
        raise FlowjaxError(
            f"context: expected ({len(x)}, width), a vector per row of x (labels as one-hot "
            f"vectors), got {context.shape}"
        )
    return check_batch("context", context)


def check_context(context: Any, x: Any) -> Array | None:
    """Returns the context: None, one vector, or one per row of x; else raises FlowjaxError."""
    if context is None:
        return None
    context = jnp.asarray(context)
    leading = x.shape[:-1]
    if context.ndim < 1 or context.shape[:-1] not in ((), leading):
        rows = "".join(f"{size}, " for size in leading)
        raise FlowjaxError(f"context: expected ({rows}width) or (width,), got {context.shape}")
    return context


def check_result(z: Array, log_det: Array, x: Array, latent: int) -> None:
    """Raises FlowjaxError where a bijector, maybe a user's own, does not keep the contract."""
    latents, per_row = jnp.shape(z), jnp.shape(log_det)
    if latents != (*x.shape[:-1], latent):
        raise FlowjaxError(
            f"bijector: expected latents {(*x.shape[:-1], latent)}, got {latents}; `latent_dim` "
            "says how wide they are"
        )
    if per_row != x.shape[:-1]:
        raise FlowjaxError(f"bijector: expected a log_det per row, {x.shape[:-1]}, got {per_row}")


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
