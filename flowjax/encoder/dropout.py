"""Dropout whose masks are fast to compile and to draw on a TPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

Array = jax.Array


class Dropout(nn.Dropout):
    """`nn.Dropout` that draws the mask with the generator of the hardware on a TPU.

    Other platforms draw the mask of `nn.Dropout`. XLA copies JAX's default generator, Threefry,
    into each operation that reads a mask; for BERT on a TPU, these copies took most of the time of
    the compilation (see `benchmarks/pretrain.md`, "Compilation for a TPU").
    """

    @nn.compact
    def __call__(self, inputs: Array, deterministic: bool | None = None, rng: Any = None) -> Array:
        """Returns the inputs, of which a fraction `rate` is 0, divided by `1 - rate`.

        Args:
            inputs: array of any shape.
            deterministic: True returns the inputs.
            rng: JAX key; None means the next key of the collection "dropout".
        """
        off = nn.merge_param("deterministic", self.deterministic, deterministic)
        if self.rate == 0 or off:
            return inputs
        keep = 1.0 - self.rate
        key = self.make_rng(self.rng_collection) if rng is None else rng
        mask = keep_mask(key, keep, inputs.shape)
        return jax.lax.select(mask, inputs / keep, jnp.zeros_like(inputs))


def keep_mask(key: Array, keep: float, shape: Sequence[int]) -> Array:
    """Returns a random mask, bool, of a shape.

    Args:
        key: JAX key.
        keep: probability of True.
        shape: shape of the mask.

    Example:
        >>> mask = keep_mask(jax.random.key(0), 0.9, (100, 100))
        >>> bool((mask == jax.random.bernoulli(jax.random.key(0), 0.9, (100, 100))).all())
        True
    """
    shape = tuple(shape)

    def drawn(key: Array) -> Array:
        return jax.random.bernoulli(key, keep, shape)

    def drawn_by_hardware(key: Array) -> Array:
        data = jnp.resize(jax.random.key_data(key), (4,))  # Threefry has two words
        return drawn(jax.random.wrap_key_data(data, impl="rbg"))

    mask: Array = jax.lax.platform_dependent(key, tpu=drawn_by_hardware, default=drawn)
    return mask
