"""Removal of the mean and of the leading components, as flows with the density of a Gaussian."""

from __future__ import annotations

import jax.numpy as jnp

from flowjax.bijectors import Moments
from flowjax.bijectors import all_but_the_top as top_bijector
from flowjax.bijectors import standardize as standardize_bijector
from flowjax.bijectors import whitening as whitening_bijector
from flowjax.bijectors.top import noise_of_top, without_top
from flowjax.bijectors.whitening import Shrinkage, freeze
from flowjax.errors import check_integer
from flowjax.flows.choices import BaseName
from flowjax.flows.gaussian import (
    gaussian_flow,
)
from flowjax.flows.latents import scaled, through, unit_whitening
from flowjax.flows.recipe import recipe
from flowjax.types import FROZEN, Base, Flow, Params


@recipe
def center(
    dim: int,
    *,
    shrinkage: Shrinkage = 0.0,
    moments: Moments | None = None,
    base: BaseName | Base = "normal",
) -> Flow:
    """Returns the removal of the mean as a flow, `z = x - mean`, in closed form at `init`.

    The base density is the Gaussian with the covariance of the data, so `log_prob` equals that of
    `whitening`.

    Args:
        dim: dimension of the data vectors.
        shrinkage: shrinkage of the covariance, see `whitening`.
        moments: moments of the data; None means the moments of the batch given to `init`.
        base: density of the whitened vectors: "normal", "student_t" or a `Base`.

    Returns:
        A `Flow` whose parameters are all frozen.

    Raises:
        FlowjaxError: An option is out of range.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> flow, x = center(2), jnp.array([[1.0, 5.0], [3.0, 6.0]])
        >>> flow.forward(flow.init(jax.random.key(0), x), x)[0].tolist()
        [[-1.0, -0.5], [1.0, 0.5]]
    """

    def divide(whole: Params) -> tuple[Params, Params]:
        arrays = whole[FROZEN]
        mean, zeros = arrays["mean"], jnp.zeros_like
        first = {"mean": mean, "log_std": zeros(mean)}
        return freeze(first, mean.dtype), freeze(arrays | {"mean": zeros(mean)}, mean.dtype)

    return gaussian_flow(
        "center",
        dim,
        standardize_bijector()._replace(layers=("center",)),
        lambda found: whitening_bijector(shrinkage=shrinkage, moments=found),
        base,
        divide,
        lambda density: through(
            unit_whitening(), density, f"{density.line}, with the covariance of the data"
        ),
        moments=moments,
        possible=shrinkage != "ledoit_wolf",
    )


@recipe
def all_but_the_top(
    dim: int,
    *,
    components: int | None = None,
    shrinkage: Shrinkage = 0.0,
    moments: Moments | None = None,
    base: BaseName | Base = "normal",
) -> Flow:
    """Returns all-but-the-top as a flow: it removes the mean and the leading principal components.

    `forward` returns the coordinates of the other principal axes, shape (n, dim - components). The
    cosines of these coordinates equal those of the published method, which returns vectors of
    dimension `dim` and rank dim - components. `log_prob` includes the removed coordinates and
    equals that of `whitening`; samples include noise in the removed coordinates.

    Args:
        dim: dimension of the data vectors, at least 2.
        components: number of leading components to remove, less than `dim`; None means dim / 100
            as in the paper, at least 1.
        shrinkage: shrinkage of the covariance, see `whitening`.
        moments: moments of the data; None means the moments of the batch given to `init`.
        base: density of the whitened vectors: "normal", "student_t" or a `Base`.

    Returns:
        A `Flow` whose parameters are all frozen. See `bijectors.all_but_the_top` for the details.

    Raises:
        FlowjaxError: An option is out of range.

    References:
        All-but-the-top, https://arxiv.org/abs/1702.01417.

    Example:
        >>> import jax
        >>> flow = all_but_the_top(5, components=2)
        >>> x = jax.random.normal(jax.random.key(0), (20, 5))
        >>> params = flow.init(jax.random.key(1), x)
        >>> flow.forward(params, x)[0].shape, flow.sample(params, jax.random.key(2), 4).shape
        ((20, 3), (4, 5))
    """
    check_integer("dim", dim, 2)
    removed = max(1, dim // 100) if components is None else components
    check_integer("components", removed, 1, dim - 1)
    return gaussian_flow(
        "all_but_the_top",
        dim,
        top_bijector(components=removed, moments=moments),
        lambda found: whitening_bijector(shrinkage=shrinkage, moments=found),
        base,
        lambda whole: without_top(whole, removed),
        scaled,
        moments=moments,
        possible=shrinkage != "ledoit_wolf",
        latent_dim=dim - removed,
        noise=noise_of_top,
    )
