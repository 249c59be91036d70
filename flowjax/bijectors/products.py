"""Matrix products: those of conditioners, with a precision policy, and those in full precision."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
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
    out = _wide(x, kernel)
    # JAX's own gradient would multiply float32 by bfloat16.
    return out, _tangent(lambda a, b: _wide(_half(a), _half(b)), x, kernel, tangents, out)


_bfloat16_dot.defjvp(_bfloat16_dot_jvp, symbolic_zeros=True)


@jax.custom_jvp
def exact_dot(x: Array, kernel: Array) -> Array:
    """Returns `x @ kernel` of float32 arrays in full precision, on every device.

    XLA compiles one such product for a TPU in about a second (benchmarks/compiled.md). The six
    products of bfloat16 parts of which it consists compile in a fraction of this time.

    Example:
        >>> x = jnp.array([[1.0 + 2**-20, 2.0]])
        >>> float(exact_dot(x, jnp.array([[1.0], [-0.5]]))[0, 0]) == 2**-20
        True
    """
    full = partial(jnp.matmul, precision="highest")
    done: Array = jax.lax.platform_dependent(x, kernel, tpu=in_parts, default=full)
    return done


def _exact_dot_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    x, kernel = primals
    out = exact_dot(x, kernel)
    return out, _tangent(exact_dot, x, kernel, tangents, out)


exact_dot.defjvp(_exact_dot_jvp, symbolic_zeros=True)


def in_parts(x: Array, kernel: Array) -> Array:
    """Returns `x @ kernel` as the sum of six products of bfloat16 parts, small terms first."""
    # Without the barrier, the compiler computes the parts again inside of each product.
    a, b = (jax.lax.optimization_barrier(_parts(factor)) for factor in (x, kernel))
    pairs = ((2, 0), (0, 2), (1, 1), (1, 0), (0, 1), (0, 0))
    total: Array = sum(_wide(a[i], b[j]) for i, j in pairs)  # type: ignore[assignment]
    return total


def _parts(x: Array) -> tuple[Array, Array, Array]:
    """Returns three bfloat16 arrays whose sum is `x`."""
    # `reduce_precision` is not removed by the compiler, as a conversion and its inverse would be.
    first = jax.lax.reduce_precision(x, 8, 7)
    second = jax.lax.reduce_precision(x - first, 8, 7)
    return _half(first), _half(second), _half(x - first - second)


def _tangent(
    multiply: Callable[[Array, Array], Array], x: Array, kernel: Array, tangents: Any, out: Array
) -> Array:
    """Returns the tangent of a product, whose transpose also uses `multiply`."""
    dx, dkernel = tangents
    tangent = jnp.zeros_like(out)

    def kernel_transpose(ct: Array) -> Array:
        return multiply(x.reshape(-1, x.shape[-1]).T, ct.reshape(-1, ct.shape[-1]))

    if not isinstance(dx, SymbolicZero):
        tangent += _linear(
            lambda t: multiply(t, kernel), lambda ct: multiply(ct, kernel.T), dx, out
        )
    if not isinstance(dkernel, SymbolicZero):
        tangent += _linear(lambda t: multiply(x, t), kernel_transpose, dkernel, out)
    return tangent


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
