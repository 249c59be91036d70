"""Composition of bijectors: `chain`, `repeat` and `invert`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial, reduce
from operator import add
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from flowjax.bijectors.common import alike, as_float, check_batch, check_bijector
from flowjax.bijectors.permutation import identity
from flowjax.errors import FlowjaxError, check_integer
from flowjax.types import Array, Bijector, Params, PRNGKey, TransformFn

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

    Raises:
        FlowjaxError: An argument is not a bijector.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from flowjax.bijectors import actnorm, reverse
        >>> both, x = chain(actnorm(), reverse()), jnp.array([[1.0, 2.0], [3.0, 6.0]])
        >>> both.forward(both.init(jax.random.key(0), x), x)[0].tolist()
        [[-1.0, -1.0], [1.0, 1.0]]
    """
    bijectors = tuple(check_bijector("chain", part) for part in bijectors)
    if not bijectors:
        return chain(identity())

    def init(backwards: bool, key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        params: dict[int, Params] = {}
        for i in range(len(bijectors))[:: -1 if backwards else 1]:
            part = invert(bijectors[i]) if backwards else bijectors[i]
            params[i] = part.init(jax.random.fold_in(key, i), x, context)
            if len(params) < len(bijectors):
                x, _ = part.forward(params[i], x, context)
        return tuple(params[i] for i in range(len(bijectors)))

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
    return Bijector(
        partial(init, False),
        forward,
        inverse,
        layers,
        output_dim,
        constants,
        init_inverse=partial(init, True),
    )


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
    bijector: Bijector | Callable[[Any], Bijector],
    n: int,
    *,
    unroll: int | None = None,
    checkpoint: bool = False,
) -> Bijector:
    """Returns the composition of `n` copies of a bijector, each with its own parameters.

    The copies are unrolled or run by `lax.scan`; compile time does not grow with `n` if they are
    scanned. All copies of a bijector share its fixed arrays, such as a permutation. Give a
    function `i -> bijector` to put another permutation into each copy: `permutation(index=i)`.

    Args:
        bijector: the bijector to repeat; its latents have the dimension of its data. Or a function
            `i -> bijector`, whose results have parameters of one structure; i is 0 to n - 1, an
            integer or, in `init` and in scanned copies, a traced integer.
        n: number of copies, at least 1.
        unroll: number of copies per scan step; `n` or more unrolls all copies. None means all
            copies if `n` is at most 8, else one copy per step.
        checkpoint: True recomputes the activations of each copy in the backward pass
            (`jax.checkpoint`), which needs less memory and more time.

    Returns:
        A bijector whose params are the params of all copies, stacked along a leading axis of size
        `n`.

    Raises:
        FlowjaxError: `n` or `unroll` is not a positive integer, or `bijector` is neither a
            bijector nor a function that returns bijectors.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from flowjax.bijectors import actnorm, permutation
        >>> x = jnp.array([[1.0, 2.0], [3.0, 6.0]])
        >>> repeat(actnorm(), 3).init(jax.random.key(0), x)["bias"].shape
        (3, 2)
        >>> layers = repeat(lambda i: chain(actnorm(), permutation(seed=1, index=i)), 12)
        >>> [order.shape for order in layers.constants(4)] == [(4,)] * 12
        True
    """
    n = check_integer("n", n, least=1)
    per_step = n if n <= UNROLL_UP_TO else 1
    if unroll is not None:
        per_step = check_integer("unroll", unroll, least=1)

    def copy(index: Any) -> Bijector:
        try:
            part = bijector if isinstance(bijector, Bijector) else bijector(index)
        except TypeError as error:
            if not isinstance(index, Tracer):
                raise
            expected = "a function of a traced integer, such as lambda i: permutation(index=i)"
            raise FlowjaxError(f"repeat: bijector: expected {expected}, got {error}") from error
        return check_bijector("repeat: bijector", part)

    if not takes_one(bijector):
        check_bijector("repeat: bijector", bijector)
    first = copy(0)

    def init(backwards: bool, key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        def init_copy(x: Array, at: tuple[PRNGKey, Any]) -> tuple[Array, Params]:
            key, index = at
            part = invert(copy(index)) if backwards else copy(index)
            params = part.init(key, x, context)
            return part.forward(params, x, context)[0], params

        x = check_batch("x", x)  # inside of the scan, x is traced and has no values to check
        keys = jax.random.split(key, n)
        if n == 1:  # a scan would take longer to compile
            return jax.tree.map(lambda leaf: leaf[None], init_copy(x, (keys[0], 0))[1])
        each = keys, jnp.arange(n)
        return jax.lax.scan(init_copy, alike(x, key, context), each, reverse=backwards)[1]

    def unstacked(params: Params) -> list[Params]:
        # The gradient of indexing in a loop would be a scatter; jnp.unstack avoids it.
        leaves, structure = jax.tree.flatten(params)
        copies = zip(*map(jnp.unstack, leaves), strict=True) if leaves else [()] * n
        return [jax.tree.unflatten(structure, copy) for copy in copies]

    def run(
        backwards: bool, params: Params, x: Array, context: Array | None = None
    ) -> tuple[Array, Array]:
        x = as_float(x)
        x = x.astype(jnp.result_type(x, *jax.tree.leaves(params)))

        def transform(index: Any) -> TransformFn:
            part = copy(index)
            function = part.inverse if backwards else part.forward
            return jax.checkpoint(function) if checkpoint else function

        if per_step >= n:
            each = [*zip(map(transform, range(n)), unstacked(params), strict=True)]
            transforms, copies = zip(*(each[::-1] if backwards else each), strict=True)
            return _run(transforms, copies, x, context)

        def step(x: Array, at: tuple[Params, Array]) -> tuple[Array, Array]:
            p, index = at
            return transform(index)(p, x, context)

        x, at = alike(x, params, context), (params, jnp.arange(n))
        x, log_dets = jax.lax.scan(step, x, at, n, reverse=backwards, unroll=per_step)
        return x, log_dets.sum(axis=0)

    def constants(dim: int) -> tuple[np.ndarray, ...]:
        if isinstance(bijector, Bijector):
            return bijector.constants(dim)
        return tuple(array for i in range(n) for array in copy(i).constants(dim))

    lines = (f"repeat x{n}", *("  " + line for line in first.layers))
    return Bijector(
        partial(init, False),
        partial(run, False),
        partial(run, True),
        lines,
        constants=constants,
        init_inverse=partial(init, True),
    )


def takes_one(function: Any) -> bool:
    """Returns True if `function` can be called with one positional argument."""
    try:
        return bool(inspect.signature(function).bind(0))
    except (TypeError, ValueError):
        return False


def invert(bijector: Bijector) -> Bijector:
    """Returns the inverse of a bijector: a bijector with forward and inverse exchanged.

    `init` computes the parameters of data-dependent layers, such as actnorm and whitening, so that
    the inverse of these layers maps the given data to standardized latents. A bijector without
    `init_inverse` is initialised by its `init`.

    Args:
        bijector: any bijector whose latents have the dimension of its data.

    Returns:
        A bijector with the same parameters.

    Raises:
        FlowjaxError: The argument is not a bijector.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowjax.bijectors import actnorm
        >>> params = {"bias": jnp.array([1.0]), "log_scale": jnp.array([0.0])}
        >>> invert(actnorm()).forward(params, jnp.array([[3.0]]))[0].tolist()
        [[2.0]]
    """
    bijector = check_bijector("invert", bijector)
    lines = ("invert", *("  " + line for line in bijector.layers))
    return bijector._replace(
        init=bijector.init_inverse or bijector.init,
        forward=bijector.inverse,
        inverse=bijector.forward,
        layers=lines,
        init_inverse=bijector.init,
    )
