"""Conditioners: factories of the neural networks inside of couplings.

The network maps the identity half of a coupling, concatenated with the context if there is one,
shape (..., in_features), to the raw parameters of the transformation, shape (..., out_features).
If the last layer of the network is initialised to zero, the coupling starts as the identity. A
conditioner has one of three forms:

1. A function `out_features -> flax.linen.Module`, such as `mlp()`, or a linen class with a single
   field for the number of outputs.
2. A class or function of Flax NNX, `(in_features, out_features, *, rngs) -> flax.nnx.Module`. Its
   signature must have the name `rngs`. Use `functools.partial` to set other options.
3. A pair of functions `(init, apply)`: `init(key, in_features, out_features) -> params`, a pytree
   of arrays, and `apply(params, features) -> outputs`.

The network may have trainable parameters only, neither batch statistics nor dropout.

Example:
    >>> import jax, jax.numpy as jnp
    >>> from flax import linen, nnx
    >>> from flowjax import bijectors
    >>> class Tanh(nnx.Module):
    ...     def __init__(self, in_features, out_features, *, rngs, width=8):
    ...         self.first = nnx.Linear(in_features, width, rngs=rngs)
    ...         self.last = nnx.Linear(width, out_features, rngs=rngs)
    ...     def __call__(self, x):
    ...         return self.last(jnp.tanh(self.first(x)))
    >>> def init(key, in_features, out_features):
    ...     return {"kernel": jax.random.normal(key, (in_features, out_features))}
    >>> def apply(params, x):
    ...     return x @ params["kernel"]
    >>> x = jnp.ones((5, 4))
    >>> for conditioner in (linen.Dense, Tanh, (init, apply)):
    ...     layer = bijectors.affine_coupling(conditioner=conditioner)
    ...     z, _ = layer.forward(layer.init(jax.random.key(0), x), x)
    ...     print(layer.layers[0], z.shape)
    affine_coupling(Dense) (5, 4)
    affine_coupling(Tanh) (5, 4)
    affine_coupling(apply) (5, 4)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from flowjax.bijectors.products import policy_dot
from flowjax.errors import check_choice, check_integer
from flowjax.types import Array, PRNGKey

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
            y: Array = _hidden(self.out, x.shape[-1])(x)
            return y
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
        FlowjaxError: The activation or `start` is unknown, or a number is out of range.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> net = mlp(width=8)(3)
        >>> params = net.init(jax.random.key(0), jnp.ones((4, 2)))
        >>> net.apply(params, jnp.ones((4, 2))).shape
        (4, 3)
    """
    check_choice("start", start, ("zero", "spread"))
    width, depth = check_integer("width", width, least=1), check_integer("depth", depth)
    function, suffix = activation_and_suffix(activation)
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
        FlowjaxError: The activation is unknown, or a number is out of range.

    References:
        The network of Neural Spline Flows, https://arxiv.org/abs/1906.04032.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> net = residual(width=8, blocks=1)(3)
        >>> net.apply(net.init(jax.random.key(0), jnp.ones((4, 2))), jnp.ones((4, 2))).shape
        (4, 3)
    """
    width, blocks = check_integer("width", width, least=1), check_integer("blocks", blocks)
    function, suffix = activation_and_suffix(activation)
    net = _Residual(width, blocks, function)
    return NetFactory(net, f"residual(width={width}, blocks={blocks}{suffix})")


def activation_and_suffix(activation: Activation) -> tuple[Callable[[Array], Array], str]:
    """Returns the activation function, and its suffix in a summary (empty for "relu")."""
    if not callable(activation):
        check_choice("activation", activation, ACTIVATIONS)
        activation = ACTIVATIONS[activation]
    name = name_of(activation)
    return activation, "" if name == "relu" else f", {name}"


def name_of(function: Any) -> str:
    """Returns the name of a conditioner or an activation in the summary of a flow."""
    if isinstance(function, NetFactory):
        return function.name
    if isinstance(function, tuple) and function:  # a pair (init, apply)
        return name_of(function[-1])
    return getattr(function, "__name__", type(function).__name__)
