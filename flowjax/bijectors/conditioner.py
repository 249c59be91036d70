"""The nets inside couplings: Flax Linen modules, and the door through which a user brings another.

A conditioner is a *factory*: `conditioner(out_features) -> flax.linen.Module`, whose call takes
`(..., features)`, the kept coordinates with the context beside them, to `(..., out_features)`. Its
last layer should start at zero, so that the coupling starts as the identity.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.errors import ScopeParamShapeError

from flowjax.bijectors.products import policy_dot
from flowjax.types import Array, FlowjaxError, Params, PRNGKey

Conditioner = Callable[[int], nn.Module]

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": nn.relu,
    "gelu": nn.gelu,
    "silu": nn.silu,
    "tanh": jnp.tanh,
}


def _activation(activation: str | Callable[[Array], Array]) -> Callable[[Array], Array]:
    if callable(activation):
        return activation
    if activation not in ACTIVATIONS:
        raise FlowjaxError(
            f"activation: expected one of {', '.join(ACTIVATIONS)}, got {activation!r}"
        )
    return ACTIVATIONS[activation]


_dense = partial(nn.Dense, dot_general=policy_dot)


def _hidden(width: int, fan_in: int) -> nn.Module:
    """Returns a hidden layer whose kernel and bias start U(±1 / sqrt(fan_in)), as torch's do.

    With zero biases every unit of the first layer bends at the origin, so a net of few inputs
    starts with hardly a shape to choose from: see benchmarks/density.md for what that costs.
    """
    limit = fan_in**-0.5

    def spread(key: PRNGKey, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -limit, limit)

    return _dense(width, kernel_init=spread, bias_init=spread)


class _MLP(nn.Module):
    width: int
    depth: int
    out: int
    activation: Callable[[Array], Array]
    residual: bool
    start: str = "zero"

    @nn.compact
    def __call__(self, x: Array) -> Array:
        if self.residual:
            x = _hidden(self.width, x.shape[-1])(x)
        for _ in range(self.depth):
            if self.residual:
                h = _hidden(self.width, self.width)(self.activation(x))
                x = x + _hidden(self.width, self.width)(self.activation(h))
            else:
                x = self.activation(_hidden(self.width, x.shape[-1])(x))
        if self.residual:
            x = self.activation(x)
        if self.start == "spread":
            return _hidden(self.out, x.shape[-1])(x)
        return _dense(self.out, kernel_init=nn.initializers.zeros)(x)


def mlp(
    width: int = 64,
    depth: int = 2,
    *,
    activation: str | Callable[[Array], Array] = "relu",
    start: str = "zero",
) -> Conditioner:
    """Returns a factory of plain nets: `depth` hidden layers of `width` and a last one.

    Kernels and biases of the hidden layers start uniform in ±1 / sqrt(fan_in).

    Args:
        width: units of each hidden layer.
        depth: how many hidden layers; 0 is a linear conditioner.
        activation: "relu", "gelu", "silu", "tanh" or a function.
        start: of the last layer: "zero", so that a coupling starts as the identity, or "spread"
            as the others, which fitted better on the plane (benchmarks/density.md).

    Returns:
        A conditioner factory, `out_features -> flax.linen.Module`.

    Raises:
        FlowjaxError: the activation's name or the start is unknown.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> net = mlp(width=8)(3)
        >>> params = net.init(jax.random.key(0), jnp.ones((4, 2)))
        >>> net.apply(params, jnp.ones((4, 2))).shape
        (4, 3)
    """
    chosen = _activation(activation)
    if start not in ("zero", "spread"):
        raise FlowjaxError(f"start: expected 'zero' or 'spread', got {start!r}")

    def factory(out: int) -> nn.Module:
        return _MLP(width, depth, out, chosen, residual=False, start=start)

    extra = "" if start == "zero" else f", start={start!r}"
    return named(factory, f"mlp(width={width}, depth={depth}{_other(activation)}{extra})")


def residual(
    width: int = 64, blocks: int = 2, *, activation: str | Callable[[Array], Array] = "relu"
) -> Conditioner:
    """Returns a factory of residual nets: `blocks` blocks of two layers, last layer zero.

    Args:
        width: units of each layer.
        blocks: how many residual blocks.
        activation: "relu", "gelu", "silu", "tanh" or a function.

    Returns:
        A conditioner factory, `out_features -> flax.linen.Module`.

    References:
        As in Neural Spline Flows, https://arxiv.org/abs/1906.04032.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> net = residual(width=8, blocks=1)(3)
        >>> net.apply(net.init(jax.random.key(0), jnp.ones((4, 2))), jnp.ones((4, 2))).shape
        (4, 3)
    """
    chosen = _activation(activation)

    def factory(out: int) -> nn.Module:
        return _MLP(width, blocks, out, chosen, residual=True)

    return named(factory, f"residual(width={width}, blocks={blocks}{_other(activation)})")


def _other(activation: str | Callable[[Array], Array]) -> str:
    """What a layer list says of an activation that is not the usual one."""
    name = activation if isinstance(activation, str) else getattr(activation, "__name__", "own")
    return "" if name == "relu" else f", {name}"


def named(factory: Conditioner, name: str) -> Conditioner:
    """Gives a factory the name that layer lists print."""
    factory.__name__ = name
    return factory


def name_of(conditioner: Conditioner) -> str:
    """Returns what a layer list calls a conditioner."""
    return getattr(conditioner, "__name__", type(conditioner).__name__)


def features_of(kept: Array, context: Array | None) -> Array:
    """Returns the net's input: the kept coordinates, with the context beside them if any."""
    if context is None:
        return kept
    context = jnp.asarray(context, kept.dtype)
    wide = jnp.broadcast_to(context, (*kept.shape[:-1], context.shape[-1]))
    return jnp.concatenate([kept, wide], axis=-1)


def make_net(conditioner: Conditioner, out: int) -> nn.Module:
    """Returns the conditioner's net of `out` features, or raises FlowjaxError if it makes none."""
    factory = callable(conditioner) and not isinstance(conditioner, nn.Module)
    net = conditioner(out) if factory else None
    if not isinstance(net, nn.Module):
        raise FlowjaxError(
            "conditioner: expected a factory out_features -> flax.linen.Module, such as mlp(), "
            f"got {conditioner!r}"
        )
    return net


def init_net(
    key: PRNGKey, conditioner: Conditioner, out: int, kept: Array, context: Array | None
) -> Params:
    """Returns the parameters of the conditioner's net, in the input's type."""
    features = features_of(kept, context)
    given, variables = make_net(conditioner, out).init_with_output(key, features)
    found: Any = variables
    if set(found) - {"params"}:
        raise FlowjaxError(f"conditioner: expected a module with params only, got {sorted(found)}")
    if jnp.shape(given) != (*features.shape[:-1], out):
        raise FlowjaxError(
            f"conditioner: expected a net with {out} outputs, {(*features.shape[:-1], out)} here, "
            f"got {jnp.shape(given)}"
        )
    return jax.tree.map(lambda v: jnp.asarray(v, features.dtype), dict(found.get("params", {})))


def apply_net(
    conditioner: Conditioner, out: int, params: Params, kept: Array, context: Array | None
) -> Array:
    """Returns the net's output `(..., out)`, in the input's type whatever the net computes in.

    Raises:
        FlowjaxError: the input is not as wide as the one that init was given.
    """
    features = features_of(kept, context)
    try:
        raw: Any = make_net(conditioner, out).apply({"params": params}, features)
    except ScopeParamShapeError as error:
        got = "None" if context is None else jnp.shape(context)
        raise FlowjaxError(
            "context: expected the width (or None) that init was given, "
            f"got {got} beside {kept.shape[-1]} kept coordinates"
        ) from error
    return jnp.asarray(raw, features.dtype)
