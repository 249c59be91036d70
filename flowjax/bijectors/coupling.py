"""Coupling layers: a transformation of half of the coordinates, given the other half."""

from __future__ import annotations

from functools import partial
from typing import Literal, get_args

import jax.numpy as jnp
import numpy as np

from flowjax.bijectors.common import as_float, check_batch, constant_log_det, total
from flowjax.bijectors.conditioner import mlp, name_of
from flowjax.bijectors.nets import Conditioner, apply_net, init_net
from flowjax.bijectors.scalar import Elementwise, affine_map
from flowjax.bijectors.take import take_columns
from flowjax.errors import check_choice
from flowjax.types import Array, Bijector, Params, PRNGKey

Mask = Literal["half", "checkerboard"]


def half(dim: int) -> int:
    """Returns the size of the first half, which is the larger half if `dim` is odd."""
    return dim - dim // 2


def split_parts(x: Array, mask: Mask, swap: bool) -> tuple[Array, Array]:
    """Returns the identity half and the transformed half of `x` (..., dim)."""
    if mask == "half":  # the gradient of slices would pad and add; jnp.split avoids this
        first, second = jnp.split(x, [half(x.shape[-1])], axis=-1)
    else:
        first, second = x[..., 0::2], x[..., 1::2]
    return (second, first) if swap else (first, second)


def merge_parts(identity_half: Array, transformed: Array, mask: Mask, swap: bool) -> Array:
    """Inverse of `split_parts`: joins the two halves in their original order."""
    halves = (transformed, identity_half) if swap else (identity_half, transformed)
    joined = jnp.concatenate(halves, axis=-1)
    if mask == "half":
        return joined
    dim = joined.shape[-1]
    return take_columns(joined, np.argsort(np.r_[0:dim:2, 1:dim:2]))


def coupling(
    name: str,
    outputs: int,
    forward_map: Elementwise,
    inverse_map: Elementwise,
    *,
    conditioner: Conditioner | None,
    mask: Mask,
    swap: bool,
) -> Bijector:
    """Returns a coupling with any elementwise transformation.

    A network computes the parameters of the transformation from the identity half; the
    transformation is applied to the transformed half. `additive_coupling`, `affine_coupling` and
    `spline_coupling` call this function.

    Args:
        name: name of the layer in the summary of a flow.
        outputs: number of network outputs per transformed coordinate.
        forward_map: function `(raw, x) -> (z, log_derivative)`. `x` is the transformed half, shape
            (..., m), `raw` the output of the network, shape (..., outputs, m). `log_derivative` is
            in nats, shape (..., m), or None for 0.
        inverse_map: inverse of `forward_map`, `(raw, z) -> (x, log_derivative)`.
        conditioner: factory `out_features -> flax.linen.Module`; None means `mlp()`.
        mask: "half" (transforms the last coordinates) or "checkerboard" (transforms the
            coordinates with odd indices).
        swap: True exchanges the two halves.

    Returns:
        A bijector on `(n, dim)`, dim >= 2.

    Raises:
        FlowjaxError: The mask is unknown. The `init` of the bijector raises it for dim < 2.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> layer = coupling("negate", 1, lambda raw, x: (-x, None), lambda raw, z: (-z, None),
        ...                  conditioner=None, mask="half", swap=False)
        >>> params = layer.init(jax.random.key(0), jnp.array([[1.0, 2.0]]))
        >>> layer.forward(params, jnp.array([[1.0, 2.0]]))[0].tolist()
        [[1.0, -2.0]]
    """
    check_choice("mask", mask, get_args(Mask))
    factory = mlp() if conditioner is None else conditioner

    def init(key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        identity_half, transformed = split_parts(check_batch("x", x, least=2), mask, swap)
        return init_net(key, factory, outputs * transformed.shape[-1], identity_half, context)

    def run(
        function: Elementwise, params: Params, x: Array, context: Array | None = None
    ) -> tuple[Array, Array]:
        x = as_float(x)
        identity_half, transformed = split_parts(x, mask, swap)
        size = transformed.shape[-1]
        raw = apply_net(factory, outputs * size, params, identity_half, context)
        raw = raw.reshape(*raw.shape[:-1], outputs, size)
        transformed, log_derivative = function(raw, transformed)
        log_det = constant_log_det(x) if log_derivative is None else total(log_derivative)
        return merge_parts(identity_half, transformed, mask, swap), log_det

    extra = ("" if mask == "half" else ", checkerboard") + (", swap" if swap else "")
    layers = (f"{name}({name_of(factory)}{extra})",)
    return Bijector(init, partial(run, forward_map), partial(run, inverse_map), layers)


def additive_coupling(
    *, conditioner: Conditioner | None = None, mask: Mask = "half", swap: bool = False
) -> Bijector:
    """Returns the coupling `z = x + net(identity half)` of the transformed half; log_det is 0.

    Args:
        conditioner: factory `out_features -> flax.linen.Module`; None means `mlp()`.
        mask: "half" or "checkerboard", see `coupling`.
        swap: True exchanges the two halves.

    Returns:
        A bijector on `(n, dim)`, dim >= 2. With the default conditioner, it starts as the
        identity.

    Raises:
        FlowjaxError: The mask is unknown. The `init` of the bijector raises it for dim < 2.

    References:
        NICE, https://arxiv.org/abs/1410.8516.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> layer, x = additive_coupling(), jnp.ones((5, 3))
        >>> z, log_det = layer.forward(layer.init(jax.random.key(0), x), x)
        >>> z.shape, log_det.tolist()
        ((5, 3), [0.0, 0.0, 0.0, 0.0, 0.0])
    """

    def forward_map(raw: Array, x: Array) -> tuple[Array, None]:
        return x + raw[..., 0, :], None

    def inverse_map(raw: Array, z: Array) -> tuple[Array, None]:
        return z - raw[..., 0, :], None

    name = "additive_coupling"
    return coupling(
        name, 1, forward_map, inverse_map, conditioner=conditioner, mask=mask, swap=swap
    )


def affine_coupling(
    *,
    conditioner: Conditioner | None = None,
    scale: Literal["tanh", "sigmoid"] = "tanh",
    bound: float = 2.0,
    mask: Mask = "half",
    swap: bool = False,
) -> Bijector:
    """Returns the coupling `z = x * exp(log_scale) + shift` of the transformed half.

    A network computes shift and log_scale from the identity half; log_scale is bounded.

    Args:
        conditioner: factory `out_features -> flax.linen.Module`; None means `mlp()`. The outputs
            of the network are the shifts, followed by the raw scales.
        scale: parametrisation of the scale. "tanh" means log_scale = bound * tanh(raw / bound).
            "sigmoid" means scale = e^-3 + (1 - e^-3) sigmoid(raw + 2), which is Glow's scale with
            a lower bound.
        bound: limit of the absolute log_scale for "tanh". A composition of many couplings needs a
            smaller bound, because the scales of all couplings multiply; the recipes use 16 / depth
            if this is less than 2.
        mask: "half" or "checkerboard", see `coupling`.
        swap: True exchanges the two halves.

    Returns:
        A bijector on `(n, dim)`, dim >= 2; log_det is the sum of log_scale, in nats.

    Raises:
        FlowjaxError: The scale or the mask is unknown, or the bound is not positive. The `init` of
            the bijector raises it for dim < 2.

    References:
        RealNVP, https://arxiv.org/abs/1605.08803.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> layer, x = affine_coupling(mask="checkerboard"), jnp.ones((5, 3))
        >>> z, log_det = layer.forward(layer.init(jax.random.key(0), x), x)
        >>> z.shape, log_det.shape
        ((5, 3), (5,))
    """
    part = affine_map(scale, bound)
    name = part.name.replace("affine", "affine_coupling")
    return coupling(
        name,
        part.outputs,
        part.forward,
        part.inverse,
        conditioner=conditioner,
        mask=mask,
        swap=swap,
    )
