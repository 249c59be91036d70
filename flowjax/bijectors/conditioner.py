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

from flowjax.bijectors.actnorm import INITS, initial
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


def policy_dot(
    x: Array, kernel: Array, dimension_numbers: Any, precision: Any = None, **options: Any
) -> Array:
    """`x @ kernel` for a Flax layer, under the policy that `jax.default_matmul_precision` names.

    "bfloat16": factors are cast to it, sums are float32, in the gradient's products as well and on
    every device. All other names are for the compiler, which follows them where the device can
    ("tensorfloat32" on GPUs). `training.make_step` sets the policy.

    Example:
        >>> x, numbers = jnp.array([[1.0 + 2**-9]]), (((1,), (0,)), ((), ()))
        >>> with jax.default_matmul_precision("bfloat16"):
        ...     print(float(policy_dot(x, jnp.ones((1, 1)), numbers)[0, 0]))
        1.0
    """
    policy = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    if policy == "bfloat16" and x.dtype == kernel.dtype == jnp.float32:
        return _bfloat16_dot(x, kernel)
    return jax.lax.dot_general(x, kernel, dimension_numbers, precision=precision, **options)


def _wide(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, preferred_element_type=jnp.float32)


@jax.custom_vjp
def _bfloat16_dot(x: Array, kernel: Array) -> Array:
    return _wide(x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16))


def _bfloat16_dot_fwd(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    factors = x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16)
    return _wide(*factors), factors


def _bfloat16_dot_bwd(factors: tuple[Array, Array], out: Array) -> tuple[Array, Array]:
    x, kernel = factors
    out = out.astype(jnp.bfloat16)  # the rule of dot_general would multiply float32 by bfloat16
    rows = x.reshape(-1, x.shape[-1]), out.reshape(-1, out.shape[-1])
    return _wide(out, kernel.T), _wide(rows[0].T, rows[1])


_bfloat16_dot.defvjp(_bfloat16_dot_fwd, _bfloat16_dot_bwd)

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


class _ScaledDense(nn.Module):
    """Glow's convolution with filter 1x1: a product, then (x + bias) * exp(factor * log_scale)."""

    features: int
    kernel_init: Callable[..., Array]
    begin: str  # how bias and log_scale start, as in actnorm
    factor: float

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, x.dtype)
        x = policy_dot(x, kernel, (((x.ndim - 1,), (0,)), ((), ())))

        def start(key: PRNGKey, which: int) -> Array:  # x is the first batch when init runs this
            return initial(self.begin, key, x.reshape(-1, self.features), self.factor)[which]

        bias = self.param("bias", start, 0)
        scale = jnp.exp(self.factor * self.param("log_scale", start, 1))
        return (x + bias) * scale


class _GlowNet(nn.Module):
    width: int
    out: int
    begin: str
    factor: float

    @nn.compact
    def __call__(self, x: Array) -> Array:
        normal = nn.initializers.normal(0.05)
        for i in range(2):
            layer = _ScaledDense(self.width, normal, self.begin, self.factor, name=f"hidden_{i}")
            x = nn.relu(layer(x))
        zeros = nn.initializers.zeros
        return _ScaledDense(self.out, zeros, "identity", self.factor, name="output")(x)


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
    return _named(factory, f"mlp(width={width}, depth={depth}{extra})")


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

    return _named(factory, f"residual(width={width}, blocks={blocks})")


def glow_net(width: int = 32, *, init: str = "data", logscale_factor: float = 3.0) -> Conditioner:
    """Returns a factory of the nets of Glow's released code, with 1x1 filters.

    product -> actnorm -> relu -> product -> actnorm -> relu -> product -> `(x + b) * exp(3 logs)`.
    Kernels start N(0, 0.05), the last one at zero.

    Args:
        width: units of both hidden layers.
        init: of the inner actnorms, "data", "identity" or "glorot", as in `actnorm`; BERT-flow's
            released code left them at "glorot".
        logscale_factor: multiplies each stored log-scale.

    Returns:
        A conditioner factory, `out_features -> flax.linen.Module`.

    References:
        Glow, https://arxiv.org/abs/1807.03039; BERT-flow, https://arxiv.org/abs/2011.05864.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> net = glow_net(width=8)(3)
        >>> net.apply(net.init(jax.random.key(0), jnp.ones((4, 2))), jnp.ones((4, 2))).shape
        (4, 3)
    """
    if init not in INITS:
        raise FlowjaxError(f"init: expected one of {', '.join(INITS)}, got {init!r}")

    def factory(out: int) -> nn.Module:
        return _GlowNet(width, out, init, logscale_factor)

    return _named(factory, f"glow_net(width={width})")


def _named(factory: Conditioner, name: str) -> Conditioner:
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


def init_net(key: PRNGKey, net: nn.Module, kept: Array, context: Array | None) -> Params:
    """Returns the parameters of `net`, in the input's type."""
    features = features_of(kept, context)
    variables: Any = net.init(key, features)
    if set(variables) - {"params"}:
        raise FlowjaxError(
            f"conditioner: expected a module with params only, got {sorted(variables)}"
        )
    return jax.tree.map(lambda v: jnp.asarray(v, features.dtype), dict(variables["params"]))


def apply_net(net: nn.Module, params: Params, kept: Array, context: Array | None) -> Array:
    """Returns the net's output `(..., out)`; says so when the context's width does not fit."""
    features = features_of(kept, context)
    try:
        out: Any = net.apply({"params": params}, features)
        return out
    except ScopeParamShapeError as error:
        got = "None" if context is None else jnp.shape(context)
        raise FlowjaxError(
            "context: expected the width (or None) that init was given, "
            f"got {got} beside {kept.shape[-1]} kept coordinates"
        ) from error
