"""Networks of conditioners: Flax linen modules, Flax NNX modules, and `(init, apply)` pairs."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import unflatten_dict

from flowjax.errors import FlowjaxError, check_that
from flowjax.types import Array, Params, PRNGKey

# A function `out_features -> flax.linen.Module`, a class or function of Flax NNX
# `(in_features, out_features, *, rngs) -> flax.nnx.Module`, or a pair of functions
# `init(key, in_features, out_features) -> params` and `apply(params, features) -> outputs`.
Conditioner = (
    Callable[[int], nn.Module]
    | Callable[..., Any]
    | tuple[Callable[[PRNGKey, int, int], Params], Callable[[Params, Array], Array]]
)


class Net(NamedTuple):
    """Network as two pure functions.

    Attributes:
        init: `init(key, features) -> params`.
        apply: `apply(params, features) -> outputs`.
    """

    init: Callable[[PRNGKey, Array], Params]
    apply: Callable[[Params, Array], Any]


def features_of(identity_half: Array, context: Array | None) -> Array:
    """Returns the input of a conditioner's network: identity half and context, concatenated."""
    if context is None:
        return identity_half
    context = jnp.asarray(context, identity_half.dtype)
    context = jnp.broadcast_to(context, (*identity_half.shape[:-1], context.shape[-1]))
    return jnp.concatenate([identity_half, context], axis=-1)


def make_net(conditioner: Conditioner, inputs: int, out: int) -> Net:
    """Returns the network of a conditioner.

    Args:
        conditioner: see `Conditioner`.
        inputs: number of inputs, the coordinates of the identity half and of the context.
        out: number of outputs.

    Raises:
        FlowjaxError: The conditioner has none of the three forms.
    """
    pair: Any = conditioner if isinstance(conditioner, tuple) else ()
    if len(pair) == 2 and all(map(callable, pair)):
        start, apply = pair
        return Net(lambda key, features: start(key, inputs, out), apply)
    # A module is callable but is not a factory, because its number of outputs is fixed.
    if callable(conditioner) and not _is_module(conditioner):
        if _has_rngs(conditioner):
            return _nnx(conditioner, inputs, out)
        module = conditioner(out)
        if isinstance(module, nn.Module):
            return _linen(module)
    expected = (
        "a function out_features -> flax.linen.Module, such as mlp(), an NNX class with the "
        "arguments (in_features, out_features, rngs), or a pair (init, apply)"
    )
    raise FlowjaxError(f"conditioner: expected {expected}, got {conditioner!r}")


def _linen(module: nn.Module) -> Net:
    start, apply = _init, _apply
    try:
        hash(module)
        start, apply = _init_once, _apply_once
    except TypeError:  # it has an attribute such as an array
        pass

    def init(key: PRNGKey, features: Array) -> Params:
        variables = start(module, key, features)
        only = set(variables) <= {"params"}
        check_that(only, "conditioner", "a module with params only", sorted(variables))
        return dict(variables.get("params", {}))

    return Net(init, partial(apply, module))


def _init(module: nn.Module, key: PRNGKey, features: Array) -> Any:
    return module.init(key, features)


def _apply(module: nn.Module, params: Params, features: Array) -> Any:
    return module.apply({"params": params}, features)


# Flax is slow to trace: equal modules are traced once for each shape.
_init_once = jax.jit(_init, static_argnums=0)
_apply_once = jax.jit(_apply, static_argnums=0, inline=True)


def _is_module(conditioner: Any) -> bool:
    """Returns True for an instance of a linen or an NNX module."""
    nnx = sys.modules.get("flax.nnx")  # slow to import
    return isinstance(conditioner, nn.Module if nnx is None else (nn.Module, nnx.Module))


def _has_rngs(conditioner: Callable[..., Any]) -> bool:
    """Returns True if a callable has a parameter `rngs`, as the constructors of NNX modules."""
    function: Any = conditioner
    while isinstance(function, partial):
        function = function.func
    # The metaclass of NNX modules hides the signature of a class.
    function = function.__init__ if inspect.isclass(function) else function
    try:
        return "rngs" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False


def _nnx(conditioner: Callable[..., Any], inputs: int, out: int) -> Net:
    from flax import nnx  # slow to import

    def flat(module: Any) -> tuple[Any, dict[tuple[Any, ...], Any]]:
        """Returns the structure of an NNX module, and its parameters by path."""
        parts: Any = nnx.split(module, nnx.Param, ...)
        structure, params, rest = parts
        others = sorted({type(value).__name__ for _, value in nnx.to_flat_state(rest)})
        check_that(not others, "conditioner", "a module with params only", others)
        return structure, dict(nnx.to_flat_state(params))

    def init(key: PRNGKey, features: Array) -> Params:
        _, params = flat(conditioner(inputs, out, rngs=nnx.Rngs(key)))
        return unflatten_dict({tuple(map(str, path)): v.get_value() for path, v in params.items()})

    def apply(params: Params, features: Array) -> Any:
        shapes = nnx.eval_shape(lambda: conditioner(inputs, out, rngs=nnx.Rngs(0)))
        structure, variables = flat(shapes)
        state = []
        for path, variable in variables.items():
            leaf = params
            for part in path:
                leaf = leaf[str(part)]
            if leaf.shape != variable.get_value().shape:
                raise ValueError(f"{path}: {variable.shape} -> {leaf.shape}")
            state.append((path, variable.replace(leaf)))
        return nnx.merge(structure, nnx.from_flat_state(state))(features)

    return Net(init, apply)


def init_net(
    key: PRNGKey, conditioner: Conditioner, out: int, identity_half: Array, context: Array | None
) -> Params:
    """Returns initial parameters of a conditioner's network, in the dtype of its input.

    Raises:
        FlowjaxError: The network has variables other than params, or a wrong number of outputs.
    """
    features = features_of(identity_half, context)
    net = make_net(conditioner, features.shape[-1], out)
    params = net.init(key, features)
    shape = jax.eval_shape(lambda p: jnp.asarray(net.apply(p, features)), params).shape
    expected = (*features.shape[:-1], out)
    check_that(shape == expected, "conditioner", f"outputs of shape {expected}", shape)
    return jax.tree.map(lambda v: jnp.asarray(v, features.dtype), params)


def apply_net(
    conditioner: Conditioner, out: int, params: Params, identity_half: Array, context: Array | None
) -> Array:
    """Returns the output of a conditioner's network, shape (..., out), in the dtype of its input.

    Raises:
        FlowjaxError: The width of the context differs from its width in `init`.
    """
    features = features_of(identity_half, context)
    net = make_net(conditioner, features.shape[-1], out)
    try:
        raw = net.apply(params, features)
    except Exception as error:
        if _fits(net, params, features):
            raise
        got = "None" if context is None else jnp.shape(context)
        raise FlowjaxError(f"context: expected the width (or None) of init, got {got}") from error
    return jnp.asarray(raw, features.dtype)


def _fits(net: Net, params: Params, features: Array) -> bool:
    """Returns True if `init` returns parameters of these shapes for an input of this width."""
    wanted = jax.eval_shape(net.init, jax.random.key(0), features)
    shapes = [jax.tree.map(jnp.shape, tree) for tree in (wanted, params)]
    same: bool = shapes[0] == shapes[1]
    return same
