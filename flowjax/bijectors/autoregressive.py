"""Masked autoregressive layers (MAF); their inverse transforms one coordinate after the other."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowjax.bijectors.common import alike, check_batch, check_dim, constant_log_det, total
from flowjax.bijectors.made import MaskedNet, Masks, Order, check_order, dense, made
from flowjax.bijectors.nets import features_of
from flowjax.bijectors.scalar import ScalarMap, affine_map, check_transform
from flowjax.errors import check_choice, check_integer, check_that
from flowjax.types import Array, Bijector, Params, PRNGKey


def masked_autoregressive(
    transform: ScalarMap | None = None,
    *,
    net: MaskedNet | None = None,
    order: Order = "natural",
) -> Bijector:
    """Returns an autoregressive layer, which transforms each coordinate given those before it.

    A masked network computes the parameters of the transformation of each coordinate from the
    coordinates before it in `order` and from the context. `forward` evaluates the network once.
    `inverse` computes the coordinates one after the other (`lax.scan`), and each hidden unit as
    soon as its inputs are known, so that it needs about as many operations as `forward`. The
    inverse of this layer, `invert(masked_autoregressive(...))`, is an inverse autoregressive
    layer (IAF).

    Args:
        transform: transformation of one coordinate, such as `affine_map()` or `spline_map()`; None
            means `affine_map()`.
        net: options of the masked network; None means `made()`.
        order: order of the coordinates: "natural", "reverse", or a permutation of 0 .. dim - 1,
            whose first entry is the coordinate that depends on the context only.

    Returns:
        A bijector on `(n, dim)`, dim >= 1. If `dim` is 1, it is a function of one variable whose
        parameters depend on the context.

    Raises:
        FlowjaxError: An argument is invalid. The functions of the bijector raise it if `order` has
            another length than the vectors, or if the context has another width than at `init`.

    References:
        Masked autoregressive flow, https://arxiv.org/abs/1705.07057; inverse autoregressive flow,
        https://arxiv.org/abs/1606.04934.

    Example:
        >>> from flowjax.bijectors import spline_map
        >>> layer, x = masked_autoregressive(spline_map(bins=4)), jnp.ones((5, 3))
        >>> params = layer.init(jax.random.key(0), x)
        >>> z, log_det = layer.forward(params, x)
        >>> x_again, _ = layer.inverse(params, z)
        >>> z.shape, log_det.shape, bool(jnp.allclose(x_again, x, atol=1e-5))
        ((5, 3), (5,), True)
    """
    part = affine_map() if transform is None else check_transform(transform)
    network = made() if net is None else net
    check_that(isinstance(network, MaskedNet), "net", "made()", network)
    if isinstance(order, str):
        check_choice("order", order, ("natural", "reverse"))
    else:
        order = tuple(check_integer("order", i) for i in order)
        check_order(order)

    def dim_of(params: Params) -> int:
        width: int = params[-1]["bias"].shape[-1] // part.outputs
        return width

    def init(key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        x = check_batch("x", x)
        masks = network.masks(x.shape[-1], context, order)
        return network.init(key, masks, part.outputs, x.dtype)

    def forward(params: Params, x: Array, context: Array | None = None) -> tuple[Array, Array]:
        x = check_dim("x", x, dim_of(params))
        masks = network.masks(x.shape[-1], context, order)
        *layers, (kernel, bias) = network.masked(params, masks)
        hidden = network.hidden(layers, features_of(x, context))
        raw = dense(hidden, kernel.reshape(len(kernel), -1), bias.reshape(-1))
        z, log_derivative = part.forward(raw.reshape(*x.shape[:-1], *bias.shape), x)
        return z, constant_log_det(x) if log_derivative is None else total(log_derivative)

    def inverse(params: Params, z: Array, context: Array | None = None) -> tuple[Array, Array]:
        z = check_dim("z", z, dim_of(params))
        masks = network.masks(z.shape[-1], context, order)
        return _solve(network, masks, part, params, z, context)

    name = f"masked_autoregressive({part.name}, {network.name}"
    line = name + ("" if order == "natural" else f", order={order!r}") + ")"
    return Bijector(init, forward, inverse, (line,))


def _pick(x: Array, columns: np.ndarray) -> Array:
    """Returns `x[..., columns]`; on a TPU, which gathers slowly, as a product."""

    def product(x: Array) -> Array:
        one_hot = jnp.arange(x.shape[-1])[:, None] == columns.ravel()
        picked = jnp.matmul(x, one_hot.astype(x.dtype), precision="highest")
        return picked.reshape(*x.shape[:-1], *columns.shape)

    picked: Array = jax.lax.platform_dependent(
        x, tpu=product, default=lambda x: x[..., jnp.asarray(columns)]
    )
    return picked


def _solve(
    network: MaskedNet,
    masks: Masks,
    part: ScalarMap,
    params: Params,
    z: Array,
    context: Array | None,
) -> tuple[Array, Array]:
    """Returns the inverse of an autoregressive layer and its log_det.

    Before coordinate k of the order, a block of hidden units is computed that contains all units
    of degree k. Units of a higher degree in the block are computed again later; no unit that is
    used before depends on them.
    """
    *layers, last = network.masked(params, masks)
    units, order = masks.units, masks.order  # (dim, block) and (dim,)
    blocks = [(jnp.moveaxis(_pick(kernel, units), 1, 0), _pick(bias, units))
              for kernel, bias in layers]  # fmt: skip
    # (dim, width, outputs) and (dim, outputs)
    output = tuple(jnp.moveaxis(_pick(array, order), -1, 0) for array in last)
    features = alike(features_of(jnp.zeros_like(z), context), z, params, context)
    empty = [jnp.zeros_like(features, shape=(*z.shape[:-1], len(b))) for _, b in layers]

    def put(x: Array, values: Array, start: Array) -> Array:
        return jax.lax.dynamic_update_slice_in_dim(x, values, start, axis=-1)

    def step(carry: Any, inputs: Any) -> tuple[Any, Array | None]:
        x, states = carry
        index, start, block, out = inputs
        states = list(states)
        given = x
        for i, layer in enumerate(block):
            new = dense(given, *layer)
            if network.adds(i):
                new = new + jax.lax.dynamic_slice_in_dim(
                    states[i - 2], start, new.shape[-1], axis=-1
                )
            states[i] = put(states[i], new, start)
            given = network.activation(states[i])
        raw = dense(given, *out)[..., None]
        column = jax.lax.dynamic_slice_in_dim(z, index, 1, axis=-1)
        value, log_derivative = part.inverse(raw, column)
        value = value.astype(x.dtype)
        return (put(x, value, index), states), log_derivative

    starts = jnp.asarray(masks.units[:, 0])
    inputs = (jnp.asarray(masks.order), starts, blocks, output)
    (features, _), log_derivatives = jax.lax.scan(step, (features, empty), inputs)
    x = features[..., : z.shape[-1]]
    if log_derivatives is None:
        return x, constant_log_det(z)
    return x, total(jnp.moveaxis(log_derivatives[..., 0], 0, -1))
