"""Conditioner of Glow's released code."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import flax.linen as nn
import jax.numpy as jnp

from flowjax.bijectors.actnorm import Init, check_factor, initial
from flowjax.bijectors.conditioner import NetFactory
from flowjax.bijectors.products import policy_dot
from flowjax.errors import check_choice, check_integer
from flowjax.types import Array, PRNGKey


class _ScaledDense(nn.Module):
    """Glow's 1x1 convolution (a matrix product), followed by an actnorm."""

    features: int
    kernel_init: Callable[..., Array]
    init_method: Init  # of bias and log_scale
    factor: float

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, x.dtype)
        x = policy_dot(x, kernel, (((x.ndim - 1,), (0,)), ((), ())))

        def start(key: PRNGKey, index: int) -> Array:  # only `init` calls it, with the first batch
            return initial(self.init_method, key, x.reshape(-1, self.features), self.factor)[index]

        bias = self.param("bias", start, 0)
        scale = jnp.exp(self.factor * self.param("log_scale", start, 1))
        return (x + bias) * scale


class _GlowNet(nn.Module):
    width: int
    init_method: Init
    factor: float
    out: int = 0

    @nn.compact
    def __call__(self, x: Array) -> Array:
        normal, zeros = nn.initializers.normal(0.05), nn.initializers.zeros
        for i in range(2):
            name = f"hidden_{i}"
            layer = _ScaledDense(self.width, normal, self.init_method, self.factor, name=name)
            x = nn.relu(layer(x))
        return _ScaledDense(self.out, zeros, "identity", self.factor, name="output")(x)


def glow_net(width: int = 32, *, init: Init = "data", logscale_factor: float = 3.0) -> NetFactory:
    """Returns a conditioner that builds the networks of Glow's released code, with 1x1 filters.

    Each of the two hidden layers is product -> actnorm -> relu. The last layer is
    product -> `(x + bias) * exp(logscale_factor * log_scale)`. The hidden kernels are initialised
    with N(0, 0.05^2), and the last kernel with zeros.

    Args:
        width: number of units in each hidden layer.
        init: initialisation of the hidden actnorms: "data", "identity" or "glorot", as in
            `actnorm`. BERT-flow's released code uses "glorot".
        logscale_factor: factor of each stored log-scale.

    Returns:
        A conditioner, `out_features -> flax.linen.Module`.

    Raises:
        FlowjaxError: An argument is out of range.

    References:
        Glow, https://arxiv.org/abs/1807.03039; BERT-flow, https://arxiv.org/abs/2011.05864.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> net = glow_net(width=8)(3)
        >>> net.apply(net.init(jax.random.key(0), jnp.ones((4, 2))), jnp.ones((4, 2))).shape
        (4, 3)
    """
    check_choice("init", init, get_args(Init))
    width = check_integer("width", width, least=1)
    logscale_factor = check_factor(logscale_factor)
    suffix = "" if logscale_factor == 3 else f", logscale_factor={logscale_factor:g}"
    return NetFactory(_GlowNet(width, init, logscale_factor), f"glow_net(width={width}{suffix})")
