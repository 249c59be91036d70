"""Conditioners: factories of the neural networks inside of couplings.

A conditioner is a function `out_features -> flax.linen.Module`. The module maps the identity half
of a coupling, concatenated with the context if there is one, shape (..., features), to the raw
parameters of the transformation, shape (..., out_features). If the last layer of the module is
initialised to zero, the coupling starts as the identity.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.errors import ScopeParamShapeError

from flowjax.bijectors.products import policy_dot
from flowjax.errors import FlowjaxError, check_choice, check_that
from flowjax.types import Array, Params, PRNGKey

Conditioner = Callable[[int], nn.Module]
Activation = Literal["relu", "gelu", "silu", "tanh"] | Callable[[Array], Array]

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    function.__name__: function for function in (nn.relu, nn.gelu, nn.silu, jnp.tanh)
}


@dataclass(frozen=True, repr=False)
class NetFactory:
    """Conditioner with a name; equality and hash are by value.

    Attributes:
        template: module with a field `out`, its number of outputs.
        name: name of the conditioner in the summary of a flow.
    """

    template: nn.Module
    name: str

    def __call__(self, out: int) -> nn.Module:
        """Returns the module with `out` outputs."""
        return self.template.clone(out=out)

    def __repr__(self) -> str:
        return self.name


_dense = partial(nn.Dense, dot_general=policy_dot)


def _hidden(width: int, fan_in: int) -> nn.Module:
    """Returns a dense layer with kernel and bias initialised as in PyTorch, U(-l, l).

    The limit l is 1 / sqrt(fan_in). With zero biases, all ReLU units of the first layer have their
    kink at the origin, which fits data of few dimensions badly (see benchmarks/density.md).
    """
    limit = fan_in**-0.5

    def uniform(key: PRNGKey, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -limit, limit)

    return _dense(width, kernel_init=uniform, bias_init=uniform)


class _MLP(nn.Module):
    width: int
    depth: int
    activation: Callable[[Array], Array]
    start: str
    out: int = 0

    @nn.compact
    def __call__(self, x: Array) -> Array:
        for _ in range(self.depth):
            x = self.activation(_hidden(self.width, x.shape[-1])(x))
        if self.start == "spread":
            return _hidden(self.out, x.shape[-1])(x)
        return _dense(self.out, kernel_init=nn.initializers.zeros)(x)


class _Residual(nn.Module):
    width: int
    blocks: int
    activation: Callable[[Array], Array]
    out: int = 0

    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = _hidden(self.width, x.shape[-1])(x)
        for _ in range(self.blocks):
            h = _hidden(self.width, self.width)(self.activation(x))
            x = x + _hidden(self.width, self.width)(self.activation(h))
        return _dense(self.out, kernel_init=nn.initializers.zeros)(self.activation(x))


def mlp(
    width: int = 64,
    depth: int = 2,
    *,
    activation: Activation = "relu",
    start: Literal["zero", "spread"] = "zero",
) -> NetFactory:
    """Returns a factory of conditioner networks that are multilayer perceptrons.

    Kernels and biases of the hidden layers are initialised uniformly in ±1 / sqrt(fan_in).

    Args:
        width: number of units in each hidden layer.
        depth: number of hidden layers; 0 means a single linear layer.
        activation: "relu", "gelu", "silu", "tanh" or a function.
        start: initialisation of the last layer. "zero" makes the coupling start as the identity;
            "spread" uses the initialisation of the hidden layers. benchmarks/density.md compares
            both.

    Returns:
        A function `out_features -> flax.linen.Module`.

    Raises:
        FlowjaxError: The activation or `start` is unknown.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> net = mlp(width=8)(3)
        >>> params = net.init(jax.random.key(0), jnp.ones((4, 2)))
        >>> net.apply(params, jnp.ones((4, 2))).shape
        (4, 3)
    """
    check_choice("start", start, ("zero", "spread"))
    function, suffix = _activation(activation)
    suffix += "" if start == "zero" else f", start={start!r}"
    net = _MLP(width, depth, function, start)
    return NetFactory(net, f"mlp(width={width}, depth={depth}{suffix})")


def residual(width: int = 64, blocks: int = 2, *, activation: Activation = "relu") -> NetFactory:
    """Returns a factory of residual conditioner networks with two layers per block.

    The last layer is initialised to zero, so that a coupling starts as the identity.

    Args:
        width: number of units in each layer.
        blocks: number of residual blocks.
        activation: "relu", "gelu", "silu", "tanh" or a function.

    Returns:
        A function `out_features -> flax.linen.Module`.

    Raises:
        FlowjaxError: The activation is unknown.

    References:
        The network of Neural Spline Flows, https://arxiv.org/abs/1906.04032.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> net = residual(width=8, blocks=1)(3)
        >>> net.apply(net.init(jax.random.key(0), jnp.ones((4, 2))), jnp.ones((4, 2))).shape
        (4, 3)
    """
    function, suffix = _activation(activation)
    net = _Residual(width, blocks, function)
    return NetFactory(net, f"residual(width={width}, blocks={blocks}{suffix})")


def _activation(activation: Activation) -> tuple[Callable[[Array], Array], str]:
    """Returns the activation function, and its suffix in a summary (empty for "relu")."""
    if not callable(activation):
        check_choice("activation", activation, ACTIVATIONS)
        activation = ACTIVATIONS[activation]
    name = name_of(activation)
    return activation, "" if name == "relu" else f", {name}"


def name_of(function: Callable[..., Any]) -> str:
    """Returns the name of a conditioner or an activation in the summary of a flow."""
    if isinstance(function, NetFactory):
        return function.name
    return getattr(function, "__name__", type(function).__name__)


def features_of(identity_half: Array, context: Array | None) -> Array:
    """Returns the input of a conditioner's network: identity half and context, concatenated."""
    if context is None:
        return identity_half
    context = jnp.asarray(context, identity_half.dtype)
    context = jnp.broadcast_to(context, (*identity_half.shape[:-1], context.shape[-1]))
    return jnp.concatenate([identity_half, context], axis=-1)


def make_net(conditioner: Conditioner, out: int) -> nn.Module:
    """Returns the network of a conditioner with `out` outputs.

    Raises:
        FlowjaxError: The conditioner is not a function, or does not return a Flax module.
    """
    # A Flax module is callable but is not a factory, because its number of outputs is fixed.
    factory = callable(conditioner) and not isinstance(conditioner, nn.Module)
    net = conditioner(out) if factory else None
    if not isinstance(net, nn.Module):
        expected = "a function out_features -> flax.linen.Module, such as mlp()"
        raise FlowjaxError(f"conditioner: expected {expected}, got {conditioner!r}")
    return net


def init_net(
    key: PRNGKey, conditioner: Conditioner, out: int, identity_half: Array, context: Array | None
) -> Params:
    """Returns initial parameters of a conditioner's network, in the dtype of its input.

    Raises:
        FlowjaxError: The network has variables other than params, or a wrong number of outputs.
    """
    features = features_of(identity_half, context)
    output, variables = make_net(conditioner, out).init_with_output(key, features)
    found: Any = variables
    only = set(found) <= {"params"}
    check_that(only, "conditioner", "a module with params only", sorted(found))
    shape, expected = jnp.shape(output), (*features.shape[:-1], out)
    check_that(shape == expected, "conditioner", f"outputs of shape {expected}", shape)
    return jax.tree.map(lambda v: jnp.asarray(v, features.dtype), dict(found.get("params", {})))


def apply_net(
    conditioner: Conditioner, out: int, params: Params, identity_half: Array, context: Array | None
) -> Array:
    """Returns the output of a conditioner's network, shape (..., out), in the dtype of its input.

    Raises:
        FlowjaxError: The width of the context differs from its width in `init`.
    """
    features = features_of(identity_half, context)
    try:
        raw: Any = make_net(conditioner, out).apply({"params": params}, features)
    except ScopeParamShapeError as error:
        got = "None" if context is None else jnp.shape(context)
        raise FlowjaxError(f"context: expected the width (or None) of init, got {got}") from error
    return jnp.asarray(raw, features.dtype)
