"""Composition of bijectors: `chain`, `repeat` and `invert`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce
from operator import add

import jax
import jax.numpy as jnp
import numpy as np

from flowjax.bijectors.common import alike, as_float, check_batch, init_part
from flowjax.bijectors.permutation import identity
from flowjax.types import Array, Bijector, FlowjaxError, Params, PRNGKey, TransformFn

# Deeper repeats are scanned, because the compile time of unrolled layers grows with their number.
# benchmarks/flows.md compares the step times.
UNROLL_UP_TO = 8


def chain(*bijectors: Bijector) -> Bijector:
    """Returns the composition of bijectors; the first bijector is applied to the data first.

    Args:
        *bijectors: any number of bijectors; without arguments, the result is the identity.

    Returns:
        A bijector whose params are a tuple with one entry per bijector. Its log_det is the sum of
        the log_dets of the bijectors.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from flowjax.bijectors import actnorm, reverse
        >>> both, x = chain(actnorm(), reverse()), jnp.array([[1.0, 2.0], [3.0, 6.0]])
        >>> both.forward(both.init(jax.random.key(0), x), x)[0].tolist()
        [[-1.0, -1.0], [1.0, 1.0]]
    """
    if not bijectors:
        return chain(identity())

    def init(key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        params = []
        for i, part in enumerate(bijectors):
            params.append(init_part(part, jax.random.fold_in(key, i), x, context))
            if i + 1 < len(bijectors):
                x, _ = part.forward(params[-1], x, context)
        return tuple(params)

    def inverse(params: Params, z: Array, context: Array | None = None) -> tuple[Array, Array]:
        return _run([part.inverse for part in bijectors[::-1]], params[::-1], z, context)

    def output_dim(dim: int) -> int:
        for part in bijectors:
            dim = part.output_dim(dim)
        return dim

    def constants(dim: int) -> tuple[np.ndarray, ...]:
        found: list[np.ndarray] = []
        for part in bijectors:
            found += part.constants(dim)
            dim = part.output_dim(dim)
        return tuple(found)

    layers = tuple(line for part in bijectors for line in part.layers)
    forward = partial(_run, [part.forward for part in bijectors])
    return Bijector(init, forward, inverse, layers, output_dim, constants)


def _run(
    transforms: Sequence[TransformFn], params: Params, x: Array, context: Array | None = None
) -> tuple[Array, Array]:
    """Applies transforms one after the other; returns the result and the sum of the log_dets."""
    x = as_float(x)
    log_dets = []
    for transform, p in zip(transforms, params, strict=True):
        x, log_det = transform(p, x, context)
        log_dets.append(log_det)
    return x, reduce(add, log_dets)


def repeat(
    bijector: Bijector, n: int, *, unroll: int | None = None, checkpoint: bool = False
) -> Bijector:
    """Returns the composition of `n` copies of a bijector, each with its own parameters.

    The copies are unrolled or run by `lax.scan`; compile time does not grow with `n` if they are
    scanned. All copies share the fixed arrays of the bijector, such as a permutation.

    Args:
        bijector: the bijector to repeat; its latents have the dimension of its data.
        n: number of copies, at least 1.
        unroll: number of copies per scan step; `n` or more unrolls all copies. None means all
            copies if `n` is at most 8, else one copy per step.
        checkpoint: True recomputes the activations of each copy in the backward pass
            (`jax.checkpoint`), which needs less memory and more time.

    Returns:
        A bijector whose params are the params of all copies, stacked along a leading axis of size
        `n`.

    Raises:
        FlowjaxError: `n` or `unroll` is not a positive integer.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from flowjax.bijectors import actnorm
        >>> x = jnp.array([[1.0, 2.0], [3.0, 6.0]])
        >>> repeat(actnorm(), 3).init(jax.random.key(0), x)["bias"].shape
        (3, 2)
    """
    for label, value in (("n", n), ("unroll", 1 if unroll is None else unroll)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise FlowjaxError(f"repeat: expected a positive integer {label}, got {value!r}")
    per_step = unroll or (n if n <= UNROLL_UP_TO else 1)

    def init(key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        def init_copy(x: Array, key: PRNGKey) -> tuple[Array, Params]:
            params = init_part(bijector, key, x, context)
            return bijector.forward(params, x, context)[0], params

        x = check_batch("x", x)  # inside of the scan, x is traced and has no values to check
        return jax.lax.scan(init_copy, alike(x, key, context), jax.random.split(key, n))[1]

    def unstacked(params: Params) -> list[Params]:
        # The gradient of indexing in a loop would be a scatter; jnp.unstack avoids it.
        leaves, structure = jax.tree.flatten(params)
        copies = zip(*map(jnp.unstack, leaves), strict=True) if leaves else [()] * n
        return [jax.tree.unflatten(structure, copy) for copy in copies]

    def run(
        backwards: bool, params: Params, x: Array, context: Array | None = None
    ) -> tuple[Array, Array]:
        transform = bijector.inverse if backwards else bijector.forward
        x = as_float(x)
        x = x.astype(jnp.result_type(x, *jax.tree.leaves(params)))
        if checkpoint:
            transform = jax.checkpoint(transform)
        if per_step >= n:
            copies = unstacked(params)
            return _run([transform] * n, copies[::-1] if backwards else copies, x, context)

        def step(x: Array, p: Params) -> tuple[Array, Array]:
            return transform(p, x, context)

        x = alike(x, params, context)
        x, log_dets = jax.lax.scan(step, x, params, n, reverse=backwards, unroll=per_step)
        return x, log_dets.sum(axis=0)

    lines = (f"repeat x{n}", *("  " + line for line in bijector.layers))
    constants = bijector.constants
    return Bijector(init, partial(run, False), partial(run, True), lines, constants=constants)


def invert(bijector: Bijector) -> Bijector:
    """Returns the inverse of a bijector: a bijector with forward and inverse exchanged.

    `init` passes the data to the `init` of the given bijector. Data-dependent layers therefore
    compute their parameters from data, although `forward` passes latents to these layers.

    Args:
        bijector: any bijector whose latents have the dimension of its data.

    Returns:
        A bijector with the same parameters.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowjax.bijectors import actnorm
        >>> params = {"bias": jnp.array([1.0]), "log_scale": jnp.array([0.0])}
        >>> invert(actnorm()).forward(params, jnp.array([[3.0]]))[0].tolist()
        [[2.0]]
    """
    lines = ("invert", *("  " + line for line in bijector.layers))
    return bijector._replace(forward=bijector.inverse, inverse=bijector.forward, layers=lines)
