"""Cross-entropy over a large vocabulary, with its gradient written down.

Differentiated by jax, picking the target's logit is a scatter into an array as large as the
logits, and bfloat16 products meet transposed operands, for which XLA's CPU backend has no fast
kernel. Here the gradient `softmax - one_hot` is one pass, and both products are plain.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

Array = jax.Array


@jax.custom_vjp
def cross_entropy(x: Array, table: Array, bias: Array, targets: Array) -> tuple[Array, Array]:
    """Scores the tokens `targets` under the logits `x @ table.T + bias`.

    Args:
        x: `(batch, m, width)`; its dtype is that of the products, the rest is float32.
        table: `(vocab, width)` float32.
        bias: `(vocab,)` float32.
        targets: `(batch, m)` integers.

    Returns:
        `(nll, right)`, each `(batch, m)`: nats, and whether the target has the largest logit.

    Example:
        >>> x, table, targets = jnp.zeros((1, 2, 3)), jnp.ones((4, 3)), jnp.array([[1, 2]])
        >>> nll, right = cross_entropy(x, table, jnp.zeros(4), targets)
        >>> bool(jnp.allclose(nll, jnp.log(4.0))), right.shape
        (True, (1, 2))
    """
    return _forward(x, table, bias, targets)[0]


def _hot(table: Array, targets: Array) -> Array:
    return jax.lax.broadcasted_iota(jnp.int32, (1, 1, len(table)), 2) == targets[..., None]


def _forward(
    x: Array, table: Array, bias: Array, targets: Array
) -> tuple[tuple[Array, Array], tuple[Array, ...]]:
    raw = jnp.matmul(x, table.astype(x.dtype).T, preferred_element_type=jnp.float32)
    logits = raw + bias[None, None]
    top = logits.max(-1)
    log_sum = top + jnp.log(jnp.exp(logits - top[..., None]).sum(-1))
    target = jnp.where(_hot(table, targets), logits, 0.0).sum(-1)
    return (log_sum - target, target >= top), (x, table, bias, targets, raw, log_sum)


def _backward(
    saved: tuple[Array, ...], grads: tuple[Array, Array]
) -> tuple[Array, Array, Array, None]:
    x, table, bias, targets, raw, log_sum = saved
    softmax = jnp.exp(raw + bias[None, None] - log_sum[..., None])
    wide = (softmax - _hot(table, targets)) * grads[0][..., None]
    narrow = wide.astype(x.dtype)
    to_x = jnp.einsum("bmv,vd->bmd", narrow, table.astype(x.dtype))
    to_table = jnp.einsum("bmv,bmd->vd", narrow, x, preferred_element_type=table.dtype)
    return to_x, to_table, wide.sum((0, 1)), None


cross_entropy.defvjp(_forward, _backward)
