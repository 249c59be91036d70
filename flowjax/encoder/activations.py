"""Activations of BERT by their names in Hugging Face's configs."""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import numpy as np

Array = jax.Array


def gelu(x: Array) -> Array:
    """Returns `x * Phi(x)`, where Phi is the distribution function of the standard normal.

    On a TPU the function is computed from `erf`. The formula of Flax has `erfc`, which XLA expands
    to two branches and copies into both neighbouring matrix products, so that a layer of BERT took
    a multiple of the time to compile (see `benchmarks/pretrain.md`, "Compilation for a TPU").

    Args:
        x: array of any shape.

    Returns:
        An array of the shape and the dtype of `x`. The forms differ by rounding only.

    References:
        https://arxiv.org/abs/1606.08415

    Example:
        >>> import jax.numpy as jnp
        >>> [round(y, 4) for y in gelu(jnp.array([-1.0, 0.0, 1.0])).tolist()]
        [-0.1587, 0.0, 0.8413]
    """
    value: Array = jax.lax.platform_dependent(x, tpu=gelu_by_erf, default=_gelu_by_erfc)
    return value


def gelu_by_erf(x: Array) -> Array:
    """Returns `gelu(x)`, computed from `erf`; see `gelu`."""
    half = np.sqrt(0.5).astype(x.dtype)
    value: Array = 0.5 * x * (1 + jax.lax.erf(x * half))
    return value


def _gelu_by_erfc(x: Array) -> Array:
    return nn.gelu(x, approximate=False)


def _gelu_by_tanh(x: Array) -> Array:
    return nn.gelu(x, approximate=True)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": gelu,
    "gelu_new": _gelu_by_tanh,
    "gelu_pytorch_tanh": _gelu_by_tanh,
    "relu": nn.relu,
}
