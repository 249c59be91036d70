"""Fixed elementwise bijectors between the real line and bounded supports."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from flowjax.bijectors.common import as_float, check_batch, total
from flowjax.errors import FlowjaxError, check_that
from flowjax.types import Array, Bijector, Params, PRNGKey

# Function x -> (result, log-derivative).
Function = Callable[[Array], tuple[Array, Array]]


def sigmoid(low: Any = 0.0, high: Any = 1.0) -> Bijector:
    """Returns `z = low + (high - low) / (1 + exp(-x))`, from the real line to (low, high).

    Args:
        low: lower limits: a number, or an array of shape (dim,).
        high: upper limits: a number, or an array of shape (dim,).

    Returns:
        A bijector on `(n, dim)` without parameters. Results that rounding would put on a limit are
        the next number inside. The inverse of a point outside has log_det -inf.

    Raises:
        FlowjaxError: A limit is not finite, or `low` is not smaller than `high`.

    Example:
        >>> z, _ = sigmoid(-1.0, 3.0).forward({}, jnp.array([[0.0, 100.0]]))
        >>> z[0, 0].item(), bool(2.999 < z[0, 1] < 3)
        (1.0, True)
    """
    low, high = _limits(low, high)
    return _pair("sigmoid", low, high, *_sigmoid(low, high))[0]


def logit(low: Any = 0.0, high: Any = 1.0) -> Bijector:
    """Returns `z = log((x - low) / (high - x))`, from (low, high) to the real line.

    Put it first in a flow of data with a bounded support, such as the parameters of a posterior.
    The samples of the flow are then in (low, high). A point outside has log_prob -inf.

    Args:
        low: lower limits: a number, or an array of shape (dim,).
        high: upper limits: a number, or an array of shape (dim,).

    Returns:
        A bijector on `(n, dim)` without parameters, the inverse of `sigmoid(low, high)`.

    Raises:
        FlowjaxError: A limit is not finite, or `low` is not smaller than `high`. The `init` of the
            bijector raises it if the data are not in (low, high).

    Example:
        >>> from flowjax import flows
        >>> from flowjax.bijectors import affine_coupling, chain, standardize
        >>> flow = flows.build(chain(logit(0, [1, 5]), standardize(), affine_coupling()), dim=2)
        >>> x = jax.random.uniform(jax.random.key(0), (100, 2)) * jnp.array([1.0, 5.0])
        >>> samples = flow.sample(flow.init(jax.random.key(1), x), jax.random.key(2), 1000)
        >>> bool((samples > 0).all() and (samples < jnp.array([1.0, 5.0])).all())
        True
    """
    low, high = _limits(low, high)
    return _pair("logit", low, high, *_sigmoid(low, high))[1]


def tanh() -> Bijector:
    """Returns the hyperbolic tangent, from the real line to (-1, 1); see `sigmoid`.

    Returns:
        A `Bijector` without parameters.

    Example:
        >>> tanh().forward({}, jnp.array([[0.0]]))[0].tolist()
        [[0.0]]
    """
    return _pair("tanh", *_limits(-1, 1), *_tanh())[0]


def arctanh() -> Bijector:
    """Returns the inverse hyperbolic tangent, from (-1, 1) to the real line; see `logit`.

    Returns:
        A `Bijector` without parameters.

    Example:
        >>> arctanh().forward({}, jnp.array([[0.0]]))[0].tolist()
        [[0.0]]
    """
    return _pair("arctanh", *_limits(-1, 1), *_tanh())[1]


def softplus(low: Any = 0.0) -> Bijector:
    """Returns `z = low + log(1 + exp(x))`, from the real line to (low, inf); see `sigmoid`.

    Args:
        low: lower limits: a number, or an array of shape (dim,).

    Returns:
        A `Bijector` without parameters.

    Raises:
        FlowjaxError: A limit is not finite.

    Example:
        >>> softplus(2.0).forward({}, jnp.array([[100.0]]))[0].tolist()
        [[102.0]]
    """
    low, high = _limit("low", low), np.asarray(np.inf)
    return _pair("softplus", low, high, *_softplus(low))[0]


def inverse_softplus(low: Any = 0.0) -> Bijector:
    """Returns `z = log(exp(x - low) - 1)`, from (low, inf) to the real line; see `logit`.

    Args:
        low: lower limits: a number, or an array of shape (dim,).

    Returns:
        A `Bijector` without parameters.

    Raises:
        FlowjaxError: A limit is not finite. The `init` of the bijector raises it if the data are
            not above `low`.

    Example:
        >>> inverse_softplus(2.0).forward({}, jnp.array([[102.0]]))[0].tolist()
        [[100.0]]
    """
    low, high = _limit("low", low), np.asarray(np.inf)
    return _pair("inverse_softplus", low, high, *_softplus(low))[1]


def _limit(name: str, value: Any) -> np.ndarray:
    """Returns a limit as a float64 array of shape () or (dim,)."""
    expected = "a finite number, or such numbers, shape (dim,)"
    try:
        limit = np.asarray(value)
        valid = limit.dtype.kind in "iuf" and limit.ndim <= 1 and bool(np.isfinite(limit).all())
    except ValueError:  # a ragged list
        valid = False
    check_that(valid, name, expected, value)
    return limit.astype(float)


def _limits(low: Any, high: Any) -> tuple[np.ndarray, np.ndarray]:
    limits: Any = _limit("low", low), _limit("high", high)
    alike = 0 in (limits[0].ndim, limits[1].ndim) or limits[0].shape == limits[1].shape
    ordered = alike and bool((limits[0] < limits[1]).all())
    check_that(ordered, "high", f"numbers above low = {low}, of the same shape", high)
    return limits[0], limits[1]


def _sigmoid(low: np.ndarray, high: np.ndarray) -> tuple[Function, Function]:
    log_width = np.log(high - low)

    def forward(x: Array) -> tuple[Array, Array]:
        z = jax.nn.sigmoid(x) * (high - low) + low
        return jnp.asarray(z), jax.nn.log_sigmoid(x) + jax.nn.log_sigmoid(-x) + log_width

    def inverse(z: Array) -> tuple[Array, Array]:
        below, above = jnp.log(z - low), jnp.log(high - z)
        return below - above, jnp.asarray(log_width - below - above)

    return forward, inverse


def _tanh() -> tuple[Function, Function]:
    def forward(x: Array) -> tuple[Array, Array]:
        size = jnp.abs(x)
        return jnp.tanh(x), 2 * (math.log(2) - size - jnp.log1p(jnp.exp(-2 * size)))

    def inverse(z: Array) -> tuple[Array, Array]:
        return jnp.arctanh(z), -jnp.log1p(-z) - jnp.log1p(z)

    return forward, inverse


def _softplus(low: np.ndarray) -> tuple[Function, Function]:
    def forward(x: Array) -> tuple[Array, Array]:
        return jax.nn.softplus(x) + low, jax.nn.log_sigmoid(x)

    def inverse(z: Array) -> tuple[Array, Array]:
        y = z - low
        x = y + jnp.log(-jnp.expm1(-y))
        return x, -jax.nn.log_sigmoid(x)

    return forward, inverse


def _next(limit: np.ndarray, towards: float, dtype: Any) -> np.ndarray:
    """Returns the numbers next to a limit; the smallest normal number next to 0."""
    step = np.nextafter(limit.astype(dtype), np.asarray(towards, dtype))
    smallest = np.sign(towards) * np.finfo(dtype).tiny
    steps: np.ndarray = np.where(limit == 0, smallest, step).astype(dtype)
    return steps


def _pair(
    name: str, low: np.ndarray, high: np.ndarray, up: Function, down: Function
) -> tuple[Bijector, Bijector]:
    """Returns the bijector from the real line to (low, high) and its inverse.

    Args:
        name: name in the summary of a flow.
        low: lower limits.
        high: upper limits, possibly infinite.
        up: function from the real line to (low, high).
        down: inverse of `up`.
    """
    limits = "" if name.endswith("tanh") else f"low={low.tolist()}, high={high.tolist()}"

    def inside(x: Any) -> Any:
        return (x > low.astype(x.dtype)) & (x < high.astype(x.dtype))

    def start(key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        check_batch("x", x)
        return {}

    def start_inside(key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        x = check_batch("x", x)
        if not isinstance(x, Tracer):
            bad = np.argwhere(~np.asarray(inside(x)))
            if len(bad):
                row, column = bad[0].tolist()
                raise FlowjaxError(
                    f"x: expected numbers above {low.tolist()} and below {high.tolist()} for "
                    f"{name}, got {x[row, column]} at row {row}, column {column} "
                    f"({len(bad)} such entries)"
                )
        return {}

    def constrain(params: Params, x: Array, context: Array | None = None) -> tuple[Array, Array]:
        x = as_float(x)
        z, log_derivative = up(x)
        first, last = _next(low, np.inf, x.dtype), _next(high, -np.inf, x.dtype)
        return jnp.clip(z.astype(x.dtype), first, last), total(log_derivative)

    def free(params: Params, z: Array, context: Array | None = None) -> tuple[Array, Array]:
        z = as_float(z)
        valid = inside(z)
        middle = np.where(np.isfinite(high), (low + high) / 2, low + 1).astype(z.dtype)
        x, log_derivative = down(jnp.where(valid, z, middle))
        log_det = total(jnp.where(valid, log_derivative, -jnp.inf))
        return x.astype(z.dtype), log_det

    line = (f"{name}({limits})",)
    return Bijector(start, constrain, free, line), Bijector(start_inside, free, constrain, line)
