"""Whitening as a flow, and Glow after a whitening."""

from __future__ import annotations

from typing import Any, Unpack

from flowjax.bijectors import Moments, chain
from flowjax.bijectors import whitening as whitening_bijector
from flowjax.bijectors.whitening import Shrinkage
from flowjax.errors import check_integer
from flowjax.flows.build import build
from flowjax.flows.choices import BaseName, GlowOptions, Power
from flowjax.flows.gaussian import (
    first_part,
    gaussian_flow,
    noise_of_dropped,
)
from flowjax.flows.glow import glow
from flowjax.flows.latents import divided, scaled, with_latent_power
from flowjax.flows.recipe import recipe
from flowjax.types import Base, Bijector, Flow


@recipe
def whitening(
    dim: int,
    *,
    components: int | None = None,
    power: float = 1.0,
    shrinkage: Shrinkage = 0.0,
    eigenvalue_floor: float = 1e-6,
    moments: Moments | None = None,
    base: BaseName | Base = "normal",
) -> Flow:
    """Returns PCA whitening as a flow: the maximum-likelihood Gaussian, in closed form at `init`.

    With `power` < 1, the latents keep a part of their variances, and the base density has these
    variances, so `log_prob` is the same for every power. With `components` < dim, the flow is
    probabilistic PCA: `forward` returns shape (n, components), `log_prob` is exact, and samples
    include noise in the dropped components.

    Args:
        dim: dimension of the data vectors.
        components: number of leading components to keep; None keeps all.
        power: exponent in [0, 1] of the standard deviations by which the principal axes are
            divided: 1 whitens, 0 only rotates the centred vectors.
        shrinkage: shrinkage of the covariance towards a multiple of the identity: a number in
            [0, 1], "likelihood", "auto" or "ledoit_wolf". Use a name if examples are fewer than
            dimensions.
        eigenvalue_floor: smallest eigenvalue of the correlation matrix, relative to its largest
            eigenvalue.
        moments: moments of the data; None means the moments of the batch given to `init`.
        base: "normal", "student_t" or a `Base`.

    Returns:
        A `Flow` whose parameters are all frozen. See `bijectors.whitening` for the details.

    Raises:
        FlowjaxError: An option is out of range.

    References:
        BERT-whitening, https://arxiv.org/abs/2103.15316.

    Example:
        >>> import jax
        >>> flow, x = whitening(5, components=2), jax.random.normal(jax.random.key(0), (20, 5))
        >>> params = flow.init(jax.random.key(1), x)
        >>> flow.forward(params, x)[0].shape, flow.log_prob(params, x).shape
        ((20, 2), (20,))
    """
    kept = check_integer("components", dim if components is None else components, 1, dim)
    options: Any = {"components": components, "shrinkage": shrinkage}
    options["eigenvalue_floor"] = eigenvalue_floor
    part = whitening_bijector(power=power, moments=moments, **options)
    powers: Any = () if power == 1 else (lambda whole: divided(whole, power), scaled)
    return gaussian_flow(
        "whitening",
        dim,
        part,
        lambda found: whitening_bijector(moments=found, **options),
        base,
        *powers,
        moments=moments,
        possible=shrinkage != "ledoit_wolf",  # it needs the examples, not only their moments
        latent_dim=components,
        noise=noise_of_dropped(lambda params: params) if kept < dim else None,
    )


@recipe
def whitening_glow(
    dim: int,
    *,
    components: int | None = None,
    shrinkage: Shrinkage = 0.0,
    eigenvalue_floor: float = 1e-6,
    moments: Moments | None = None,
    latent_power: Power = None,
    **glow_options: Unpack[GlowOptions],
) -> Flow:
    """Returns a whitening followed by Glow; the initial density is the density of the whitening.

    The actnorms and couplings of this Glow start as the identity. The permutations (or the
    rotations of `permutation="lu"`) do not change the density of a normal base. Hence the initial
    log-likelihood of each example equals the log-likelihood under the whitening.

    Args:
        dim: dimension of the data vectors.
        components: number of leading components to keep; None keeps all.
        shrinkage: shrinkage of the covariance, see `whitening`.
        eigenvalue_floor: smallest eigenvalue of the correlation matrix, relative to its largest
            eigenvalue.
        moments: moments of the data; None means the moments of the batch given to `init`.
        latent_power: exponent of the final map of the latents, see `glow`; None has no such map.
        **glow_options: keyword arguments of `glow` except `init`.

    Returns:
        A `Flow`; the parameters of the whitening are frozen.

    Raises:
        FlowjaxError: An option is out of range.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> x = jax.random.normal(jax.random.key(0), (200, 4)) @ jnp.diag(jnp.arange(1.0, 5.0))
        >>> both, alone = whitening_glow(4, depth=1), whitening(4)
        >>> key = jax.random.key(1)
        >>> gap = both.log_prob(both.init(key, x), x) - alone.log_prob(alone.init(key, x), x)
        >>> bool(jnp.abs(gap).max() < 1e-3)
        True
    """
    latent = check_integer("components", dim if components is None else components, 2, dim)
    rest: Any = glow(latent, init="identity", latent_power=None, **glow_options)

    def part(moments: Moments | None) -> Bijector:
        return whitening_bijector(
            components=components,
            shrinkage=shrinkage,
            eigenvalue_floor=eigenvalue_floor,
            moments=moments,
        )

    noise = noise_of_dropped(lambda params: params[0]) if latent < dim else None
    flow = build(
        chain(part(moments), rest.bijector),
        dim,
        base=rest.base,
        name="whitening_glow",
        latent_dim=latent,
        noise=noise,
    )
    closed_form = first_part(
        dim,
        moments,
        part,
        lambda params, first: (first, *params[1:]),
        possible=shrinkage != "ledoit_wolf",
    )
    return with_latent_power(flow._replace(closed_form=closed_form), latent_power, noise)
