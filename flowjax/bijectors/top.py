"""All-but-the-top: removal of the mean and of the leading principal components."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from flowjax.bijectors.common import check_dim, constant_log_det, frozen, product, total
from flowjax.bijectors.moments import Moments
from flowjax.bijectors.whitening import freeze, rescaled, whitening
from flowjax.errors import FlowjaxError, check_integer, check_that
from flowjax.types import FROZEN, Array, Bijector, Params, PRNGKey


def all_but_the_top(*, components: int, moments: Moments | None = None) -> Bijector:
    """Returns the removal of the mean and of the leading principal components, `z = (x - mean) U`.

    U holds the other principal axes of the batch given to `init`, in the order of decreasing
    variance. The removed coordinates are modelled as independent normals with their variances, and
    log_det includes the log-density of this model, in nats. Inverse sets the removed coordinates
    to their mean. The log_det of inverse is minus the log_det of forward at the returned point.

    Args:
        components: number of leading components to remove.
        moments: moments of the data; None means the moments of the batch given to `init`.

    Returns:
        A bijector from `(n, dim)` to `(n, dim - components)` with frozen parameters.

    Raises:
        FlowjaxError: `components` is not an integer of at least 1. The `init` of the bijector
            raises it for components >= dim, a wrong shape or values that are not finite.

    References:
        All-but-the-top, https://arxiv.org/abs/1702.01417.

    Example:
        >>> x = jnp.array([[9.0, 1.0], [1.0, 0.0], [-7.0, 1.0], [1.0, 2.0]])
        >>> layer = all_but_the_top(components=1)
        >>> z, _ = layer.forward(layer.init(jax.random.key(0), x), x)
        >>> (z + 0).round(4).tolist()
        [[0.0], [-1.0], [0.0], [1.0]]
    """
    components = check_integer("components", components, least=1)
    whole = whitening(moments=moments)

    def init(key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        return without_top(whole.init(key, x), components)[0]

    def init_inverse(key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        raise FlowjaxError(
            "invert: expected a bijector that keeps the dimension, got all_but_the_top"
        )

    def forward(params: Params, x: Array, context: Array | None = None) -> tuple[Array, Array]:
        p = frozen(params)
        centred = check_dim("x", x, p["mean"].shape[0]) - p["mean"]
        removed = product(centred, p["top"])
        log_det = p["log_det"] - 0.5 * total(removed**2)
        return product(centred, p["matrix"]), constant_log_det(centred, log_det)

    def inverse(params: Params, z: Array, context: Array | None = None) -> tuple[Array, Array]:
        p = frozen(params)
        z = check_dim("z", z, p["matrix"].shape[1])
        return product(z, p["inverse"]) + p["mean"], constant_log_det(z, -p["log_det"])

    layers = (f"all_but_the_top(components={components})",)
    return Bijector(
        init, forward, inverse, layers, lambda dim: dim - components, init_inverse=init_inverse
    )


def without_top(whole: Params, components: int) -> tuple[Params, Params]:
    """Divides a whitening between `all_but_the_top` and the base density of its latents.

    Args:
        whole: params of a whitening of power 1.
        components: number of leading components to remove.

    Returns:
        Params of the bijector, and params of the standardization of its latents.

    Raises:
        FlowjaxError: `components` is not less than the dimension.
    """
    arrays = whole[FROZEN]
    dtype, dim = arrays["mean"].dtype, len(arrays["mean"])
    check_that(components < dim, "components", f"less than dim = {dim}", components)
    rotation, log_std = rescaled(jnp, arrays, 0.0)
    rest = log_std[components:]
    removed = {
        "mean": arrays["mean"],
        "matrix": rotation["matrix"][:, components:],
        "inverse": rotation["inverse"][components:],
        "top": arrays["matrix"][:, :components],
        "top_inverse": arrays["inverse"][:components],
        "log_det": arrays["log_det"] + rest.sum() - 0.5 * components * math.log(2 * math.pi),
    }
    return freeze(removed, dtype), freeze({"mean": jnp.zeros_like(rest), "log_std": rest}, dtype)


def noise_of_top(params: Params, key: PRNGKey, x: Array) -> Array:
    """Adds noise in the removed components to samples of `all_but_the_top`, shape (..., dim)."""
    scales = params[FROZEN]["top_inverse"]
    e = jax.random.normal(key, (*x.shape[:-1], len(scales)), x.dtype)
    return x + product(e, scales)
