"""Bijectors made of bijectors: one after the other, the same one n times, the other way round."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from flowjax.bijectors.common import alike, as_float, check_batch, constant_log_det, init_part
from flowjax.bijectors.permutation import identity
from flowjax.types import Array, Bijector, FlowjaxError, Params, PRNGKey

# Up to here a repeat is laid out in full. In bare JAX on two CPU cores that ran 15 to 20 % faster
# than a scan for wide layers and level for narrow ones; beyond it, compile time decides.
UNROLL_UP_TO = 8

# From so many numbers a turn on, turns laid out in full keep their parameters apart: taking them
# out of a stack and stacking their gradients costs a step of the wide RealNVP 2 to 10 %. Narrow
# ones stay stacked, where a step called from Python would wait for the many small arrays.
APART_FROM = 1 << 18


class Apart(NamedTuple):
    """Parameters of a repeat that are not stacked: one entry per turn."""

    turns: tuple[Params, ...]


def chain(*bijectors: Bijector) -> Bijector:
    """Returns the bijectors one after the other, the first one nearest to the data.

    Args:
        *bijectors: any number; none is the identity.

    Returns:
        A bijector whose params are a tuple, one entry per part, and whose log_det is their sum.

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

    def forward(params: Params, x: Array, context: Array | None = None) -> tuple[Array, Array]:
        x = as_float(x)
        log_det = None
        for part, p in zip(bijectors, params, strict=True):
            x, change = part.forward(p, x, context)
            log_det = change if log_det is None else log_det + change
        return x, constant_log_det(x) if log_det is None else log_det

    def inverse(params: Params, z: Array, context: Array | None = None) -> tuple[Array, Array]:
        z = as_float(z)
        log_det = None
        for part, p in zip(reversed(bijectors), reversed(params), strict=True):
            z, change = part.inverse(p, z, context)
            log_det = change if log_det is None else log_det + change
        return z, constant_log_det(z) if log_det is None else log_det

    return Bijector(init, forward, inverse, tuple(t for b in bijectors for t in b.layers))


def stacked(params: Params) -> Params:
    """Returns params with a leading axis of turns in place of every `Apart` among them."""

    def stack(node: Any) -> Any:
        if not isinstance(node, Apart):
            return node
        return jax.tree.map(lambda *turns: jnp.stack(turns), *map(stacked, node.turns))

    return jax.tree.map(stack, params, is_leaf=lambda node: isinstance(node, Apart))


def repeat(
    bijector: Bijector, n: int, *, unroll: int | None = None, checkpoint: bool = False
) -> Bijector:
    """Returns `n` turns of one bijector, each with parameters of its own, laid out or scanned.

    Compile time does not grow with `n` once the turns are scanned. What is fixed in the bijector
    (a permutation) is the same in every turn.

    Args:
        bijector: the turn; dim -> dim.
        n: how many turns, at least 1.
        unroll: turns laid out per scan step; `n` or more lays out all of them, None does that
            up to n = 8 and scans one by one above.
        checkpoint: recompute a turn's inside in the backward pass (`jax.checkpoint`): less
            memory, more time.

    Returns:
        A bijector whose params have a leading axis of size `n`; or, where all turns are laid out
        and each has 2^18 numbers or more, an `Apart` of one entry per turn. Both run either way.

    Raises:
        FlowjaxError: n or unroll is not a positive integer.

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
    turns = unroll if unroll is not None else (n if n <= UNROLL_UP_TO else 1)

    def init(key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        def turn(x: Array, key: PRNGKey) -> tuple[Array, Params]:
            params = stacked(init_part(bijector, key, x, context))
            return bijector.forward(params, x, context)[0], params

        # checked here: outside of jit the numbers can be seen now, but not inside of the scan
        x = check_batch("x", x)
        _, params = jax.lax.scan(turn, alike(x, key, context), jax.random.split(key, n))
        numbers = sum(leaf.size for leaf in jax.tree.leaves(params))
        if turns >= n and numbers >= n * APART_FROM:
            return Apart(taken_apart(params))
        return params

    def taken_apart(params: Params) -> tuple[Params, ...]:
        # unstacked once: indexing the stack in a loop would make every gradient a scatter
        leaves, structure = jax.tree.flatten(params)
        each = zip(*(jnp.unstack(leaf) for leaf in leaves), strict=True) if leaves else [()] * n
        return tuple(jax.tree.unflatten(structure, leaf) for leaf in each)

    def run(
        step: Any, params: Params, x: Array, context: Array | None, backwards: bool
    ) -> tuple[Array, Array]:
        x = as_float(x)
        x = x.astype(jnp.result_type(x, *jax.tree.leaves(params)))

        def turn(x: Array, p: Params) -> tuple[Array, Array]:
            return step(p, x, context)

        if checkpoint:
            turn = jax.checkpoint(turn)
        if turns < n:
            x, params = alike(x, params, context), stacked(params)
            x, log_dets = jax.lax.scan(turn, x, params, n, reverse=backwards, unroll=turns)
            return x, log_dets.sum(axis=0)
        layers = params.turns if isinstance(params, Apart) else taken_apart(params)
        log_det = None
        for p in reversed(layers) if backwards else layers:
            x, change = turn(x, p)
            log_det = change if log_det is None else log_det + change
        return x, constant_log_det(x) if log_det is None else log_det

    def forward(params: Params, x: Array, context: Array | None = None) -> tuple[Array, Array]:
        return run(bijector.forward, params, x, context, backwards=False)

    def inverse(params: Params, z: Array, context: Array | None = None) -> tuple[Array, Array]:
        return run(bijector.inverse, params, z, context, backwards=True)

    lines = (f"repeat x{n}", *("  " + line for line in bijector.layers))
    return Bijector(init, forward, inverse, lines)


def invert(bijector: Bijector) -> Bijector:
    """Returns the bijector the other way round: its forward is the given one's inverse.

    `init` is handed data as ever, which the inner bijector then sees as if it were latents; a
    data-dependent part inside sets itself on that.

    Args:
        bijector: any bijector.

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
    return Bijector(bijector.init, bijector.inverse, bijector.forward, lines)
