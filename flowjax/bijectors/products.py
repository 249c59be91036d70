"""Matrix products of the conditioners, with the precision policy of the training loop."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from flowjax.types import Array


def policy_dot(
    x: Array, kernel: Array, dimension_numbers: Any, precision: Any = None, **options: Any
) -> Array:
    """Returns `x @ kernel` for a Flax layer, in the precision of `jax.default_matmul_precision`.

    With "bfloat16", the factors are cast to bfloat16 and the sums are float32, on every device and
    also in the gradient. The compiler implements other precisions if the device supports them
    ("tensorfloat32" on GPUs). `training.make_step` sets the precision.

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
    out = out.astype(jnp.bfloat16)  # JAX's own gradient would multiply float32 by bfloat16
    rows = x.reshape(-1, x.shape[-1]), out.reshape(-1, out.shape[-1])
    return _wide(out, kernel.T), _wide(rows[0].T, rows[1])


_bfloat16_dot.defvjp(_bfloat16_dot_fwd, _bfloat16_dot_bwd)
