"""Construction of a flow from a bijector and a base density."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
from jax.core import Tracer

from flowjax.bijectors import chain
from flowjax.bijectors import standardize as standardize_bijector
from flowjax.bijectors.actnorm import mean_and_std
from flowjax.bijectors.common import as_float, check_batch, check_bijector, check_dim
from flowjax.bijectors.whitening import freeze
from flowjax.errors import check_integer
from flowjax.flows.base import base_from
from flowjax.flows.blocks import in_blocks
from flowjax.types import (
    Array,
    Base,
    Bijector,
    Flow,
    FlowjaxError,
    Params,
    PRNGKey,
    Recipe,
    standardized_context,
)

Noise = Callable[[Params, PRNGKey, Array], Array]


def build(
    bijector: Bijector,
    dim: int,
    *,
    base: str | Base = "normal",
    name: str = "flow",
    latent_dim: int | None = None,
    noise: Noise | None = None,
    uses_context: bool = True,
) -> Flow:
    """Returns the flow of a bijector and a base density.

    The params of the flow are `{"bijector": ..., "base": ...}`, and
    `log_prob(x) = base.log_prob(z) + log_det` in nats, with `z, log_det` from `forward`.

    If `init` gets a context, the params also have an entry `"context"`: the frozen mean and
    log_std of each column of this context. All functions of the flow standardize their context
    with these parameters, so that a fit does not depend on the units of the context.

    Args:
        bijector: any bijector, data -> latent.
        dim: dimension of the data vectors.
        base: "normal", "student_t", "diagonal", "mixture", "uniform" (on (0, 1)), "conditional",
            or a `Base`.
        name: name of the flow in summaries.
        latent_dim: dimension of the latents if the bijector drops coordinates; None means `dim`.
        noise: function `noise(bijector_params, key, x) -> x` that adds noise in the dropped
            coordinates to samples.
        uses_context: False makes the functions of the flow raise FlowjaxError if they get a
            context.

    Returns:
        A `Flow`. The functions of the flow raise FlowjaxError if x has a wrong shape. Outside of
        jit, `init` raises FlowjaxError if x has NaN or infinity.

    Raises:
        FlowjaxError: `bijector` is not a bijector, `dim` or `latent_dim` is not an integer of at
            least 1, or the name of the base is unknown.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from flowjax import bijectors
        >>> flow = build(bijectors.chain(bijectors.actnorm(), bijectors.reverse()), dim=3)
        >>> x = jax.random.normal(jax.random.key(0), (10, 3))
        >>> params = flow.init(jax.random.key(1), x)
        >>> flow.log_prob(params, x).shape, flow.sample(params, jax.random.key(2), 4).shape
        ((10,), (4, 3))

        With a context, a tuple draws that many samples for each context vector:

        >>> flow, context = build(bijectors.elementwise(bijectors.affine_map()), 3), x[:, :2]
        >>> params = flow.init(jax.random.key(1), x, context)
        >>> samples = flow.sample(params, jax.random.key(2), (1000,), context)
        >>> samples.shape, flow.log_prob(params, samples, context).shape
        ((1000, 10, 3), (1000, 10))
    """
    bijector = check_bijector("bijector", bijector)
    dim, density = check_integer("dim", dim, least=1), base_from(base)
    latent = dim if latent_dim is None else check_integer("latent_dim", latent_dim, least=1)

    def init(key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        check_dim("x", x, dim)
        x = check_batch("x", x)
        scale = {}
        unused(context)
        if context is not None:
            context = first_context(context, x)
            scale = {"context": context_moments(context)}
            context = standardized_context(scale, context)
        bijector_key, base_key = jax.random.split(key)
        params = bijector.init(bijector_key, x, context)
        z: Any = jax.ShapeDtypeStruct((x.shape[0], latent), x.dtype)
        return {"base": density.init(base_key, z, context), "bijector": params, **scale}

    def unused(context: Any) -> None:
        if context is not None and not uses_context:
            raise FlowjaxError(
                f"context: expected None, because the flow {name} does not use a context, got an "
                f"array of shape {jnp.shape(context)}; use base='conditional' or another flow"
            )

    def given(params: Params, context: Any, x: Any) -> Array | None:
        check_params(params)
        unused(context)
        scaled: Array | None = standardized_context(params, check_context(context, x))
        return scaled

    def forward_rows(params: Params, x: Array, context: Array | None) -> tuple[Array, Array]:
        z, log_det = bijector.forward(params["bijector"], x, context)
        check_result(z, log_det, x, latent)
        return z, log_det

    def inverse_rows(params: Params, z: Array, context: Array | None) -> tuple[Array, Array]:
        return bijector.inverse(params["bijector"], z, context)

    def forward(params: Params, x: Array, context: Array | None = None) -> tuple[Array, Array]:
        check_dim("x", x, dim)
        x = as_float(x)
        return in_blocks(forward_rows, params, x, given(params, context, x))

    def inverse(params: Params, z: Array, context: Array | None = None) -> tuple[Array, Array]:
        check_dim("z", z, latent)
        z = as_float(z)
        return in_blocks(inverse_rows, params, z, given(params, context, z))

    def log_prob(params: Params, x: Array, context: Array | None = None) -> Array:
        z, log_det = forward(params, x, context)
        value = density.log_prob(params["base"], z, given(params, context, z)) + log_det
        # The gradient is 0 where the density underflows, instead of NaN or infinity.
        return jnp.where(value == -jnp.inf, -jnp.inf, value)

    def draw(
        params: Params, key: PRNGKey, n: Any, context: Array | None
    ) -> tuple[Array, Array, Array]:
        shape = (*sample_shape(n, context), latent)
        dtype = jnp.result_type(jnp.float32, *jax.tree.leaves(params))
        scaled = given(params, context, jax.ShapeDtypeStruct(shape, dtype))
        base_key, noise_key = jax.random.split(key)
        z = density.sample(params["base"], base_key, shape, dtype, scaled)
        x, log_det = inverse(params, z, context)
        return z, x if noise is None else noise(params["bijector"], noise_key, x), log_det

    def sample(params: Params, key: PRNGKey, n: Any, context: Array | None = None) -> Array:
        return draw(params, key, n, context)[1]

    def sample_and_log_prob(
        params: Params, key: PRNGKey, n: Any, context: Array | None = None
    ) -> tuple[Array, Array]:
        z, x, log_det = draw(params, key, n, context)
        if noise is not None:
            return x, log_prob(params, x, context)
        return x, density.log_prob(params["base"], z, given(params, context, z)) - log_det

    return Flow(
        init,
        forward,
        inverse,
        log_prob,
        sample,
        dim,
        sample_and_log_prob,
        latent,
        bijector,
        density,
        Recipe(name),
    )


def standardized(bijector: Bijector) -> Bijector:
    """Returns a frozen standardization of the data, followed by the bijector.

    All trainable recipes use it. Adam changes each parameter by about the learning rate per step,
    so a fit of data in other units would have other results without it.

    Args:
        bijector: the trainable bijector of a recipe.

    Example:
        >>> from flowjax import bijectors
        >>> standardized(bijectors.linear_lu(init="identity")).layers
        ('standardize', "linear_lu(init='identity')")
    """
    return chain(standardize_bijector(constant="smallest"), bijector)


def check_count(n: Any) -> Any:
    """Returns the number of samples to draw: an integer, or a symbolic size of `jax.export`."""
    if jax.export.is_symbolic_dim(n):
        return n
    if isinstance(n, Tracer):
        raise FlowjaxError(
            "n: expected an integer that is known at compile time, got a traced value; use "
            "jax.jit(flow.sample, static_argnums=2)"
        )
    try:
        count = operator.index(n)
    except TypeError:
        count = -1
    if count < 0:
        raise FlowjaxError(f"n: expected the number of samples, 0 or more, got {n!r}")
    return count


def sample_shape(n: Any, context: Any) -> tuple[Any, ...]:
    """Returns the shape of a batch of samples, without the axis of the coordinates.

    Args:
        n: an integer means n samples: one for each vector of a context of shape (n, width), or n
            for a context of shape (width,). A tuple of integers means that many samples for each
            context vector: the shape is `(*n, *context.shape[:-1])`.
        context: conditioning vectors, shape (..., width), or None.

    Raises:
        FlowjaxError: `n` is not an integer or a tuple of integers of at least 0, or the context
            has another number of vectors than n.

    Example:
        >>> sample_shape(5, None), sample_shape((1000,), jnp.zeros((5, 2)))
        ((5,), (1000, 5))
    """
    shape = () if context is None else jnp.shape(context)
    each = shape[:-1]
    if isinstance(n, (tuple, list)):
        return (*map(check_count, n), *each)
    count = check_count(n)
    if each not in ((), (count,)):
        raise FlowjaxError(
            f"context: expected shape ({count}, width) or (width,) for {count} samples, got "
            f"{shape}; pass ({count},) in place of {count} to draw {count} samples "
            "for each context vector"
        )
    return (count,)


def first_context(context: Any, x: Array) -> Array:
    """Returns the context of a first batch as an array, or raises FlowjaxError.

    The context must be finite and have the shape (n, width). `init` does not accept the shape
    (width,), because such an array could also contain one label per example.
    """
    context = jnp.asarray(context)
    if context.ndim != 2 or len(context) != len(x):
        raise FlowjaxError(
            f"context: expected shape ({len(x)}, width), one vector per example (labels as "
            f"one-hot vectors), got {context.shape}"
        )
    return check_batch("context", context)


def context_moments(context: Array) -> Params:
    """Returns the frozen mean and log_std of the columns of a first context, shape (n, width)."""
    mean, std = mean_and_std(context)
    return freeze({"mean": mean, "log_std": jnp.log(std)}, context.dtype)


def check_context(context: Any, x: Any) -> Array | None:
    """Returns the context as an array or None, or raises FlowjaxError.

    The context must have the shape (width,) or contain one vector per example of `x`. If `x` has
    more leading axes than the context, the context is used for each index of the first axes.
    """
    if context is None:
        return None
    vectors = jnp.asarray(context)
    leading = x.shape[:-1]
    suffix = leading[len(leading) - (vectors.ndim - 1) :] if vectors.ndim <= x.ndim else None
    if vectors.ndim < 1 or vectors.shape[:-1] != suffix:
        rows = "".join(f"{size}, " for size in leading)
        raise FlowjaxError(
            f"context: expected shape ({rows}width) or (width,), got {vectors.shape}"
        )
    return vectors


def check_params(params: Any) -> None:
    """Raises FlowjaxError unless `params` has the entries of the parameters of a flow."""
    if not (isinstance(params, Mapping) and {"bijector", "base"} <= params.keys()):
        got = f"a {type(params).__name__}"
        if hasattr(params, "params"):
            got += "; pass its attribute `params`"
        elif isinstance(params, Mapping):
            got += f" with the entries {sorted(map(str, params))}"
        raise FlowjaxError(
            f"params: expected the parameters of a flow, from init or fit, got {got}"
        )


def check_result(z: Array, log_det: Array, x: Array, latent: int) -> None:
    """Raises FlowjaxError if the results of a hand-written bijector have wrong shapes."""
    latents, per_row = jnp.shape(z), jnp.shape(log_det)
    if latents != (*x.shape[:-1], latent):
        raise FlowjaxError(
            f"bijector: expected latents of shape {(*x.shape[:-1], latent)}, got {latents}; set "
            "`latent_dim` if the bijector drops coordinates"
        )
    if per_row != x.shape[:-1]:
        raise FlowjaxError(f"bijector: expected log_det of shape {x.shape[:-1]}, got {per_row}")


def bits_per_dim(nll: Array | float, dim: int) -> Array | float:
    """Returns a negative log-likelihood in nats as bits per dimension, `nll / (dim ln 2)`.

    The result can be negative, because a density of continuous variables can exceed 1.

    Args:
        nll: negative log-likelihood in nats, any shape.
        dim: dimension of the data vectors.

    Returns:
        Bits per dimension, with the shape of `nll`.

    Example:
        >>> round(bits_per_dim(math.log(2) * 6, dim=3), 6)
        2.0
    """
    return nll / (dim * math.log(2))
