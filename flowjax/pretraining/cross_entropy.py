"""Cross-entropy over a large vocabulary with a hand-written gradient.

Automatic differentiation scatters the gradient of the target logit into an array as large as the
logits, and multiplies transposed bfloat16 operands, for which XLA's CPU backend has no fast
kernel. The hand-written gradient `softmax - one_hot` avoids both (see `benchmarks/pretrain.md`).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

Array = jax.Array


@jax.custom_vjp
def cross_entropy(x: Array, table: Array, bias: Array, targets: Array) -> tuple[Array, Array]:
    """Returns the cross-entropy of `targets` under the logits `x @ table.T + bias`.

    Args:
        x: hidden states, shape `(batch, m, width)`. Their dtype is the dtype of the matrix
            products; all other computations are float32.
        table: output embeddings, shape `(vocab, width)`, float32.
        bias: output bias, shape `(vocab,)`, float32.
        targets: token ids, shape `(batch, m)`, integers.

    Returns:
        `(nll, right)`, shape `(batch, m)` each: the negative log-likelihood in nats, and True
        where the target has the largest logit.

    Example:
        >>> x, table, targets = jnp.zeros((1, 2, 3)), jnp.ones((4, 3)), jnp.array([[1, 2]])
        >>> nll, right = cross_entropy(x, table, jnp.zeros(4), targets)
        >>> bool(jnp.allclose(nll, jnp.log(4.0))), right.shape
        (True, (1, 2))
    """
    return _forward(x, table, bias, targets)[0]


def _one_hot(table: Array, targets: Array) -> Array:
    return jax.lax.broadcasted_iota(jnp.int32, (1, 1, len(table)), 2) == targets[..., None]


def _forward(
    x: Array, table: Array, bias: Array, targets: Array
) -> tuple[tuple[Array, Array], tuple[Array, ...]]:
    raw = jnp.matmul(x, table.astype(x.dtype).T, preferred_element_type=jnp.float32)
    logits = raw + bias[None, None]
    top = logits.max(-1)
    log_sum = top + jnp.log(jnp.exp(logits - top[..., None]).sum(-1))
    target = jnp.where(_one_hot(table, targets), logits, 0.0).sum(-1)
    return (log_sum - target, target >= top), (x, table, bias, targets, raw, log_sum)


def _backward(
    saved: tuple[Array, ...], grads: tuple[Array, Array]
) -> tuple[Array, Array, Array, None]:
    x, table, bias, targets, raw, log_sum = saved
    softmax = jnp.exp(raw + bias[None, None] - log_sum[..., None])
    to_logits = (softmax - _one_hot(table, targets)) * grads[0][..., None]
    narrow = to_logits.astype(x.dtype)
    to_x = jnp.einsum("bmv,vd->bmd", narrow, table.astype(x.dtype))
    to_table = jnp.einsum("bmv,bmd->vd", narrow, x, preferred_element_type=table.dtype)
    return to_x, to_table, to_logits.sum((0, 1)), None


cross_entropy.defvjp(_forward, _backward)
