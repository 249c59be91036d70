"""Masked networks: output i depends only on the inputs before i in a given order (MADE)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from flowjax.bijectors.conditioner import Activation, activation_and_suffix
from flowjax.bijectors.products import policy_dot
from flowjax.errors import FlowjaxError, check_choice, check_integer, check_that
from flowjax.types import Array, Params, PRNGKey

Order = Literal["natural", "reverse"] | Sequence[int]


class Masks(NamedTuple):
    """Constants of a masked network.

    Attributes:
        order: coordinates in the order in which they are transformed, shape (dim,).
        degrees: sorted degrees of the hidden units, shape (width,). A unit of degree m depends on
            the context and on the first m coordinates of the order.
        first: mask of the first layer, shape (dim + context width, width).
        hidden: mask between hidden layers, shape (width, width).
        last: mask of the last layer, shape (width, dim).
        linear: mask of a network without hidden layers, shape (dim + context width, dim).
        units: hidden units to compute before each coordinate of the order, shape (dim, block).
    """

    order: np.ndarray
    degrees: np.ndarray
    first: np.ndarray
    hidden: np.ndarray
    last: np.ndarray
    linear: np.ndarray
    units: np.ndarray


def check_order(order: tuple[int, ...], dim: int | None = None) -> None:
    """Raises FlowjaxError if `order` is not a permutation of 0 .. dim - 1."""
    dim = len(order) if dim is None else dim
    valid = sorted(order) == list(range(dim))
    check_that(valid, "order", f"a permutation of 0 .. {dim - 1}", order)


def _degrees(dim: int, width: int, context: bool) -> np.ndarray:
    """Returns sorted degrees of hidden units.

    Degrees are spread over 1 .. dim - 1. If there is a context, at least an eighth of the units
    have degree 0, so that the first coordinate depends on the context.
    """
    least = max(1, width // dim, width // 8) if context else 0
    zeros = width if dim == 1 else least
    count, most = width - zeros, dim - 1
    if count >= most:
        spread = 1 + np.arange(count) * most // max(count, 1)
    else:
        spread = np.rint(np.linspace(1, most, count)).astype(int)
    return np.concatenate([np.zeros(zeros, int), spread])


@lru_cache(maxsize=64)
def masks(dim: int, context_width: int, width: int, order: Any) -> Masks:
    """Returns the masks of a network; `order` is "natural", "reverse" or a tuple of coordinates.

    Example:
        >>> masks(3, 0, 4, "natural").last.astype(int).tolist()
        [[0, 1, 1], [0, 1, 1], [0, 0, 1], [0, 0, 1]]
    """
    if isinstance(order, str):
        sequence = np.arange(dim)[:: -1 if order == "reverse" else 1]
    else:
        sequence = np.array(order, int)
        check_order(order, dim)
    rank = np.argsort(sequence) + 1
    known = np.concatenate([rank, np.zeros(context_width, int)])
    degrees = _degrees(dim, width, context_width > 0)
    block = max(int(np.bincount(degrees).max()), 1)
    starts = np.minimum(np.searchsorted(degrees, np.arange(dim)), width - block)
    return Masks(
        sequence,
        degrees,
        known[:, None] <= degrees,
        degrees[:, None] <= degrees,
        degrees[:, None] < rank,
        known[:, None] < rank,
        starts[:, None] + np.arange(block),
    )


@dataclass(frozen=True, repr=False)
class MaskedNet:
    """Options of a masked network; equality and hash are by value.

    Attributes:
        width: number of units in each hidden layer.
        depth: number of hidden layers.
        residual: True adds the input of each pair of hidden layers to the output of the pair.
        activation: activation function.
        start: initialisation of the last layer, "zero" or "spread".
        name: description in the summary of a flow.
    """

    width: int
    depth: int
    residual: bool
    activation: Callable[[Array], Array]
    start: str
    name: str

    def __repr__(self) -> str:
        return self.name

    def masks(self, dim: int, context: Array | None, order: Any) -> Masks:
        """Returns the masks for data of dimension `dim`."""
        return masks(dim, 0 if context is None else jnp.shape(context)[-1], self.width, order)

    def layer_masks(self, m: Masks) -> list[np.ndarray]:
        """Returns the mask of each layer."""
        if self.depth == 0:
            return [m.linear]
        return [m.first, *[m.hidden] * (self.depth - 1), m.last]

    def init(self, key: PRNGKey, m: Masks, outputs: int, dtype: Any) -> Params:
        """Returns initial parameters: a tuple of one dict per layer.

        Kernels and biases are uniform in ±1 / sqrt(fan_in), where fan_in counts all inputs of the
        layer, also those that the mask removes: units with few inputs would otherwise start with
        large weights, which overfit small data. The last layer is zero if `start` is "zero".
        """
        params = []
        for i, mask in enumerate(self.layer_masks(m)):
            fan_in, units = mask.shape
            last = i == self.depth
            shape = (fan_in, units * outputs if last else units)
            limit = 0.0 if last and self.start == "zero" else fan_in**-0.5
            first, second = jax.random.split(jax.random.fold_in(key, i))
            kernel = limit * jax.random.uniform(first, shape, dtype, -1, 1)
            bias = limit * jax.random.uniform(second, shape[1:], dtype, -1, 1)
            params.append({"kernel": kernel.astype(dtype), "bias": bias.astype(dtype)})
        return tuple(params)

    def masked(self, params: Params, m: Masks) -> list[tuple[Array, Array]]:
        """Returns masked kernels and biases.

        Those of the last layer have the shapes (inputs, outputs, dim) and (outputs, dim).
        """
        layers = []
        for i, (mask, layer) in enumerate(zip(self.layer_masks(m), params, strict=True)):
            kernel, bias = layer["kernel"], layer["bias"]
            if i == self.depth:
                kernel, bias = (a.reshape(*a.shape[:-1], -1, len(m.order)) for a in (kernel, bias))
                mask = mask[:, None]
            if kernel.shape[0] != len(mask):
                got, dim = len(mask) - len(m.order), len(m.order)
                raise FlowjaxError(
                    f"context: expected the width (or None) of init, {len(kernel) - dim}, "
                    f"got {got or None}"
                )
            layers.append((jnp.where(mask, kernel, 0), bias))
        return layers

    def hidden(self, layers: list[tuple[Array, Array]], features: Array) -> Array:
        """Returns the input of the last layer, given all other layers."""
        states = [features]
        for i, layer in enumerate(layers):
            state = dense(states[-1] if i == 0 else self.activation(states[-1]), *layer)
            states.append(state + states[-2] if self.adds(i) else state)
        return self.activation(states[-1]) if self.depth else features

    def adds(self, i: int) -> bool:
        """Returns True if hidden layer `i` adds the state of two layers before."""
        return self.residual and i > 0 and i % 2 == 0


def dense(x: Array, kernel: Array, bias: Array) -> Array:
    """Returns `x @ kernel + bias`.

    The two directions of an autoregressive layer compute products of different shapes. Without a
    precision policy they are therefore computed in full precision, because GPUs and TPUs would
    round the factors.
    """
    policy = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    numbers = (((x.ndim - 1,), (0,)), ((), ()))
    return policy_dot(x, kernel, numbers, None if policy else "highest") + bias


def made(
    width: int = 64,
    depth: int = 2,
    *,
    residual: bool = False,
    activation: Activation = "relu",
    start: Literal["zero", "spread"] = "zero",
) -> MaskedNet:
    """Returns the options of a masked network for `masked_autoregressive` (MADE).

    The network is a multilayer perceptron whose kernels are multiplied by constant masks. The
    parameters of a coordinate depend on the context and on the coordinates before it.

    Args:
        width: number of units in each hidden layer.
        depth: number of hidden layers; 0 means a single linear layer. With `residual`, an odd
            number: one layer, followed by blocks of two layers.
        residual: True uses residual blocks.
        activation: "relu", "gelu", "silu", "tanh" or a function.
        start: initialisation of the last layer, "zero" or "spread", see `mlp`.

    Returns:
        A `MaskedNet`, the conditioner of `masked_autoregressive`.

    Raises:
        FlowjaxError: An option is out of range or unknown.

    References:
        MADE, https://arxiv.org/abs/1502.03509.

    Example:
        >>> made(width=8)
        made(width=8, depth=2)
    """
    check_choice("start", start, ("zero", "spread"))
    width, depth = check_integer("width", width, least=1), check_integer("depth", depth)
    odd = depth % 2 == 1 or not residual
    check_that(odd, "depth", "an odd number of hidden layers with residual", depth)
    function, suffix = activation_and_suffix(activation)
    suffix += ", residual" if residual else ""
    suffix += "" if start == "zero" else f", start={start!r}"
    name = f"made(width={width}, depth={depth}{suffix})"
    return MaskedNet(width, depth, residual, function, start, name)
