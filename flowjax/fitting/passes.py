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

from flowjax.bijectors.moments import Moments, merge, weighted_moments
from flowjax.data.arrays import ArraySource, bounds
from flowjax.fitting.outliers import (
    EXAMPLES,
    Range,
    robust_range,
    warn_of_constants,
    warn_of_outliers,
)
from flowjax.parallel import processes
from flowjax.types import Flow, Params, PRNGKey, trainable_mask

# Function `(params, x, context) -> z`.
Latents = Callable[..., Any]
# Examples per block.
ROWS = 8192
# Largest size (rows x columns) of the array that `flow.init` gets, for a resident source and for
# any other source.
INIT_NUMBERS = 1 << 26
STREAMED_INIT_NUMBERS = 1 << 22


def moments_of_rows(source: ArraySource, rows: int = ROWS, within: Range | None = None) -> Moments:
    """Returns the moments of all examples of a source, read in blocks of `rows` examples.

    Args:
        source: source of the examples.
        rows: number of examples per block.
        within: range of the examples to include; None includes all.

    Example:
        >>> moments_of_rows(ArraySource(np.array([[1.0], [3.0]]))).mean.tolist()
        [2.0]
    """
    blocks: Any = ((block, None) for block in source.blocks(rows, processes.shard()))
    if source.weights is not None:
        blocks = ((block["x"], block["weight"]) for block in _share(source))

    def kept(block: Any, weight: Any) -> tuple[Any, Any]:
        if within is None:
            return block, weight
        inside = ~within.outside(block).any(axis=1)
        return block[inside], None if weight is None else weight[inside]

    return _together(weighted_moments((kept(*block) for block in blocks), source.dim))


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

    Examples with outliers (see `outliers.robust_range`) are left out.

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
    within = robust_range(source.take(source.spaced(-(-source.size // EXAMPLES)))["x"])

    def kept(b: dict[str, np.ndarray]) -> tuple[Any, Any]:
        z, weight = np.asarray(call(params, b["x"], b.get("context"))), b.get("weight")
        inside = ~within.outside(b["x"]).any(axis=1)
        return z[inside], None if weight is None else weight[inside]

    inner = trained_part(flow)
    return _together(
        weighted_moments((kept(b) for b in _share(source)), inner.latent_dim or inner.dim)
    )


def mean_nll(mean_log_prob: Callable[..., Any], params: Params, source: ArraySource) -> float:
    """Returns the mean negative log-likelihood of a source, in nats per example.

    Args:
        mean_log_prob: `mean_log_prob(params, x, context) -> ()`, the mean over a batch `x`. If the
            examples have weights, it gets the weights of the batch as a fourth argument.
        params: parameters of the flow.
        source: source of the examples.

    Example:
        >>> from flowjax import flows
        >>> flow, x = flows.standardize(1), np.array([[1.0], [3.0]])
        >>> mean = lambda params, x, context: flow.log_prob(params, x, context).mean()
        >>> round(mean_nll(mean, flow.init(jax.random.key(0), x), ArraySource(x)), 4)
        1.4189
    """
    total = np.zeros(2)
    for rows in _share(source):
        weights = [rows["weight"]] if "weight" in rows else []
        log_prob = mean_log_prob(params, rows["x"], rows.get("context"), *weights)
        n = len(rows["x"])
        total += -float(log_prob) * n, float(weights[0].sum()) if weights else n
    nll, count = np.sum(processes.gather_arrays(total), axis=0)
    return float(nll / count)


def init_params(flow: Flow, key: PRNGKey, source: ArraySource) -> Params:
    """Returns the initial parameters of a flow.

    `flow.init` gets all examples if they are few, otherwise equally spaced examples of the source.
    If the source is not resident on the devices or has weights, a closed form that comes first
    (whitening, standardization) is computed from the moments of all examples. If the examples have
    weights, `flow.init` gets each example as often as its weight requires.

    Examples with outliers (see `outliers.robust_range`) are left out, unless the flow has no
    trainable parameters. One warning names the first outlier, another one the columns that do not
    vary.

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
    numbered = _first_rows(source, math.ceil(source.size * source.dim / numbers))
    rows = source.take(numbered)
    closed_first = flow.closed_form is not None and flow.closed_form.inner is None

    def start(rows: dict[str, np.ndarray]) -> Params:
        first = {name: jnp.asarray(values) for name, values in rows.items()}
        if "context" in first:
            return flow.init(key, first["x"], first["context"])
        return flow.init(key, first["x"])

    trains = not closed_first or any(jax.tree.leaves(trainable_mask(jax.eval_shape(start, rows))))
    within = robust_range(rows["x"])
    far = within.outside(rows["x"])
    kept = ~far.any(axis=1)
    warn_of_outliers(rows["x"], far, numbered, left_out=trains)
    if trains and not kept.all():
        rows = {name: values[kept] for name, values in rows.items()}
    params = start(rows)
    if jax.tree.leaves(params):
        warn_of_constants(rows["x"])
    if (streamed or source.weights is not None) and closed_first and flow.closed_form is not None:
        params = flow.closed_form.set(
            params, moments_of_rows(source, within=within if trains else None)
        )
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


def _first_rows(source: ArraySource, stride: int) -> np.ndarray:
    """Returns the numbers of the examples for `flow.init`: about one of `stride` examples.

    With weights, an example of weight w is drawn w times on average (systematic sampling).
    """
    stride = max(1, stride)
    if source.weights is None:
        return source.spaced(stride)
    steps = np.cumsum(source.weights)
    places = np.arange(stride / 2, source.size, stride) * (steps[-1] / source.size)
    last = np.flatnonzero(source.weights)[-1]
    rows: np.ndarray = np.minimum(np.searchsorted(steps, places), last)
    return rows


def _share(source: ArraySource) -> Iterator[dict[str, np.ndarray]]:
    """Yields the examples in the shard of this process, in blocks."""
    start, stop = bounds(source.size, processes.shard())
    for at in range(start, stop, ROWS):
        yield source.take(np.arange(at, min(at + ROWS, stop)))


def _together(mine: Moments) -> Moments:
    """Returns the moments of the whole source, given the moments of the shard of this process."""
    whole = reduce(merge, processes.gather_arrays(mine))
    count = max(1, round(float(whole.count)))  # weights have a mean of 1
    return Moments(count, whole.mean, whole.m2 * (count / float(whole.count)))
