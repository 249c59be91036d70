"""Passes over all examples of a source: moments, likelihood, and closed-form parameters.

Each process reads its shard of the examples. The partial results are combined in the order of the
processes, so that the results of all processes are bitwise equal.
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

# Function `(params, x, context) -> z`.
Latents = Callable[..., Any]
# Examples per block.
ROWS = 8192
# Largest size (rows x columns) of the array that `flow.init` gets, for a resident source and for
# any other source.
INIT_NUMBERS = 1 << 26
STREAMED_INIT_NUMBERS = 1 << 22


def moments_of_rows(source: ArraySource, rows: int = ROWS) -> Moments:
    """Returns the moments of all examples of a source, read in blocks of `rows` examples.

    Example:
        >>> moments_of_rows(ArraySource(np.array([[1.0], [3.0]]))).mean.tolist()
        [2.0]
    """
    return _together(moments_of(source.blocks(rows, processes.shard()), source.dim))


def latents_of(flow: Flow) -> Latents:
    """Returns the compiled function `(params, x, context) -> z` of `trained_part(flow)`.

    Example:
        >>> from flowjax import flows
        >>> flow, x = flows.standardize(1), np.array([[1.0], [5.0]])
        >>> latents_of(flow)(flow.init(jax.random.key(0), x), x, None).tolist()
        [[-1.0], [1.0]]
    """
    inner = trained_part(flow)
    return jax.jit(lambda params, x, context: inner.forward(params, x, context)[0])


def moments_of_latents(
    flow: Flow, params: Params, source: ArraySource, latents: Latents | None = None
) -> Moments:
    """Returns the moments of the latents of all examples of a source, before any final whitening.

    Args:
        flow: any flow.
        params: trained parameters of `trained_part(flow)`.
        source: source of the examples.
        latents: result of `latents_of(flow)`; None compiles it.

    Example:
        >>> from flowjax import flows
        >>> flow, x = flows.standardize(1), np.array([[1.0], [5.0]])
        >>> found = moments_of_latents(flow, flow.init(jax.random.key(0), x), ArraySource(x))
        >>> found.count, found.m2.tolist()
        (2, [[2.0]])
    """
    call = latents or latents_of(flow)
    blocks = (np.asarray(call(params, b["x"], b.get("context"))) for b in _share(source))
    inner = trained_part(flow)
    return _together(moments_of(blocks, inner.latent_dim or inner.dim))


def mean_nll(mean_log_prob: Callable[..., Any], params: Params, source: ArraySource) -> float:
    """Returns the mean negative log-likelihood of a source, in nats per example.

    Args:
        mean_log_prob: `mean_log_prob(params, x, context) -> ()`, the mean over a batch `x`.
        params: parameters of the flow.
        source: source of the examples.

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
    """Returns the initial parameters of a flow.

    `flow.init` gets all examples if they are few, otherwise equally spaced examples of the source.
    If the source is not resident on the devices, a closed form that comes first (whitening,
    standardization) is computed from the moments of all examples.

    Args:
        flow: any flow.
        key: JAX random key.
        source: source of the examples, with the dim of the flow.

    Raises:
        FlowjaxError: `flow.init` failed.

    Example:
        >>> from flowjax import flows
        >>> source = ArraySource(np.array([[1.0], [5.0]]), resident=False)
        >>> params = init_params(flows.standardize(1), jax.random.key(0), source)
        >>> params["bijector"]["frozen"]["mean"].tolist()
        [3.0]
    """
    streamed = source.resident is None
    numbers = STREAMED_INIT_NUMBERS if streamed else INIT_NUMBERS
    stride = max(1, math.ceil(source.size * source.dim / numbers))
    rows = source.take(np.arange(0, source.size, stride))
    first = {name: jnp.asarray(values) for name, values in rows.items()}
    if "context" in first:
        params = flow.init(key, first["x"], first["context"])
    else:
        params = flow.init(key, first["x"])
    if streamed and flow.closed_form is not None and flow.closed_form.inner is None:
        params = flow.closed_form.set(params, moments_of_rows(source))
    return params


def trained_part(flow: Flow) -> Flow:
    """Returns the flow that `fit` trains: `flow`, or the flow in front of its closed form.

    Example:
        >>> from flowjax import flows
        >>> flow = flows.glow(2)
        >>> len(flow.layers) - len(trained_part(flow).layers)
        1
    """
    inner = None if flow.closed_form is None else flow.closed_form.inner
    return flow if inner is None else inner


def finish_params(
    flow: Flow, params: Params, source: ArraySource, latents: Latents | None = None
) -> Params:
    """Returns the parameters of a flow, given the trained parameters of `trained_part(flow)`.

    If the flow has a closed form that comes last, such as the whitening of the latents of `glow`,
    the function computes the closed form in a pass over the source.

    Args:
        flow: any flow.
        params: trained parameters of `trained_part(flow)`.
        source: source of the examples.
        latents: result of `latents_of(flow)`; None compiles it.

    Example:
        >>> from flowjax import flows
        >>> flow, source = flows.glow(2), ArraySource(np.array([[1.0, 1], [2, 2], [3, 1]]))
        >>> trained = init_params(trained_part(flow), jax.random.key(0), source)
        >>> params = finish_params(flow, trained, source)
        >>> start = flow.init(jax.random.key(0), source.rows)
        >>> jax.tree.structure(params) == jax.tree.structure(start)
        True
    """
    inner = trained_part(flow)
    if flow.closed_form is None or inner is flow:
        return params
    found = moments_of_latents(flow, params, source, latents)
    return jax.tree.map(np.asarray, flow.closed_form.set(params, found))


def _share(source: ArraySource) -> Iterator[dict[str, np.ndarray]]:
    """Yields the examples in the shard of this process, in blocks."""
    start, stop = bounds(source.size, processes.shard())
    for at in range(start, stop, ROWS):
        yield source.take(np.arange(at, min(at + ROWS, stop)))


def _together(mine: Moments) -> Moments:
    """Returns the moments of the whole source, given the moments of the shard of this process."""
    whole = reduce(merge, processes.gather_arrays(mine))
    return whole._replace(count=int(whole.count))
