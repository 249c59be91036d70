"""Base densities with learned parameters, and the uniform base density."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from flowjax.bijectors.common import bounded, constant_log_det, total
from flowjax.errors import check_integer, check_number, check_that
from flowjax.types import Array, Base, Params, PRNGKey

LOG_2PI = math.log(2 * math.pi)


def diagonal_normal() -> Base:
    """Returns the base of independent normal coordinates with learned means and scales.

    The base starts as the standard normal. The log-scales are bounded to (-2, 2).

    Returns:
        A `Base`.

    Example:
        >>> base = diagonal_normal()
        >>> params = base.init(jax.random.key(0), jnp.zeros((5, 2)))
        >>> round(float(base.log_prob(params, jnp.zeros((1, 2)))[0]), 4)
        -1.8379
    """

    def init(key: PRNGKey, z: Array, context: Array | None = None) -> Params:
        zeros = jnp.zeros(z.shape[-1:], z.dtype)
        return {"mean": zeros, "log_scale": zeros}

    def log_prob(params: Params, z: Array, context: Array | None = None) -> Array:
        return _normal(z, params["mean"], bounded(params["log_scale"]))

    def sample(
        params: Params,
        key: PRNGKey,
        shape: tuple[int, ...],
        dtype: Any,
        context: Array | None = None,
    ) -> Array:
        noise = jax.random.normal(key, shape, dtype)
        samples: Array = params["mean"] + jnp.exp(bounded(params["log_scale"])) * noise
        return samples

    return Base(init, log_prob, sample, "base diagonal_normal")


def mixture(components: int = 8) -> Base:
    """Returns the base of a mixture of normals with diagonal covariances, all of it learned.

    Such a base has several modes, which a flow of a single normal can only approximate. The
    component means start as draws of the standard normal, and the weights are equal at first. The
    log-scales are bounded to (-2, 2).

    Args:
        components: number of components, at least 1.

    Returns:
        A `Base`.

    Raises:
        FlowjaxError: `components` is not an integer of at least 1.

    References:
        Izmailov et al., https://arxiv.org/abs/1912.13025, use mixtures as bases of flows.

    Example:
        >>> base = mixture(3)
        >>> params = base.init(jax.random.key(0), jnp.zeros((5, 2)))
        >>> z = base.sample(params, jax.random.key(1), (4, 2), jnp.float32)
        >>> base.log_prob(params, z).shape
        (4,)
    """
    components = check_integer("components", components, least=1)

    def init(key: PRNGKey, z: Array, context: Array | None = None) -> Params:
        shape = components, z.shape[-1]
        return {
            "logits": jnp.zeros(components, z.dtype),
            "mean": jax.random.normal(key, shape, z.dtype),
            "log_scale": jnp.zeros(shape, z.dtype),
        }

    def log_prob(params: Params, z: Array, context: Array | None = None) -> Array:
        each = _normal(z[..., None, :], params["mean"], bounded(params["log_scale"]))
        return jax.nn.logsumexp(each + jax.nn.log_softmax(params["logits"]), axis=-1)

    def sample(
        params: Params,
        key: PRNGKey,
        shape: tuple[int, ...],
        dtype: Any,
        context: Array | None = None,
    ) -> Array:
        first, second = jax.random.split(key)
        chosen = jax.random.categorical(first, params["logits"], shape=shape[:-1])
        scale = jnp.exp(bounded(params["log_scale"]))[chosen]
        noise = jax.random.normal(second, shape, dtype)
        samples: Array = (params["mean"][chosen] + scale * noise).astype(dtype)
        return samples

    return Base(init, log_prob, sample, f"base mixture(components={components})")


def uniform(low: float = 0.0, high: float = 1.0) -> Base:
    """Returns the uniform base on [low, high) in every coordinate, without parameters.

    Use it with a bijector whose latents are in this interval, such as `bijectors.sigmoid` at the
    end, or `bijectors.circular_spline_map`. Other latents have the log-density -inf.

    Args:
        low: lower limit.
        high: upper limit.

    Returns:
        A `Base`.

    Raises:
        FlowjaxError: A limit is not finite, or `low` is not smaller than `high`.

    Example:
        >>> uniform(0.0, 2.0).log_prob({}, jnp.array([[1.0], [3.0]])).round(2).tolist()[1]
        -inf
    """
    low, high = check_number("low", low), check_number("high", high)
    check_that(low < high, "high", f"a number above low = {low:g}", high)
    level = -math.log(high - low)

    def log_prob(params: Params, z: Array, context: Array | None = None) -> Array:
        valid = ((z >= low) & (z <= high)).all(axis=-1)
        return jnp.where(valid, constant_log_det(z, level * z.shape[-1]), -jnp.inf)

    def sample(
        params: Params,
        key: PRNGKey,
        shape: tuple[int, ...],
        dtype: Any,
        context: Array | None = None,
    ) -> Array:
        return jax.random.uniform(key, shape, dtype, low, high)

    line = f"base uniform({low:g}, {high:g})"
    return Base(lambda key, z, context=None: {}, log_prob, sample, line)


def _normal(z: Array, mean: Array, log_scale: Array) -> Array:
    """Returns the log-density of independent normal coordinates, summed over the last axis."""
    standard = (z - mean) * jnp.exp(-log_scale)
    return -0.5 * (total(standard * standard) + z.shape[-1] * LOG_2PI) - total(log_scale)
