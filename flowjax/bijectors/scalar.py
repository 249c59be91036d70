"""Invertible functions of one variable, which couplings and autoregressive layers apply."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from flowjax.bijectors.common import bounded
from flowjax.errors import FlowjaxError, check_choice, check_number
from flowjax.types import Array

# Function (raw parameters, x) -> (result, log-derivative or None for 0).
Elementwise = Callable[[Array, Array], tuple[Array, Array | None]]


class ScalarMap(NamedTuple):
    """Invertible function of one variable, applied to each coordinate with its own parameters.

    Attributes:
        name: name in the summary of a flow.
        outputs: number of raw parameters per coordinate.
        forward: function `(raw, x) -> (z, log_derivative)`; `raw` has shape (..., outputs, m), `x`
            and `z` have shape (..., m). `log_derivative`, in nats, has shape (..., m); None means
            0.
        inverse: inverse of `forward`, `(raw, z) -> (x, log_derivative)`.
    """

    name: str
    outputs: int
    forward: Elementwise
    inverse: Elementwise


def check_transform(transform: object) -> ScalarMap:
    """Returns `transform`; raises FlowjaxError if it is not a `ScalarMap`."""
    if isinstance(transform, ScalarMap):
        return transform
    expected = "a ScalarMap, such as affine_map() or spline_map()"
    raise FlowjaxError(f"transform: expected {expected}, got {transform!r}")


def _sigmoid(raw: Array) -> Array:
    # log(e^-3 + (1 - e^-3) sigmoid(raw + 2)); a plain sigmoid tends to 0, which has no inverse.
    return jnp.logaddexp(-3.0, math.log1p(-math.exp(-3)) + jax.nn.log_sigmoid(raw + 2))


def affine_map(scale: str = "tanh", bound: float = 2.0) -> ScalarMap:
    """Returns the function `z = x * exp(log_scale) + shift` with a bounded log_scale.

    The raw parameters are the shift and the raw scale. Zeros define the identity if `scale` is
    "tanh".

    Args:
        scale: parametrisation of the scale, "tanh" or "sigmoid", see `affine_coupling`.
        bound: limit of log_scale for "tanh", log_scale = bound * tanh(raw / bound).

    Returns:
        A `ScalarMap`.

    Raises:
        FlowjaxError: The scale is unknown, or the bound is not positive.

    Example:
        >>> z, log_derivative = affine_map().forward(jnp.array([[0.5], [0.0]]), jnp.array([2.0]))
        >>> z.tolist(), log_derivative.tolist()
        ([2.5], [0.0])
    """
    check_choice("scale", scale, ("tanh", "sigmoid"))
    bound = check_number("bound", bound, above=0)

    def shift_and_log_scale(raw: Array) -> tuple[Array, Array]:
        # The gradient of slices would pad and add; jnp.unstack avoids this.
        shift, raw_scale = jnp.unstack(raw, axis=-2)
        if scale == "sigmoid":
            return shift, _sigmoid(raw_scale)
        return shift, bounded(raw_scale, bound)

    def forward(raw: Array, x: Array) -> tuple[Array, Array]:
        shift, log_scale = shift_and_log_scale(raw)
        return x * jnp.exp(log_scale) + shift, log_scale

    def inverse(raw: Array, z: Array) -> tuple[Array, Array]:
        shift, log_scale = shift_and_log_scale(raw)
        return (z - shift) * jnp.exp(-log_scale), -log_scale

    limit = f"bound={bound:g}" if bound != 2 and scale == "tanh" else ""
    suffix = "sigmoid" if scale == "sigmoid" else limit
    return ScalarMap(f"affine[{suffix}]" if suffix else "affine", 2, forward, inverse)
