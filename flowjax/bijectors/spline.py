"""Monotone rational-quadratic splines, and the coupling made of them (Neural Spline Flows)."""

from __future__ import annotations

from math import expm1, log

import jax
import jax.numpy as jnp

from flowjax.bijectors.conditioner import Conditioner
from flowjax.bijectors.coupling import coupling
from flowjax.types import Array, Bijector, FlowjaxError

MIN_WIDTH = 1e-3  # of a bin, as a part of the interval; the same for heights
MIN_SLOPE = 1e-3
# A coupling's raw numbers go through RAW_BOUND tanh(raw / RAW_BOUND), as log-scales do: a flat bin
# beside a steep knot would make slopes of e^-16, which float32 does not invert (zuko clips its
# own softly at 6.9).
RAW_BOUND = 3.0
# softplus(UNIT_SLOPE) + MIN_SLOPE = 1: raw derivatives of zero, shifted by this, have slope 1
UNIT_SLOPE = log(expm1(1 - MIN_SLOPE))


def _edges(raw: Array, bound: float) -> tuple[Array, Array]:
    """Returns left edges and sizes `(..., bins, m)` of the bins that raw numbers stand for."""
    bins = raw.shape[-2]
    size = MIN_WIDTH + (1 - MIN_WIDTH * bins) * jax.nn.softmax(raw, axis=-2)
    right = jnp.cumsum(size, axis=-2)
    # the last edge is exactly the bound, and sizes are differences, so that bins leave no gap
    right = jnp.concatenate([right[..., :-1, :], jnp.ones_like(right[..., -1:, :])], axis=-2)
    left = jnp.concatenate([jnp.zeros_like(right[..., :1, :]), right[..., :-1, :]], axis=-2)
    return (2 * left - 1) * bound, (right - left) * 2 * bound


def rational_quadratic_spline(
    x: Array,
    widths: Array,
    heights: Array,
    slopes: Array,
    *,
    bound: float = 5.0,
    inverse: bool = False,
) -> tuple[Array, Array]:
    """Returns a monotone rational-quadratic spline of `x` and the log of its derivative.

    The spline maps [-bound, bound] onto itself; outside it is the identity (linear tails), and
    the derivative is 1 at both ends, so it is continuously differentiable throughout.

    Args:
        x: `(..., m)`.
        widths: raw bin widths, `(..., bins, m)`; a softmax makes them positive.
        heights: raw bin heights, `(..., bins, m)`, likewise.
        slopes: raw derivatives at the inner knots, `(..., bins - 1, m)`; softplus, at least 1e-3.
        bound: half the length of the interval.
        inverse: invert the spline.

    Returns:
        `(..., m)` values and `(..., m)` log-derivatives, in nats, of the map that was applied.

    References:
        Durkan et al., https://arxiv.org/abs/1906.04032, section 3 and appendix A; Gregory and
        Delbourgo, 1982.

    Example:
        >>> import jax.numpy as jnp
        >>> raw = jnp.array([[0.0], [1.0], [2.0]])
        >>> x = jnp.array([0.3])
        >>> z, log_slope = rational_quadratic_spline(x, raw, -raw, raw[:2])
        >>> back, minus = rational_quadratic_spline(z, raw, -raw, raw[:2], inverse=True)
        >>> bool(abs(back - x)[0] < 1e-4), bool(abs(minus + log_slope)[0] < 1e-3)
        (True, True)
    """
    x_left, width = _edges(widths, bound)
    y_left, height = _edges(heights, bound)
    inner = jax.nn.softplus(slopes) + MIN_SLOPE
    end = jnp.ones_like(width[..., :1, :])
    slope = jnp.concatenate([end, inner, end], axis=-2)

    inside = (x > -bound) & (x < bound)
    at = jnp.where(inside, x, 0)[..., None, :]
    left = y_left if inverse else x_left
    # one bin holds the point: a mask and a sum pick it, where a gather's gradient would scatter
    passed = at >= left
    following = jnp.concatenate([passed[..., 1:, :], jnp.zeros_like(passed[..., :1, :])], axis=-2)
    here = passed & ~following

    def pick(values: Array) -> Array:
        return jnp.where(here, values, 0).sum(axis=-2)

    x0, w, y0, h = pick(x_left), pick(width), pick(y_left), pick(height)
    d0, d1 = pick(slope[..., :-1, :]), pick(slope[..., 1:, :])
    s = h / w
    bend = d0 + d1 - 2 * s
    if inverse:
        rise = at[..., 0, :] - y0
        a = h * (s - d0) + rise * bend
        b = h * d0 - rise * bend
        c = -s * rise
        square = b * b - 4 * a * c  # positive but for rounding; at 0 the root has no gradient
        root = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)
        t = 2 * c / (-b - root)
        out = x0 + t * w
    else:
        t = (at[..., 0, :] - x0) / w
    mixed = t * (1 - t)
    below = s + bend * mixed
    if not inverse:
        out = y0 + h * (s * t * t + d0 * mixed) / below
    above = d1 * t * t + 2 * s * mixed + d0 * (1 - t) ** 2
    log_slope = 2 * jnp.log(s) + jnp.log(above) - 2 * jnp.log(below)
    log_slope = -log_slope if inverse else log_slope
    return jnp.where(inside, out, x), jnp.where(inside, log_slope, 0)


def spline_coupling(
    *,
    conditioner: Conditioner | None = None,
    bins: int = 8,
    bound: float = 5.0,
    mask: str = "half",
    swap: bool = False,
) -> Bijector:
    """Returns the coupling that moves each coordinate by a rational-quadratic spline.

    Raw numbers of zero are the identity; each is bounded to (-3, 3) first. Coordinates beyond
    +-bound pass unchanged: put an actnorm or a whitening before it.

    Args:
        conditioner: factory `out_features -> flax.linen.Module`; None is `mlp()`. Its output is
            all raw widths, then heights, then inner slopes.
        bins: of each spline, at least 2.
        bound: the splines live on [-bound, bound].
        mask: "half" or "checkerboard".
        swap: let the second part condition and the first move.

    Returns:
        A bijector on `(n, dim)`, dim >= 2; log_det in nats.

    Raises:
        FlowjaxError: bins, bound or mask out of range; at init, dim < 2.

    References:
        Neural Spline Flows, https://arxiv.org/abs/1906.04032.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> layer, x = spline_coupling(bins=4), jnp.ones((5, 3))
        >>> z, log_det = layer.forward(layer.init(jax.random.key(0), x), x)
        >>> bool(jnp.allclose(z, x, atol=1e-5)), log_det.shape
        (True, (5,))
    """
    if not isinstance(bins, int) or not 2 <= bins <= 500:
        raise FlowjaxError(f"bins: expected an integer from 2 to 500, got {bins!r}")
    if not bound > 0:
        raise FlowjaxError(f"bound: expected a positive number, got {bound!r}")

    def move(raw: Array, x: Array, inverse: bool) -> tuple[Array, Array]:
        raw = RAW_BOUND * jnp.tanh(raw / RAW_BOUND)
        widths, heights = raw[..., :bins, :], raw[..., bins : 2 * bins, :]
        slopes = raw[..., 2 * bins :, :] + UNIT_SLOPE
        return rational_quadratic_spline(x, widths, heights, slopes, bound=bound, inverse=inverse)

    return coupling(
        f"spline_coupling[{bins} bins on ±{bound:g}]",
        3 * bins - 1,
        lambda raw, x: move(raw, x, inverse=False),
        lambda raw, z: move(raw, z, inverse=True),
        conditioner=conditioner,
        mask=mask,
        swap=swap,
    )
