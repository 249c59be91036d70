"""Dense layer with gradients that are fast on XLA's CPU backend.

Automatic differentiation of `x @ kernel` multiplies transposed operands, for which the CPU copies
the activations and has no fast bfloat16 kernel. Contractions over batch and length avoid both and
give equal gradients up to rounding (see `benchmarks/pretrain.md`).
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

Array = jax.Array


@jax.custom_vjp
def product(x: Array, kernel: Array) -> Array:
    """Returns the product of `x` `(..., n)` and `kernel` `(n, m)`, in the dtype of `x`.

    The dtype of the kernel may be wider, as in mixed precision. The gradient of the kernel is
    accumulated and returned in the dtype of the kernel.

    Example:
        >>> x, kernel = jnp.ones((2, 3, 4), jnp.bfloat16), jnp.ones((4, 5))
        >>> product(x, kernel).dtype.name
        'bfloat16'
        >>> jax.grad(lambda k: product(x, k).sum())(kernel).dtype.name
        'float32'
    """
    return x @ kernel.astype(x.dtype)


def _product_forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return product(x, kernel), (x, kernel)


def _product_backward(saved: tuple[Array, Array], grad: Array) -> tuple[Array, Array]:
    x, kernel = saved
    rows = "abc"[: x.ndim - 1]
    to_x = jnp.einsum(f"{rows}m,nm->{rows}n", grad, kernel.astype(x.dtype))
    to_kernel = jnp.einsum(f"{rows}n,{rows}m->nm", x, grad, preferred_element_type=kernel.dtype)
    return to_x, to_kernel


product.defvjp(_product_forward, _product_backward)


class Dense(nn.Module):
    """Dense layer with the float32 parameters of `nn.Dense`, computed in `dtype`."""

    features: int
    dtype: Any = jnp.float32
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Returns `x @ kernel + bias` for `x` `(..., n)`, shape `(..., features)`."""
        kernel = self.param("kernel", self.kernel_init, (x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        bias = bias.astype(self.dtype).reshape((1,) * (x.ndim - 1) + (-1,))
        return product(x.astype(self.dtype), kernel) + bias
