"""Passes over all rows of a source: each process does its share, and all get the whole's numbers.

What the processes found is put together in their order, so that all have the same bits. With one
process a share is everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any

import jax
import numpy as np

from flowjax import processes
from flowjax.bijectors.moments import Moments, merge, moments_of
from flowjax.data.arrays import ArraySource, bounds
from flowjax.types import Flow, Params

# Rows of a block.
ROWS = 8192


def moments_of_rows(source: ArraySource, rows: int = ROWS) -> Moments:
    """Mean and covariance of all rows of a source, in blocks of `rows`.

    Example:
        >>> moments_of_rows(ArraySource(np.array([[1.0], [3.0]]))).mean.tolist()
        [2.0]
    """
    return _together(moments_of(source.blocks(rows, processes.share()), source.dim))


def moments_of_latents(flow: Flow, params: Params, source: ArraySource) -> Moments:
    """Mean and covariance of the latents of all rows of a source."""
    forward = jax.jit(lambda x, c: flow.forward(params, x, c)[0])
    latents = (np.asarray(forward(b["x"], b.get("context"))) for b in _share(source))
    return _together(moments_of(latents, flow.latent_dim or flow.dim))


def mean_nll(mean_log_prob: Callable[..., Any], params: Params, source: ArraySource) -> float:
    """Mean negative log-likelihood of all rows of a source, in nats.

    Args:
        mean_log_prob: `mean_log_prob(params, x, context) -> ()`, the mean over the rows of `x`.
        params: of the flow.
        source: the rows.
    """
    total = 0.0
    for rows in _share(source):
        log_prob = mean_log_prob(params, rows["x"], rows.get("context"))
        total -= float(log_prob) * len(rows["x"])
    return float(sum(processes.gather_arrays(np.array(total)))) / source.size


def _share(source: ArraySource) -> Iterator[dict[str, np.ndarray]]:
    """This process's share of the rows, a block at a time."""
    start, stop = bounds(source.size, processes.share())
    for at in range(start, stop, ROWS):
        yield source.take(np.arange(at, min(at + ROWS, stop)))


def _together(mine: Moments) -> Moments:
    """The moments of all processes' rows."""
    whole = reduce(merge, processes.gather_arrays(mine))
    return whole._replace(count=int(whole.count))
