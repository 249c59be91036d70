"""Floating-point operations of a traced program, with the iterations of its scans."""

from __future__ import annotations

import math
from typing import Any

import jax

_FREE = {"broadcast_in_dim", "reshape", "transpose", "squeeze", "slice", "concatenate", "copy",
         "convert_element_type", "iota", "gather", "dynamic_slice", "dynamic_update_slice",
         "stop_gradient", "select_n", "pad", "rev", "split", "bitcast_convert_type", "psum",
         "expand_dims", "unstack", "stack", "pvary", "platform_index", "copy_p"}  # fmt: skip


def count_flops(jaxpr: Any, platform: str = "tpu") -> float:
    """Returns the floating-point operations of a traced program.

    A matrix product of (n, k) by (k, m) has 2 n k m operations, and other operations one per
    result (reductions: one per input). The body of a scan counts once per iteration. The body of
    a `while` loop, such as the loop over training steps, counts once, and of a conditional only
    the most expensive branch.

    Args:
        jaxpr: `jax.make_jaxpr(f)(...)`, or `.jaxpr` of `jax.jit(f).trace(...)`.
        platform: platform for which `jax.lax.platform_dependent` selects.

    Example:
        >>> import jax.numpy as jnp
        >>> count_flops(jax.make_jaxpr(lambda x, w: jnp.sin(x @ w))(jnp.ones((8, 4)), jnp.ones(4)))
        72.0
    """
    jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
    return float(sum(_flops(eqn, platform) for eqn in jaxpr.eqns))


def _flops(eqn: Any, platform: str) -> float:
    name, params = eqn.primitive.name, eqn.params
    if name == "dot_general":
        contracted, _ = params["dimension_numbers"][0]
        shape = eqn.invars[0].aval.shape
        terms = math.prod(shape[axis] for axis in contracted)
        return float(2 * eqn.outvars[0].aval.size * terms)
    if name == "cond":
        branches = params["branches"]
        if (platforms := params.get("branches_platforms")) is not None:
            names: list[Any] = [*platforms]
            at = next((i for i, p in enumerate(names) if p and platform in p), None)
            at = names.index(None) if at is None else at
            return count_flops(branches[at], platform)
        return max(count_flops(branch, platform) for branch in branches)
    if name == "while":
        return count_flops(params["body_jaxpr"], platform)
    if name == "scan":
        return float(params["length"]) * count_flops(params["jaxpr"], platform)
    if name == "custom_linear_solve":  # the solution, without the check of the system
        return count_flops(params["jaxprs"].solve, platform)
    if name == "permute_columns":  # a product with a one-hot matrix on a TPU
        x = eqn.invars[0].aval
        return float(2 * x.size * x.shape[-1]) if platform == "tpu" else 0.0
    if name == "triangular_solve":
        return float(eqn.outvars[0].aval.size * eqn.invars[0].aval.shape[-1])
    if "shard_map" in name:  # its shapes are those of one device
        return float(params["mesh"].size) * count_flops(params["jaxpr"], platform)
    inner = [params[k] for k in ("jaxpr", "call_jaxpr", "fun_jaxpr") if k in params]
    if inner and hasattr(getattr(inner[0], "jaxpr", inner[0]), "eqns"):
        return count_flops(inner[0], platform)
    if name in _FREE or not eqn.outvars:
        return 0.0
    if name.startswith(("reduce_", "cum", "arg")):
        return float(eqn.invars[0].aval.size)
    return float(sum(_size(v.aval) for v in eqn.outvars))


def _size(aval: Any) -> int:
    floats = jax.numpy.issubdtype(getattr(aval, "dtype", int), jax.numpy.floating)
    return int(aval.size) if floats else 0
