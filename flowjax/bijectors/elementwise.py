"""Elementwise transformations, with parameters learned directly or computed from a context."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from flowjax.bijectors.common import check_batch, check_dim, log_det_dtype, total
from flowjax.bijectors.conditioner import mlp, name_of
from flowjax.bijectors.nets import Conditioner, apply_net, init_net
from flowjax.bijectors.scalar import Elementwise, ScalarMap, check_transform
from flowjax.errors import FlowjaxError
from flowjax.types import Array, Bijector, Params, PRNGKey


def elementwise(transform: ScalarMap, *, conditioner: Conditioner | None = None) -> Bijector:
    """Returns a bijector that transforms each coordinate independently of the other coordinates.

    Without a context, the parameters of the transformation are learned directly, one set per
    coordinate. If `init` gets a context, a network computes the parameters from the context. The
    dimension can be 1, so that a density p(y | context) of a scalar y can be fitted. The network
    is evaluated once per context vector, also if several examples share one.

    Args:
        transform: transformation of one coordinate, such as `affine_map()` or `spline_map()`.
        conditioner: factory of the network from the context to the parameters; None means `mlp()`.

    Returns:
        A bijector on `(n, dim)`, dim >= 1. Without a context, and with the default conditioner, it
        starts as the transformation with raw parameters 0.

    Raises:
        FlowjaxError: `transform` is not a `ScalarMap`. The functions of the bijector raise it if
            the context has another width than at `init`.

    References:
        Neural Spline Flows, https://arxiv.org/abs/1906.04032.

    Example:
        >>> import jax
        >>> from flowjax.bijectors import spline_map
        >>> layer, y, context = elementwise(spline_map(bins=4)), jnp.ones((5, 1)), jnp.ones((5, 3))
        >>> params = layer.init(jax.random.key(0), y, context)
        >>> z, log_det = layer.forward(params, y, context)
        >>> z.shape, log_det.shape
        ((5, 1), (5,))
    """
    check_transform(transform)
    factory = mlp() if conditioner is None else conditioner

    def nothing(context: Array, dtype: Any) -> Array:
        """Returns an array without coordinates: the input of the network is the context."""
        return jnp.zeros((*jnp.shape(context)[:-1], 0), dtype)

    def init(key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        x = check_batch("x", x)
        if context is None:
            return {"raw": jnp.zeros((transform.outputs, x.shape[-1]), x.dtype)}
        outputs = transform.outputs * x.shape[-1]
        return {"net": init_net(key, factory, outputs, nothing(context, x.dtype), context)}

    def raw_of(params: Params, x: Array, context: Array | None) -> Array:
        """Returns raw parameters, shape (..., outputs, dim)."""
        if ("raw" in params) != (context is None):
            got = "None" if context is None else jnp.shape(context)
            raise FlowjaxError(f"context: expected the width (or None) of init, got {got}")
        if context is None:
            check_dim("x", x, params["raw"].shape[-1])
            raw: Array = params["raw"]
            return raw
        outputs = transform.outputs * x.shape[-1]
        raw = apply_net(factory, outputs, params["net"], nothing(context, x.dtype), context)
        return raw.reshape(*raw.shape[:-1], transform.outputs, x.shape[-1])

    def run(
        function: Elementwise, params: Params, x: Array, context: Array | None
    ) -> tuple[Array, Array]:
        x = check_dim("x", x, jnp.shape(x)[-1])
        z, log_derivative = function(raw_of(params, x, context), x)
        if log_derivative is None:
            return z, jnp.zeros(x.shape[:-1], log_det_dtype())
        return z, jnp.broadcast_to(total(log_derivative), x.shape[:-1])

    def forward(params: Params, x: Array, context: Array | None = None) -> tuple[Array, Array]:
        return run(transform.forward, params, x, context)

    def inverse(params: Params, z: Array, context: Array | None = None) -> tuple[Array, Array]:
        return run(transform.inverse, params, z, context)

    line = f"elementwise({transform.name}; given a context: {name_of(factory)})"
    return Bijector(init, forward, inverse, (line,))
