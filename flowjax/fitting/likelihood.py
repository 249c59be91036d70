"""Likelihood of a fitted flow and of a Gaussian on the same examples."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowjax import flows
from flowjax.data.arrays import ArraySource, selected
from flowjax.fitting.losses import weighted_mean
from flowjax.fitting.passes import finish_params, latents_of, mean_nll, moments_of_rows
from flowjax.types import Array, Flow, Params

# Largest number of examples of a source on which the likelihood is measured after a fit.
MEASURED = 100_000
# Largest number of training examples from which a validation computes the whitening of the
# latents, so that a validation costs little compared with the steps before it.
FINISHED_ON = 16_384
# Largest dimension for which the likelihood of a Gaussian is measured; its cost grows with dim^3.
GAUSSIAN_DIM = 4096


def few_of(source: ArraySource, limit: int) -> ArraySource:
    """Returns a source of at most `limit` equally spaced examples, or the source itself.

    Example:
        >>> few_of(ArraySource(np.arange(10.0)[:, None]), 4).rows[:, 0].tolist()
        [0.0, 3.0, 6.0, 9.0]
    """
    if source.size <= limit:
        return source
    return selected(source, source.spaced(math.ceil(source.size / limit)))


def finished_nll(flow: Flow, train: ArraySource, held: ArraySource) -> Callable[[Params], float]:
    """Returns the validation loss of `fit`: the mean held-out NLL of the finished flow.

    For a flow whose latents are whitened after the training, such as `glow`, the loss includes a
    whitening computed from at most `FINISHED_ON` training examples.

    Args:
        flow: flow that is fitted.
        train: source of the training examples.
        held: source of the held-out examples.

    Returns:
        Function from trained parameters of `trained_part(flow)` to the NLL in nats per example.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
        >>> flow, source = flows.glow(2, depth=1, width=8), ArraySource(x)
        >>> inner = flow.closed_form.inner
        >>> nll = finished_nll(flow, source, source)(inner.init(jax.random.key(0), x))
        >>> params = finish_params(flow, inner.init(jax.random.key(0), x), source)
        >>> bool(abs(nll + flow.log_prob(params, x).mean()) < 1e-4)
        True
    """
    few, latents, mean = few_of(train, FINISHED_ON), latents_of(flow), _mean_log_prob(flow)
    return lambda params: mean_nll(mean, finish_params(flow, params, few, latents), held)


def measure(
    flow: Flow, params: Params, train: ArraySource, held: ArraySource | None = None
) -> dict[str, float]:
    """Returns the mean negative log-likelihood (NLL) of a fitted flow and of a Gaussian.

    The Gaussian is the density of `flows.whitening` with `shrinkage="likelihood"`: it has the mean
    and the shrunk covariance of the training examples. Without the shrinkage, the covariance of
    few examples would be a poor density of held-out examples, and any flow would seem better.

    Both densities are measured on the same examples: on all examples of a source, or on `MEASURED`
    equally spaced examples of a larger source.

    Args:
        flow: fitted flow.
        params: parameters from `fit`.
        train: source of the training examples.
        held: source of the held-out examples, or None.

    Returns:
        Dict with the training examples' `examples` (their number), `measured_examples` (the
        number of examples measured), `nll_nats` (per example), `bits_per_dim`,
        `gaussian_nll_nats` and `gaussian_bits_per_dim`; and the same keys with the prefix
        `validation_` for the held-out examples. The entries of the Gaussian are absent if the
        dimension is larger than `GAUSSIAN_DIM`.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
        >>> flow = flows.whitening(2, shrinkage="likelihood")
        >>> found = measure(flow, flow.init(jax.random.key(0), x), ArraySource(x))
        >>> found["examples"], abs(found["nll_nats"] - found["gaussian_nll_nats"]) < 1e-5
        (50, True)
    """
    few = few_of(train, MEASURED)
    densities = {"": (_mean_log_prob(flow), params)}
    if flow.dim <= GAUSSIAN_DIM:
        moments = moments_of_rows(few)
        gaussian = flows.whitening(flow.dim, shrinkage="likelihood", moments=moments)
        first = jnp.asarray(few.take(np.zeros(1, np.int64))["x"])
        start = gaussian.init(jax.random.key(0), first)
        densities["gaussian_"] = _mean_log_prob(gaussian, conditional=False), start
    found: dict[str, float] = {}
    for prefix, source in (("", train), ("validation_", held)):
        if source is None:
            continue
        rows = few if source is train else few_of(source, MEASURED)
        found |= {f"{prefix}examples": source.size, f"{prefix}measured_examples": rows.size}
        for name, (mean, its) in densities.items():
            nll = mean_nll(mean, its, rows)
            found[f"{prefix}{name}nll_nats"] = nll
            found[f"{prefix}{name}bits_per_dim"] = nll / (math.log(2) * flow.dim)
    return found


def _mean_log_prob(flow: Flow, *, conditional: bool = True) -> Callable[..., Any]:
    def mean(
        params: Params, x: Array, context: Array | None, weight: Array | None = None
    ) -> Array:
        given = context if conditional else None
        return weighted_mean(flow.log_prob(params, x, given), weight)

    return jax.jit(mean)
