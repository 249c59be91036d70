"""Monotone rational-quadratic splines and their coupling (Neural Spline Flows)."""

from __future__ import annotations

from functools import partial
from math import expm1, log, pi

import jax
import jax.numpy as jnp

from flowjax.bijectors.coupling import Mask, coupling
from flowjax.bijectors.nets import Conditioner
from flowjax.bijectors.scalar import ScalarMap
from flowjax.errors import check_integer, check_number
from flowjax.types import Array, Bijector

MIN_WIDTH = 1e-3  # width (and height) of a bin as a fraction of the interval
MIN_SLOPE = 1e-3
# Bound of the raw parameters of `spline_map`: RAW_BOUND tanh(raw / RAW_BOUND). Without the bound,
# slopes can be as small as e^-16, which float32 cannot invert; zuko has a similar bound.
RAW_BOUND = 3.0
UNIT_SLOPE = log(expm1(1 - MIN_SLOPE))  # softplus(UNIT_SLOPE) + MIN_SLOPE = 1


def _sizes(raw: Array) -> Array:
    """Returns the sizes of bins, of which the sum is 1, from raw sizes, shape (..., bins, m)."""
    return MIN_WIDTH + (1 - MIN_WIDTH * raw.shape[-2]) * jax.nn.softmax(raw, axis=-2)


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

    The spline maps [-bound, bound] to itself and is the identity outside (linear tails). The
    derivative is 1 at both ends, so that the spline is continuously differentiable everywhere.
    All results are finite. If raw parameters are larger than about 3, parts of the spline can be
    so flat or steep that float32 cannot invert them accurately.

    Args:
        x: points, shape (..., m).
        widths: raw bin widths, shape (..., bins, m); a softmax over bins makes them positive.
        heights: raw bin heights, shape (..., bins, m); a softmax over bins makes them positive.
        slopes: raw derivatives at the inner knots, shape (..., bins - 1, m); a softplus makes
            them at least 1e-3.
        bound: half width of the interval [-bound, bound].
        inverse: True applies the inverse of the spline.

    Returns:
        Values and log-derivatives (nats) of the spline, or of its inverse, shape (..., m) each.

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
    end = jnp.full_like(widths[..., :1, :] + slopes[..., :1, :], UNIT_SLOPE)
    knots = jnp.concatenate([end, slopes, end], axis=-2)
    inside = (x > -bound) & (x < bound)
    return _spline(x, widths, heights, knots, inside, bound, inverse)


def _spline(
    x: Array,
    widths: Array,
    heights: Array,
    slopes: Array,
    inside: Array,
    bound: float,
    inverse: bool,
) -> tuple[Array, Array]:
    """Returns a spline with given raw derivatives at all knots; the identity if not `inside`.

    Args:
        x: points, shape (..., m).
        widths: raw bin widths, shape (..., bins, m).
        heights: raw bin heights, shape (..., bins, m).
        slopes: raw derivatives at the knots, shape (..., bins + 1, m).
        inside: True for points in the interval, shape (..., m).
        bound: half width of the interval.
        inverse: True applies the inverse of the spline.
    """
    width, height = _sizes(widths), _sizes(heights)  # as fractions of the interval
    at = jnp.where(inside, x, 0)
    edges = jnp.cumsum((height if inverse else width)[..., :-1, :], axis=-2)
    passed = (at / bound + 1)[..., None, :] / 2 >= edges
    first = jnp.ones_like(passed[..., :1, :])
    before = jnp.concatenate([passed, ~first], axis=-2)  # bins on the left of the point's bin
    here = jnp.concatenate([first, passed], axis=-2) & ~before

    def pick(values: Array, bins: Array = here) -> Array:
        # A mask and a sum instead of a gather, because the gradient of a gather is a scatter.
        return jnp.where(bins, values, 0).sum(axis=-2)

    x0, y0 = ((2 * pick(sizes, before) - 1) * bound for sizes in (width, height))
    w, h = (2 * bound * pick(sizes) for sizes in (width, height))
    d0 = jax.nn.softplus(pick(slopes[..., :-1, :])) + MIN_SLOPE
    d1 = jax.nn.softplus(pick(slopes[..., 1:, :])) + MIN_SLOPE
    s = h / w
    bend = d0 + d1 - 2 * s
    if inverse:
        rise = at - y0
        a = h * (s - d0) + rise * bend
        b = h * d0 - rise * bend
        c = -s * rise
        square = b * b - 4 * a * c  # rounding can make the discriminant negative
        # The inner `where` avoids the infinite gradient of sqrt at 0.
        root = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)
        # Rounding can bring t out of [0, 1], where the slope may be negative, and b + root to 0.
        bottom = -b - root
        t = jnp.clip(2 * c / jnp.where(bottom == 0, -1, bottom), 0, 1)
        out = x0 + t * w
    else:
        t = (at - x0) / w
    mixed = t * (1 - t)
    below = s + bend * mixed
    if not inverse:
        out = y0 + h * (s * t * t + d0 * mixed) / below
    above = d1 * t * t + 2 * s * mixed + d0 * (1 - t) ** 2
    log_slope = 2 * jnp.log(s) + jnp.log(above) - 2 * jnp.log(below)
    log_slope = -log_slope if inverse else log_slope
    return jnp.where(inside, out, x), jnp.where(inside, log_slope, 0)


def spline_map(bins: int = 8, bound: float = 5.0) -> ScalarMap:
    """Returns the rational-quadratic spline with bounded raw parameters.

    The raw parameters are all widths, then all heights, then all inner slopes; they are bounded to
    (-3, 3), and zeros define the identity.

    Args:
        bins: number of bins, 2 to 500.
        bound: half width of the interval [-bound, bound].

    Returns:
        A `ScalarMap`.

    Raises:
        FlowjaxError: `bins` or `bound` is out of range.

    Example:
        >>> import jax.numpy as jnp
        >>> part = spline_map(4)
        >>> z, _ = part.forward(jnp.zeros((part.outputs, 1)), jnp.array([1.5]))
        >>> round(float(z[0]), 4)
        1.5
    """
    bins = check_integer("bins", bins, least=2, most=500)
    bound = check_number("bound", bound, above=0, most=1e6)

    def spline(raw: Array, x: Array, inverse: bool = False) -> tuple[Array, Array]:
        raw = RAW_BOUND * jnp.tanh(raw / RAW_BOUND)
        widths, heights = raw[..., :bins, :], raw[..., bins : 2 * bins, :]
        slopes = raw[..., 2 * bins :, :] + UNIT_SLOPE
        return rational_quadratic_spline(x, widths, heights, slopes, bound=bound, inverse=inverse)

    return ScalarMap(
        f"spline[{bins} bins on ±{bound:g}]", 3 * bins - 1, spline, partial(spline, inverse=True)
    )


def circular_spline_map(bins: int = 8) -> ScalarMap:
    """Returns a rational-quadratic spline on the circle of angles [-pi, pi), and a rotation.

    Angles are taken modulo 2 pi. The derivative is equal at both ends of the interval, so that the
    density of the transformed angle is continuous on the circle. The raw parameters are all
    widths, then all heights, then the slope at -pi and pi and the inner slopes, then the rotation;
    zeros define the identity. Use it with the base `flows.uniform(-pi, pi)`. A network that gets
    angles as inputs should get their sines and cosines.

    Args:
        bins: number of bins, 2 to 500.

    Returns:
        A `ScalarMap`.

    Raises:
        FlowjaxError: `bins` is out of range.

    References:
        Rezende et al., "Normalizing flows on tori and spheres", https://arxiv.org/abs/2002.02428.

    Example:
        >>> import jax.numpy as jnp
        >>> part = circular_spline_map(4)
        >>> z, _ = part.forward(jnp.zeros((part.outputs, 1)), jnp.array([1.5 + 2 * jnp.pi]))
        >>> round(float(z[0]), 4)
        1.5
    """
    bins = check_integer("bins", bins, least=2, most=500)

    def wrap(x: Array) -> Array:
        x = jnp.mod(x + pi, 2 * pi) - pi
        return jnp.where((x >= -pi) & (x < pi), x, -pi)  # rounding can give pi

    def spline(raw: Array, x: Array, inverse: bool) -> tuple[Array, Array]:
        bounded = RAW_BOUND * jnp.tanh(raw[..., :-1, :] / RAW_BOUND)
        widths, heights, slopes = jnp.split(bounded, 3, axis=-2)
        slopes = jnp.concatenate([slopes, slopes[..., :1, :]], axis=-2) + UNIT_SLOPE
        inside = jnp.ones(x.shape, bool)
        return _spline(x, widths, heights, slopes, inside, pi, inverse)

    def forward(raw: Array, x: Array) -> tuple[Array, Array]:
        z, log_slope = spline(raw, wrap(x), False)
        return wrap(z + raw[..., -1, :]), log_slope

    def inverse(raw: Array, z: Array) -> tuple[Array, Array]:
        x, log_slope = spline(raw, wrap(z - raw[..., -1, :]), True)
        return wrap(x), log_slope

    return ScalarMap(f"circular_spline[{bins} bins]", 3 * bins + 1, forward, inverse)


def spline_coupling(
    *,
    conditioner: Conditioner | None = None,
    bins: int = 8,
    bound: float = 5.0,
    mask: Mask = "half",
    swap: bool = False,
) -> Bijector:
    """Returns the coupling that maps each transformed coordinate by a rational-quadratic spline.

    A network computes the raw parameters of the splines, which are then bounded to (-3, 3). Raw
    parameters of zero define the identity. Coordinates outside of [-bound, bound] do not change,
    so put an actnorm or a whitening before this layer.

    Args:
        conditioner: factory `out_features -> flax.linen.Module`; None means `mlp()`. The outputs
            of the network are all raw widths, then all heights, then all inner slopes.
        bins: number of bins of each spline, 2 to 500.
        bound: half width of the interval [-bound, bound] of the splines.
        mask: "half" or "checkerboard", see `coupling`.
        swap: True exchanges the two halves.

    Returns:
        A bijector on `(n, dim)`, dim >= 2; log_det in nats.

    Raises:
        FlowjaxError: `bins`, `bound` or `mask` is out of range. The `init` of the bijector raises
            it for dim < 2.

    References:
        Neural Spline Flows, https://arxiv.org/abs/1906.04032.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> layer, x = spline_coupling(bins=4), jnp.ones((5, 3))
        >>> z, log_det = layer.forward(layer.init(jax.random.key(0), x), x)
        >>> bool(jnp.allclose(z, x, atol=1e-5)), log_det.shape
        (True, (5,))
    """
    part = spline_map(bins, bound)
    name = part.name.replace("spline", "spline_coupling")
    return coupling(
        name,
        part.outputs,
        part.forward,
        part.inverse,
        conditioner=conditioner,
        mask=mask,
        swap=swap,
    )
