"""Actnorm: one shift and one scale per coordinate, initialised from data (Glow, 1807.03039)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp

from flowjax.bijectors.common import check_batch, check_dim, constant_log_det, total
from flowjax.bijectors.moments import column_moments, varies
from flowjax.errors import check_choice, check_number, check_that
from flowjax.types import Array, Bijector, InitFn, Params, PRNGKey

Init = Literal["data", "identity", "glorot"]


def mean_and_std(x: Array, *, smallest: bool = False) -> tuple[Array, Array]:
    """Returns the mean and the standard deviation of each column, with 1 for constant columns.

    A column counts as constant if it varies too little to be scaled, see `moments.varies`; in a
    batch of one example, all columns are constant. Outside of jit, the computation is in float64.

    Args:
        x: data, shape (n, dim), floating point.
        smallest: True gives constant columns the smallest standard deviation of the other columns
            instead of 1, but at least the rounding error of their mean.

    Returns:
        Mean and standard deviation (divided by n), shape (dim,) each; both are finite, std > 0.

    Example:
        >>> import jax.numpy as jnp
        >>> mean, std = mean_and_std(jnp.array([[1.0, 7.0], [3.0, 7.0]]))
        >>> mean.tolist(), std.tolist()
        ([2.0, 7.0], [1.0, 1.0])
    """
    xp, mean, std = column_moments(x)
    changes = varies(mean, std, x.dtype)
    other: Any = 1
    if smallest:
        least = xp.where(changes, std, xp.inf).min()
        other = xp.maximum(least, float(jnp.finfo(x.dtype).eps) * abs(mean))
        other = xp.where(changes.any(), other, 1)
    std = xp.where(changes, std, other)
    return jnp.asarray(mean, x.dtype), jnp.asarray(std, x.dtype)


def initial(init: Init, key: PRNGKey, x: Array, factor: float) -> tuple[Array, Array]:
    """Returns the initial bias and log-scale for a first batch (n, dim), shape (dim,) each."""
    if init == "data":
        mean, std = mean_and_std(x)
        return -mean, -jnp.log(std) / factor
    if init == "identity":
        return jnp.zeros(x.shape[1:], x.dtype), jnp.zeros(x.shape[1:], x.dtype)
    limit = (6 / (x.shape[1] + 1)) ** 0.5
    first, second = jax.random.split(key)
    bias = jax.random.uniform(first, x.shape[1:], x.dtype, -limit, limit)
    return bias, jax.random.uniform(second, x.shape[1:], x.dtype, -limit, limit)


def diagonal(
    init: InitFn, init_inverse: InitFn, parts: Callable[[Params], tuple[Array, Array]], line: str
) -> Bijector:
    """Returns the bijector `z = (x + bias) * exp(log_scale)` for any parametrisation.

    Args:
        init: function that returns the initial params.
        init_inverse: function that returns the initial params if `inverse` maps the data.
        parts: function from params to `(bias, log_scale)`.
        line: description in the summary of a flow.
    """

    def forward(params: Params, x: Array, context: Array | None = None) -> tuple[Array, Array]:
        bias, log_scale = parts(params)
        x = check_dim("x", x, bias.shape[-1])
        return (x + bias) * jnp.exp(log_scale), constant_log_det(x, total(log_scale))

    def inverse(params: Params, z: Array, context: Array | None = None) -> tuple[Array, Array]:
        bias, log_scale = parts(params)
        z = check_dim("z", z, bias.shape[-1])
        return z * jnp.exp(-log_scale) - bias, constant_log_det(z, -total(log_scale))

    return Bijector(init, forward, inverse, (line,), init_inverse=init_inverse)


def check_factor(value: float) -> float:
    """Returns the factor of a stored log-scale; raises FlowjaxError if it is 0 or not finite."""
    factor = check_number("logscale_factor", value)
    check_that(factor != 0, "logscale_factor", "a number other than 0", value)
    return factor


def actnorm(*, init: Init = "data", logscale_factor: float = 1.0) -> Bijector:
    """Returns the bijector `z = (x + bias) * exp(logscale_factor * log_scale)`, per coordinate.

    Args:
        init: initialisation. "data" maps the batch given to `init` to mean 0 and standard
            deviation 1; constant columns are centred and get scale 1, as do all columns of a batch
            of one example. "identity" sets bias 0 and scale 1. "glorot" draws both parameters
            uniformly from ±sqrt(6 / (dim + 1)), which is TensorFlow's default for a variable of
            shape (1, dim) and therefore the initialisation in BERT-flow's released code.
        logscale_factor: factor of the stored log-scale; 3 in Glow's code.

    Returns:
        A bijector on `(n, dim)`; log_det, in nats, depends on the parameters only.

    Raises:
        FlowjaxError: `init` is unknown or the factor is 0. The `init` of the bijector raises it
            for a wrong shape or values that are not finite.

    References:
        Glow, https://arxiv.org/abs/1807.03039, section 3.1.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> layer = actnorm()
        >>> x = jnp.array([[1.0, 5.0], [3.0, 5.0]])
        >>> params = layer.init(jax.random.key(0), x)
        >>> layer.forward(params, x)[0].tolist()
        [[-1.0, 0.0], [1.0, 0.0]]
    """
    check_choice("init", init, get_args(Init))
    logscale_factor = check_factor(logscale_factor)

    def start(key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        bias, log_scale = initial(init, key, check_batch("x", x), logscale_factor)
        return {"bias": bias, "log_scale": log_scale}

    def start_inverse(key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        if init != "data":
            return start(key, x, context)
        bias, log_scale = parts(start(key, x, context))
        return {"bias": -bias * jnp.exp(log_scale), "log_scale": -log_scale / logscale_factor}

    def parts(params: Params) -> tuple[Array, Array]:
        return params["bias"], params["log_scale"] * logscale_factor

    line = "actnorm" if logscale_factor == 1 else f"actnorm(logscale_factor={logscale_factor:g})"
    return diagonal(start, start_inverse, parts, line)
