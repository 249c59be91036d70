"""Standardization and the identity as flows."""

from __future__ import annotations

from flowjax.bijectors import Moments
from flowjax.bijectors import identity as identity_bijector
from flowjax.bijectors import standardize as standardize_bijector
from flowjax.bijectors import whitening as whitening_bijector
from flowjax.flows.base import base_from
from flowjax.flows.build import build
from flowjax.flows.choices import BaseName
from flowjax.flows.gaussian import (
    first_part,
    gaussian_flow,
    uses_context,
)
from flowjax.flows.latents import through, unit_whitening
from flowjax.flows.recipe import recipe
from flowjax.types import Base, Bijector, Flow


@recipe
def standardize(
    dim: int, *, moments: Moments | None = None, base: BaseName | Base = "normal"
) -> Flow:
    """Returns the flow (x - mean) / standard deviation per coordinate, in closed form at `init`.

    Args:
        dim: dimension of the data vectors.
        moments: moments of the data; None means the moments of the batch given to `init`.
        base: "normal", "student_t" or a `Base`.

    Returns:
        A `Flow` whose parameters are all frozen.

    Example:
        >>> import jax
        >>> flow, x = standardize(5), jax.random.normal(jax.random.key(0), (20, 5))
        >>> flow.log_prob(flow.init(jax.random.key(1), x), x).shape
        (20,)
    """

    def part(moments: Moments | None) -> Bijector:
        return standardize_bijector(moments=moments)

    used = uses_context(base)
    flow = build(part(moments), dim, base=base, name="standardize", uses_context=used)
    return flow._replace(closed_form=first_part(dim, moments, part))


@recipe
def identity(
    dim: int,
    *,
    gaussian: bool = False,
    moments: Moments | None = None,
    base: BaseName | Base = "normal",
) -> Flow:
    """Returns the identity flow, which keeps the plain pooled embeddings.

    Args:
        dim: dimension of the data vectors.
        gaussian: True makes the base density of the flow the Gaussian with the mean and the
            covariance of the data, so `log_prob` equals that of `whitening` with shrinkage "auto".
            False keeps the base density as it is, and the flow has no parameters.
        moments: moments of the data for `gaussian`; None means the moments of the batch given to
            `init`.
        base: "normal", "student_t" or a `Base`; density of the whitened vectors for `gaussian`.

    Returns:
        A `Flow` without trainable parameters.

    Example:
        >>> import jax.numpy as jnp
        >>> flow, x = identity(2), jnp.zeros((3, 2))
        >>> flow.forward({"bijector": {}, "base": {}}, x)[0].shape
        (3, 2)
    """
    if not gaussian:
        used = uses_context(base)
        return build(identity_bijector(), dim, base=base, name="identity", uses_context=used)
    density = base_from(base)
    return gaussian_flow(
        "identity",
        dim,
        identity_bijector(),
        lambda found: whitening_bijector(shrinkage="auto", moments=found),
        through(unit_whitening(), density, f"{density.line}, with the moments of the data"),
        lambda whole: ({}, whole),
        moments=moments,
        possible=True,
    )
