"""Coupling layers: one part of the coordinates says how the other part moves (NICE, RealNVP)."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from flowjax.bijectors.common import as_float, bounded, check_batch, constant_log_det, total
from flowjax.bijectors.conditioner import Conditioner, apply_net, init_net, mlp, name_of
from flowjax.bijectors.permutation import take_columns
from flowjax.types import Array, Bijector, FlowjaxError, Params, PRNGKey

# An elementwise map of the moved part: (raw net output, moved) -> (new, log_det or None for 0)
Move = Callable[[Array, Array], tuple[Array, Array | None]]


def _sigmoid(raw: Array) -> Array:
    # log(e^-3 + (1 - e^-3) sigmoid(raw + 2)): a bare sigmoid goes to 0, and then nothing inverts
    return jnp.logaddexp(-3.0, math.log1p(-math.exp(-3)) + jax.nn.log_sigmoid(raw + 2))


LOG_SCALES: dict[str, Callable[[Array], Array]] = {"tanh": bounded, "sigmoid": _sigmoid}


def half(dim: int) -> int:
    """Returns the size of the first half; the larger one where `dim` is odd."""
    return dim - dim // 2


def split_parts(x: Array, mask: str, swap: bool) -> tuple[Array, Array]:
    """Returns the kept and the moved coordinates of `x` `(..., dim)`."""
    if mask == "half":  # one split, whose gradient joins; that of two slices pads and adds
        first, second = jnp.split(x, [half(x.shape[-1])], axis=-1)
    else:
        first, second = x[..., 0::2], x[..., 1::2]
    return (second, first) if swap else (first, second)


def merge_parts(kept: Array, moved: Array, mask: str, swap: bool) -> Array:
    """Returns what `split_parts` took apart."""
    first, second = (moved, kept) if swap else (kept, moved)
    joined = jnp.concatenate([first, second], axis=-1)
    if mask == "half":
        return joined
    dim = joined.shape[-1]
    order = np.argsort(np.concatenate([np.arange(0, dim, 2), np.arange(1, dim, 2)]))
    return take_columns(joined, order)


def coupling(
    name: str,
    outputs: int,
    forward_move: Move,
    inverse_move: Move,
    *,
    conditioner: Conditioner | None,
    mask: str,
    swap: bool,
) -> Bijector:
    """Returns the coupling that moves coordinates by an elementwise map whose numbers a net gives.

    This is the general part behind `additive_coupling`, `affine_coupling` and `spline_coupling`,
    and how a user makes another.

    Args:
        name: for layer lists.
        outputs: numbers the net gives per moved coordinate.
        forward_move: `(raw, moved) -> (new, log_derivative)`; `moved` is `(..., m)`, `raw` is
            `(..., outputs, m)`, log_derivative `(..., m)` in nats, or None for a shift.
        inverse_move: the same for the inverse map.
        conditioner: factory `out_features -> flax.linen.Module`; None is `mlp()`.
        mask: "half" (first coordinates keep, last move) or "checkerboard" (even, odd).
        swap: exchange the two parts.

    Returns:
        A bijector on `(n, dim)`, dim >= 2, odd ones included.

    Raises:
        FlowjaxError: unknown mask, or at init dim < 2.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> layer = coupling("negate", 1, lambda raw, x: (-x, None), lambda raw, z: (-z, None),
        ...                  conditioner=None, mask="half", swap=False)
        >>> params = layer.init(jax.random.key(0), jnp.array([[1.0, 2.0]]))
        >>> layer.forward(params, jnp.array([[1.0, 2.0]]))[0].tolist()
        [[1.0, -2.0]]
    """
    if mask not in ("half", "checkerboard"):
        raise FlowjaxError(f"mask: expected 'half' or 'checkerboard', got {mask!r}")
    factory = mlp() if conditioner is None else conditioner

    def init(key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        x = check_batch("x", x)
        if x.shape[1] < 2:
            raise FlowjaxError(f"x: a coupling needs dim >= 2, got {x.shape}")
        kept, moved = split_parts(x, mask, swap)
        return init_net(key, factory, outputs * moved.shape[-1], kept, context)

    def run(move: Move, params: Params, x: Array, context: Array | None) -> tuple[Array, Array]:
        x = as_float(x)
        kept, moved = split_parts(x, mask, swap)
        width = moved.shape[-1]
        raw = apply_net(factory, outputs * width, params, kept, context)
        new, change = move(raw.reshape(*raw.shape[:-1], outputs, width), moved)
        log_det = constant_log_det(x) if change is None else total(change)
        return merge_parts(kept, new, mask, swap), log_det

    def forward(params: Params, x: Array, context: Array | None = None) -> tuple[Array, Array]:
        return run(forward_move, params, x, context)

    def inverse(params: Params, z: Array, context: Array | None = None) -> tuple[Array, Array]:
        return run(inverse_move, params, z, context)

    extra = ("" if mask == "half" else ", checkerboard") + (", swap" if swap else "")
    return Bijector(init, forward, inverse, (f"{name}({name_of(factory)}{extra})",))


def additive_coupling(
    *, conditioner: Conditioner | None = None, mask: str = "half", swap: bool = False
) -> Bijector:
    """Returns `moved + net(kept)`: a shift, whose log_det is 0.

    Args:
        conditioner: factory `out_features -> flax.linen.Module`; None is `mlp()`.
        mask: "half" or "checkerboard".
        swap: let the second part condition and the first move.

    Returns:
        A bijector on `(n, dim)`, dim >= 2; the identity at init with the library's conditioners.

    Raises:
        FlowjaxError: unknown mask; at init, dim < 2.

    References:
        NICE, https://arxiv.org/abs/1410.8516.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> layer, x = additive_coupling(), jnp.ones((5, 3))
        >>> z, log_det = layer.forward(layer.init(jax.random.key(0), x), x)
        >>> z.shape, log_det.tolist()
        ((5, 3), [0.0, 0.0, 0.0, 0.0, 0.0])
    """
    return coupling(
        "additive_coupling",
        1,
        lambda raw, x: (x + raw[..., 0, :], None),
        lambda raw, z: (z - raw[..., 0, :], None),
        conditioner=conditioner,
        mask=mask,
        swap=swap,
    )


def affine_coupling(
    *,
    conditioner: Conditioner | None = None,
    scale: str = "tanh",
    mask: str = "half",
    swap: bool = False,
) -> Bijector:
    """Returns `moved * exp(log_scale) + shift`, with shift and a bounded log_scale from the net.

    Args:
        conditioner: factory `out_features -> flax.linen.Module`; None is `mlp()`. Its output is
            the shifts, then the raw scales.
        scale: "tanh", log_scale = 2 tanh(raw / 2), in (-2, 2); or "sigmoid", scale =
            sigmoid(raw + 2) as in Glow, but raised to lie in (e^-3, 1).
        mask: "half" or "checkerboard".
        swap: let the second part condition and the first move.

    Returns:
        A bijector on `(n, dim)`, dim >= 2; log_det is the sum of the log_scales, in nats.

    Raises:
        FlowjaxError: unknown scale or mask; at init, dim < 2.

    References:
        RealNVP, https://arxiv.org/abs/1605.08803.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> layer, x = affine_coupling(mask="checkerboard"), jnp.ones((5, 3))
        >>> z, log_det = layer.forward(layer.init(jax.random.key(0), x), x)
        >>> z.shape, log_det.shape
        ((5, 3), (5,))
    """
    if scale not in LOG_SCALES:
        raise FlowjaxError(f"scale: expected one of {', '.join(LOG_SCALES)}, got {scale!r}")
    log_scale_of = LOG_SCALES[scale]

    def shift_and_log_scale(raw: Array) -> tuple[Array, Array]:
        shift, raw_scale = jnp.unstack(raw, axis=-2)  # its gradient joins; slices' pads and adds
        return shift, log_scale_of(raw_scale)

    def forward_move(raw: Array, x: Array) -> tuple[Array, Array]:
        shift, log_scale = shift_and_log_scale(raw)
        return x * jnp.exp(log_scale) + shift, log_scale

    def inverse_move(raw: Array, z: Array) -> tuple[Array, Array]:
        shift, log_scale = shift_and_log_scale(raw)
        return (z - shift) * jnp.exp(-log_scale), -log_scale

    return coupling(
        "affine_coupling" if scale == "tanh" else f"affine_coupling[{scale}]",
        2,
        forward_move,
        inverse_move,
        conditioner=conditioner,
        mask=mask,
        swap=swap,
    )
