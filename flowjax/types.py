"""The two shapes of the library, `Bijector` and `Flow`: NamedTuples of pure functions.

**Orientation, stated once for the whole library: forward is data -> latent.** `forward(params, x)`
takes data `x` to the latent `z` and returns `log_det = log |det dz/dx|`; `inverse` takes `z` back
to data and returns `log |det dx/dz|`, which is minus the forward one at the same point. Hence

    log p(x) = log base(z) + log_det,    (z, log_det) = forward(params, x)          [nats]

zuko, nflows and Glow's paper run the same way; distrax and TFP run the other way.

Arrays are `(n, dim)`; every function but `init` also takes a single row `(dim,)` or more leading
axes, and log_det then has the leading axes' shape. `log_det` and `log_prob` are float32 at least,
and float64 where x64 is on. Params are plain pytrees of floating-point arrays, so that `jax.grad`
over all of them works; what training must leave alone lies under a dict key `"frozen"`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from flowjax.errors import FlowjaxError

__all__ = [
    "FROZEN",
    "Array",
    "Bijector",
    "Flow",
    "FlowjaxError",
    "InitFn",
    "PRNGKey",
    "Params",
    "TransformFn",
    "describe",
    "trainable_mask",
]

Array = jax.Array
PRNGKey = jax.Array
Params = Any  # a pytree (dicts, tuples, lists) of floating-point arrays

FROZEN = "frozen"


class InitFn(Protocol):
    """Signature of `init`, a pure function."""

    def __call__(self, key: PRNGKey, x: Array, /, context: Array | None = None) -> Params:
        """Returns initial parameters, a pytree of floating-point arrays.

        Args:
            key: JAX random key.
            x: first batch, shape (n, dim); actnorm and whitening compute their parameters from it.
            context: conditioning vectors, shape (n, width), or None.
        """
        ...


class TransformFn(Protocol):
    """Signature of `forward` and `inverse`."""

    def __call__(
        self, params: Params, x: Array, /, context: Array | None = None
    ) -> tuple[Array, Array]:
        """Returns the transformed vectors, shape (..., output dim), and log_det, shape (...).

        Args:
            params: parameters as returned by `init`.
            x: input vectors, shape (..., dim).
            context: conditioning vectors, shape (..., width) or (width,), or None.
        """
        ...


def _no_constants(dim: int) -> tuple[np.ndarray, ...]:
    return ()


def _same_dim(dim: int) -> int:
    return dim


class Bijector(NamedTuple):
    """Invertible transformation with its log-determinant; forward is data -> latent.

    Attributes:
        init: `init(key, x, context=None) -> params`. Pure.
        forward: `forward(params, x, context=None) -> (z, log_det)`.
        inverse: `inverse(params, z, context=None) -> (x, log_det)`.
        layers: lines of the printed summary, one per layer.
        output_dim: `output_dim(dim) -> int`, the size of a latent for data of size `dim`.
        constants: `constants(dim) -> arrays`, the integer arrays that the bijector draws from
            NumPy's generator for data of size `dim` (permutations and signs). NumPy may change
            its random streams between versions, so a saved flow stores or hashes them.
    """

    init: InitFn
    forward: TransformFn
    inverse: TransformFn
    layers: tuple[str, ...] = ()
    output_dim: Callable[[int], int] = _same_dim
    constants: Callable[[int], tuple[np.ndarray, ...]] = _no_constants


class Flow(NamedTuple):
    """A bijector with a base density: a distribution over vectors of size `dim`.

    Attributes:
        init: `init(key, x, context=None) -> params`.
        forward: `forward(params, x, context=None) -> (z, log_det)`.
        inverse: `inverse(params, z, context=None) -> (x, log_det)`.
        log_prob: `log_prob(params, x, context=None) -> (n,)`, in nats.
        sample: `sample(params, key, n, context=None) -> (n, dim)`.
        dim: size of a data vector.
        sample_and_log_prob: as `sample`, with the samples' log_prob `(n,)` beside them.
        latent_dim: size of a latent; less than `dim` only where a whitening drops components.
        name: the recipe's name.
        layers: one line of text per layer.
        log_parts: `log_parts(params, x, context=None) -> (log_base, log_det)`, the two terms of
            log_prob, `(n,)` each.
        from_moments: `from_moments(moments) -> Flow`, the same flow whose closed-form part is set
            from streamed moments in place of the batch given to `init`; None where it has none.
        finish: `finish(params, moments) -> params`, what is set in closed form once training is
            over, from the moments of the latents of all rows; None where nothing is.
    """

    init: Callable[..., Params]
    forward: Callable[..., tuple[Array, Array]]
    inverse: Callable[..., tuple[Array, Array]]
    log_prob: Callable[..., Array]
    sample: Callable[..., Array]
    dim: int
    sample_and_log_prob: Callable[..., tuple[Array, Array]] | None = None
    latent_dim: int | None = None
    name: str = "flow"
    layers: tuple[str, ...] = ()
    log_parts: Callable[..., tuple[Array, Array]] | None = None
    from_moments: Callable[..., Flow] | None = None
    finish: Callable[..., Params] | None = None

    def describe(self, params: Params = None) -> str:
        """Returns `describe(self, params)`, the printed layer list."""
        return describe(self, params)


def describe(flow: Flow, params: Params = None) -> str:
    """Returns the layers of a flow as text, data side first.

    Args:
        flow: the flow.
        params: its parameters; when given, their number is in the first line.

    Returns:
        Several lines: name and dim, then one line per layer, indented inside repeat and split.

    Example:
        >>> from flowjax import flows
        >>> print(flows.glow(8, levels=1, depth=2, width=4).describe())
        glow: dim 8
          repeat x2
            actnorm
            permutation(seed=0)
            additive_coupling(mlp(width=4, depth=2))
          whitening, set when fit ends
          base normal
    """
    head = f"{flow.name}: dim {flow.dim}"
    if flow.latent_dim is not None and flow.latent_dim != flow.dim:
        head += f" -> {flow.latent_dim}"
    if params is not None:
        total = sum(leaf.size for leaf in jax.tree.leaves(params))
        trained = sum(
            leaf.size
            for leaf, trains in zip(
                jax.tree.leaves(params), jax.tree.leaves(trainable_mask(params)), strict=True
            )
            if trains
        )
        head += f", {total:,} parameters, {trained:,} of them trained"
    lines = list(flow.layers)
    if flow.finish is not None:
        lines.insert(-1, "whitening, set when fit ends")
    return "\n".join([head, *("  " + line for line in lines)])


def trainable_mask(params: Params) -> Params:
    """Returns a pytree like `params` of bools: False for every leaf under a key `"frozen"`.

    Hand it to the optimizer (`optax.masked`, weight decay's `mask=`): gradients of frozen leaves
    are zero already, yet weight decay would move them.

    Args:
        params: any pytree of arrays.

    Returns:
        A pytree of the same structure with one bool per leaf.

    Example:
        >>> import jax.numpy as jnp
        >>> trainable_mask({"frozen": {"mean": jnp.zeros(3)}, "bias": jnp.zeros(3)})
        {'bias': True, 'frozen': {'mean': False}}
    """

    def trains(path: tuple[Any, ...], _: Any) -> bool:
        return not any(getattr(entry, "key", None) == FROZEN for entry in path)

    return jax.tree_util.tree_map_with_path(trains, params)
