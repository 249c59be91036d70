"""The conditioner of Glow's released code."""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp

from flowjax.bijectors.actnorm import INITS, initial
from flowjax.bijectors.conditioner import Conditioner, named
from flowjax.bijectors.products import policy_dot
from flowjax.types import Array, FlowjaxError, PRNGKey


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

    factor = "" if logscale_factor == 3 else f", logscale_factor={logscale_factor:g}"
    return named(factory, f"glow_net(width={width}{factor})")
