"""Matrix products of the conditioners, with the precision policy of the training loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

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


def _half(x: Array) -> Array:
    return x.astype(jnp.bfloat16)


@jax.custom_jvp
def _bfloat16_dot(x: Array, kernel: Array) -> Array:
    return _wide(_half(x), _half(kernel))


def _bfloat16_dot_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    x, kernel = map(_half, primals)
    dx, dkernel = tangents
    out = _wide(x, kernel)
    tangent = jnp.zeros_like(out)

    def kernel_transpose(ct: Array) -> Array:
        return _wide(x.reshape(-1, x.shape[-1]).T, _half(ct.reshape(-1, ct.shape[-1])))

    # JAX's own gradient would multiply float32 by bfloat16.
    if not isinstance(dx, SymbolicZero):
        tangent += _linear(
            lambda t: _wide(_half(t), kernel), lambda ct: _wide(_half(ct), kernel.T), dx, out
        )
    if not isinstance(dkernel, SymbolicZero):
        tangent += _linear(lambda t: _wide(x, _half(t)), kernel_transpose, dkernel, out)
    return out, tangent


_bfloat16_dot.defjvp(_bfloat16_dot_jvp, symbolic_zeros=True)


def _linear(
    function: Callable[[Array], Array], transpose: Callable[[Array], Array], t: Array, out: Array
) -> Array:
    """Returns `function(t)`, a linear function with the given transpose; `out` has its shape.

    `jax.custom_vjp` does not support forward mode. The function is therefore written as a part of
    the linear system (u, v - function(u)) = (t, 0), whose solution is (t, function(t)).
    """
    # The differentiation of the solution requires that both parts depend on t and are used. XLA
    # removes the sums, which are empty.
    first, second = jax.lax.custom_linear_solve(
        lambda pair: (pair[0], pair[1] - function(pair[0])),
        (t, _zeros(t, out)),
        lambda _, pair: (pair[0], pair[1] + function(pair[0])),
        lambda _, pair: (pair[0] + transpose(pair[1]), pair[1]),
    )
    value: Array = second + _zeros(first, out)
    return value


def _zeros(t: Array, out: Array) -> Array:
    return jnp.broadcast_to(t.ravel()[:0].sum(), out.shape)
