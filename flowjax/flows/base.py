"""Base densities of the latents: normal, Student-t, and a normal conditioned on a context."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from flowjax.bijectors.common import bounded, total
from flowjax.bijectors.conditioner import mlp, name_of
from flowjax.bijectors.nets import Conditioner, apply_net, init_net
from flowjax.errors import FlowjaxError, check_choice, check_number
from flowjax.flows.learned_base import diagonal_normal, mixture, uniform
from flowjax.types import Array, Base, Params, PRNGKey

LOG_2PI = math.log(2 * math.pi)


def _nothing(key: PRNGKey, z: Array, context: Array | None = None) -> Params:
    return {}


def _normal_log_prob(z: Array) -> Array:
    return -0.5 * (total(z * z) + z.shape[-1] * LOG_2PI)


NORMAL = Base(
    _nothing,
    lambda params, z, context=None: _normal_log_prob(z),
    lambda params, key, shape, dtype, context=None: jax.random.normal(key, shape, dtype),
    "base normal",
)


def normal() -> Base:
    """Returns the standard normal base, N(0, I).

    Returns:
        A `Base`.

    Example:
        >>> import jax.numpy as jnp
        >>> round(float(normal().log_prob({}, jnp.zeros((1, 2)))[0]), 4)
        -1.8379
    """
    return NORMAL


def student_t(df: float = 5.0) -> Base:
    """Returns the base density of independent Student-t coordinates.

    The tails are heavier than the tails of a normal, so outliers have less influence on a fit.

    Args:
        df: degrees of freedom, in (0, 1e6]; not trained.

    Returns:
        The base density.

    Raises:
        FlowjaxError: `df` is out of range.

    References:
        "Tails of Lipschitz triangular flows", https://arxiv.org/abs/1907.04481.

    Example:
        >>> import jax.numpy as jnp
        >>> round(float(student_t(1.0).log_prob({}, jnp.zeros((1, 1)))[0]), 4)  # log(1 / pi)
        -1.1447
    """
    df = check_number("df", df, above=0, most=1e6)
    constant = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df * math.pi)

    def log_prob(params: Params, z: Array, context: Array | None = None) -> Array:
        return z.shape[-1] * constant - (df + 1) / 2 * total(jnp.log1p(z * z / df))

    def sample(
        params: Params,
        key: PRNGKey,
        shape: tuple[int, ...],
        dtype: Any,
        context: Array | None = None,
    ) -> Array:
        return jax.random.t(key, df, shape, dtype)

    return Base(_nothing, log_prob, sample, f"base student_t(df={df})")


def conditional_normal(conditioner: Conditioner | None = None) -> Base:
    """Returns the base N(mean, exp(log_scale)^2) per coordinate, conditioned on the context.

    A net maps the context to mean and log_scale. The last layer of the net is initialised with
    zeros, so that the base starts as the standard normal. log_scale is bounded to (-2, 2).

    Args:
        conditioner: factory `out_features -> flax.linen.Module`; None means `mlp()`.

    Returns:
        The base density.

    Raises:
        FlowjaxError: Raised by the functions of the base if the context is missing or has another
            width than at `init`.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> base, z, context = conditional_normal(), jnp.zeros((5, 2)), jnp.ones((5, 3))
        >>> params = base.init(jax.random.key(0), z, context)
        >>> base.log_prob(params, z, context).shape
        (5,)
    """
    factory = mlp() if conditioner is None else conditioner

    def no_coordinates(shape: tuple[int, ...], dtype: Any, context: Array | None) -> Array:
        """Returns an array without coordinates, because the input of the net is the context."""
        if context is None:
            raise FlowjaxError("context: expected (n, width) for a conditional base, got None")
        return jnp.zeros((*shape[:-1], 0), dtype)

    def init(key: PRNGKey, z: Array, context: Array | None = None) -> Params:
        none = no_coordinates(z.shape, z.dtype, context)
        return init_net(key, factory, 2 * z.shape[-1], none, context)

    def moments(
        params: Params, context: Array | None, shape: tuple[int, ...], dtype: Any
    ) -> tuple[Array, Array]:
        none, dim = no_coordinates(shape, dtype, context), shape[-1]
        raw = apply_net(factory, 2 * dim, params, none, context)
        return raw[..., :dim], bounded(raw[..., dim:])

    def log_prob(params: Params, z: Array, context: Array | None = None) -> Array:
        mean, log_scale = moments(params, context, z.shape, z.dtype)
        return _normal_log_prob((z - mean) * jnp.exp(-log_scale)) - total(log_scale)

    def sample(
        params: Params,
        key: PRNGKey,
        shape: tuple[int, ...],
        dtype: Any,
        context: Array | None = None,
    ) -> Array:
        mean, log_scale = moments(params, context, shape, dtype)
        return mean + jnp.exp(log_scale) * jax.random.normal(key, shape, dtype)

    return Base(init, log_prob, sample, f"base conditional_normal({name_of(factory)})")


BASES: dict[str, Callable[[], Base]] = {
    "normal": normal,
    "student_t": student_t,
    "diagonal": diagonal_normal,
    "mixture": mixture,
    "uniform": uniform,
    "conditional": conditional_normal,
}


def base_from(base: str | Base) -> Base:
    """Returns the base density with a given name, or `base` if it is a `Base`.

    Raises:
        FlowjaxError: The name is unknown; the message lists the known names.

    Example:
        >>> base_from("student_t").line
        'base student_t(df=5.0)'
    """
    if isinstance(base, Base):
        return base
    check_choice("base", base, BASES)
    return BASES[base]()
