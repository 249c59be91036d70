"""Passes over all rows of a source, and what a fit begins and ends with because of them.

Each process does its share, and all get the whole's numbers: what they found is put together in
their order, so that all have the same bits. With one process a share is everything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowjax.bijectors.moments import Moments, merge, moments_of
from flowjax.data.arrays import ArraySource, bounds
from flowjax.parallel import processes
from flowjax.types import Flow, Params, PRNGKey

# Rows of a block.
ROWS = 8192
# Data-dependent parts (actnorm; whitening in memory) are set from at most this many numbers of the
# data: of those on the devices, and of those that are read as they are needed.
INIT_NUMBERS = 1 << 26
STREAMED_INIT_NUMBERS = 1 << 22


def moments_of_rows(source: ArraySource, rows: int = ROWS) -> Moments:
    """Mean and covariance of all rows of a source, in blocks of `rows`.

    Example:
        >>> moments_of_rows(ArraySource(np.array([[1.0], [3.0]]))).mean.tolist()
        [2.0]
    """
    return _together(moments_of(source.blocks(rows, processes.shard()), source.dim))


def moments_of_latents(flow: Flow, params: Params, source: ArraySource) -> Moments:
    """Mean and covariance of the latents of all rows of a source.

    Example:
        >>> from flowjax import flows
        >>> flow, x = flows.standardize(1), np.array([[1.0], [5.0]])
        >>> found = moments_of_latents(flow, flow.init(jax.random.key(0), x), ArraySource(x))
        >>> found.count, found.m2.tolist()
        (2, [[2.0]])
    """
    forward = jax.jit(lambda x, c: flow.forward(params, x, c)[0])
    latents = (np.asarray(forward(b["x"], b.get("context"))) for b in _share(source))
    return _together(moments_of(latents, flow.latent_dim or flow.dim))


def mean_nll(mean_log_prob: Callable[..., Any], params: Params, source: ArraySource) -> float:
    """Mean negative log-likelihood of all rows of a source, in nats.

    Args:
        mean_log_prob: `mean_log_prob(params, x, context) -> ()`, the mean over the rows of `x`.
        params: of the flow.
        source: the rows.

    Example:
        >>> from flowjax import flows
        >>> flow, x = flows.standardize(1), np.array([[1.0], [3.0]])
        >>> mean = lambda params, x, context: flow.log_prob(params, x, context).mean()
        >>> round(mean_nll(mean, flow.init(jax.random.key(0), x), ArraySource(x)), 4)
        1.4189
    """
    total = 0.0
    for rows in _share(source):
        log_prob = mean_log_prob(params, rows["x"], rows.get("context"))
        total -= float(log_prob) * len(rows["x"])
    return float(sum(processes.gather_arrays(np.array(total)))) / source.size


def init_params(flow: Flow, key: PRNGKey, source: ArraySource) -> Params:
    """Returns a flow's first params, from all rows where they are few, else from spread-out ones.

    Data that is not on the devices: closed forms (whitening, standardizing) take the moments of
    all rows, in one pass that the processes share; what is trained on from there (actnorm) takes
    the spread-out rows, which are few and which every process reads.

    Args:
        flow: any.
        key: of the params.
        source: of rows as wide as the flow.

    Returns:
        The params.

    Raises:
        FlowjaxError: what `flow.init` finds wrong.

    Example:
        >>> from flowjax import flows
        >>> source = ArraySource(np.array([[1.0], [5.0]]), resident=False)
        >>> params = init_params(flows.standardize(1), jax.random.key(0), source)
        >>> params["bijector"]["frozen"]["mean"].tolist()
        [3.0]
    """
    streamed = source.resident is None
    if streamed and flow.from_moments is not None:
        flow = flow.from_moments(moments_of_rows(source))
    numbers = STREAMED_INIT_NUMBERS if streamed else INIT_NUMBERS
    stride = max(1, math.ceil(source.size * source.dim / numbers))
    rows = source.take(np.arange(0, source.size, stride))
    first = {name: jnp.asarray(values) for name, values in rows.items()}
    if "context" in first:
        return flow.init(key, first["x"], first["context"])
    return flow.init(key, first["x"])


def finish_params(flow: Flow, params: Params, source: ArraySource) -> Params:
    """Returns params with what a flow sets in closed form after training, if anything.

    Args:
        flow: any; `glow` whitens its latents.
        params: trained.
        source: the rows, which are passed over once.

    Returns:
        The params, as NumPy arrays where something was set.

    Example:
        >>> from flowjax import flows
        >>> flow, x = flows.glow(2, depth=1, width=4), np.array([[1.0, 1], [2, 2], [3, 1]])
        >>> params = finish_params(flow, flow.init(jax.random.key(0), x), ArraySource(x))
        >>> sorted(params)
        ['base', 'bijector', 'latents']
    """
    if flow.finish is None:
        return params
    found = moments_of_latents(flow, params, source)
    return jax.tree.map(np.asarray, flow.finish(params, found))


def _share(source: ArraySource) -> Iterator[dict[str, np.ndarray]]:
    """This process's share of the rows, a block at a time."""
    start, stop = bounds(source.size, processes.shard())
    for at in range(start, stop, ROWS):
        yield source.take(np.arange(at, min(at + ROWS, stop)))


def _together(mine: Moments) -> Moments:
    """The moments of all processes' rows."""
    whole = reduce(merge, processes.gather_arrays(mine))
    return whole._replace(count=int(whole.count))
