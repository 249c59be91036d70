"""Recipes that need no training: whitening and standardizing; and the flow that starts as one."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from flowjax.bijectors import Conditioner, Moments, chain, identity
from flowjax.bijectors import standardize as standardize_bijector
from flowjax.bijectors import whitening as whitening_bijector
from flowjax.bijectors.common import product
from flowjax.flows.base import Base
from flowjax.flows.build import build
from flowjax.flows.glow import glow_bijector
from flowjax.types import FROZEN, Array, Flow, Params, PRNGKey


def _dropped_noise(params: Params, key: PRNGKey, x: Array) -> Array:
    """Returns samples with the coordinates that a whitening dropped drawn from their density."""
    p = (params[0] if isinstance(params, tuple) else params)[FROZEN]
    e = jax.random.normal(key, x.shape, x.dtype) * jnp.exp(0.5 * p["log_noise"])
    return x + e - product(product(e, p["matrix"]), p["inverse"])


def _streamable(
    made: Callable[[Moments | None], Flow], moments: Moments | None, shrinkage: float | str = 0.0
) -> Flow:
    """Returns `made(moments)`, which can be made anew from moments found later, unless given."""
    flow = made(moments)
    if moments is not None or shrinkage == "ledoit_wolf":  # that one needs the rows themselves
        return flow
    return flow._replace(from_moments=made)


def whitening(
    dim: int,
    *,
    components: int | None = None,
    beta: float = 1.0,
    shrinkage: float | str = 0.0,
    eigenvalue_floor: float = 1e-6,
    moments: Moments | None = None,
    base: str | Base = "normal",
) -> Flow:
    """Returns PCA whitening as a flow: the maximum-likelihood Gaussian, closed form at `init`.

    With `components` < dim it is probabilistic PCA: `forward` gives (n, components), `log_prob`
    is exact, and samples have the dropped coordinates' noise put back.

    Args:
        dim: size of a data vector.
        components: leading coordinates to keep; None keeps all.
        beta: 1 whitens, 0 only rotates.
        shrinkage: a number in [0, 1], "auto" or "ledoit_wolf"; for fewer rows than dim.
        eigenvalue_floor: relative to the largest eigenvalue.
        moments: streamed moments to take in place of the batch given to `init`.
        base: "normal", "student_t" or a `Base`.

    Returns:
        A `Flow` whose parameters are all frozen. See `bijectors.whitening` for the details.

    Raises:
        FlowjaxError: an option out of range.

    References:
        BERT-whitening, https://arxiv.org/abs/2103.15316.

    Example:
        >>> import jax
        >>> flow, x = whitening(5, components=2), jax.random.normal(jax.random.key(0), (20, 5))
        >>> params = flow.init(jax.random.key(1), x)
        >>> flow.forward(params, x)[0].shape, flow.log_prob(params, x).shape
        ((20, 2), (20,))
    """
    drops = components is not None and components < dim

    def made(moments: Moments | None) -> Flow:
        bijector = whitening_bijector(
            components=components,
            beta=beta,
            shrinkage=shrinkage,
            eigenvalue_floor=eigenvalue_floor,
            moments=moments,
        )
        noise = _dropped_noise if drops else None
        return build(
            bijector, dim, base=base, name="whitening", latent_dim=components, noise=noise
        )

    return _streamable(made, moments, shrinkage)


def standardize(dim: int, *, moments: Moments | None = None, base: str | Base = "normal") -> Flow:
    """Returns each coordinate minus its mean over its standard deviation, closed form at `init`.

    Args:
        dim: size of a data vector.
        moments: streamed moments to take in place of the batch given to `init`.
        base: "normal", "student_t" or a `Base`.

    Returns:
        A `Flow` whose parameters are all frozen.

    Example:
        >>> import jax
        >>> flow, x = standardize(5), jax.random.normal(jax.random.key(0), (20, 5))
        >>> flow.log_prob(flow.init(jax.random.key(1), x), x).shape
        (20,)
    """

    def made(moments: Moments | None) -> Flow:
        return build(standardize_bijector(moments=moments), dim, base=base, name="standardize")

    return _streamable(made, moments)


def whitening_glow(
    dim: int,
    *,
    components: int | None = None,
    shrinkage: float | str = 0.0,
    eigenvalue_floor: float = 1e-6,
    moments: Moments | None = None,
    levels: int | None = None,
    depth: int = 3,
    width: int = 32,
    hidden_layers: int = 2,
    coupling: str = "additive",
    permutation: str = "random",
    mask: str = "half",
    conditional_split: bool = False,
    conditioner: Conditioner | None = None,
    base: str | Base = "normal",
    seed: int = 0,
    unroll: int | None = None,
    checkpoint: bool = False,
) -> Flow:
    """Returns whitening -> Glow: it starts as the whitening, and training can only add to that.

    The data are white when they reach Glow, whose actnorms and couplings start as the identity and
    whose fixed permutations (or, with "lu", rotations) leave the normal base's density as it is:
    at init the log-likelihood of any point is the whitening's own.

    Args:
        dim: size of a data vector.
        components: as in `whitening`.
        shrinkage: as in `whitening`.
        eigenvalue_floor: as in `whitening`.
        moments: as in `whitening`.
        levels: this and all that follow as in `glow`.
        depth: as in `glow`.
        width: as in `glow`.
        hidden_layers: as in `glow`.
        coupling: as in `glow`.
        permutation: as in `glow`.
        mask: as in `glow`.
        conditional_split: as in `glow`.
        conditioner: as in `glow`.
        base: as in `glow`.
        seed: as in `glow`.
        unroll: as in `glow`.
        checkpoint: as in `glow`.

    Returns:
        A `Flow`; the whitening's part of its parameters is frozen.

    Raises:
        FlowjaxError: an option out of range.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> x = jax.random.normal(jax.random.key(0), (200, 4)) @ jnp.diag(jnp.arange(1.0, 5.0))
        >>> both, alone = whitening_glow(4, depth=1), whitening(4)
        >>> key = jax.random.key(1)
        >>> gap = both.log_prob(both.init(key, x), x) - alone.log_prob(alone.init(key, x), x)
        >>> bool(jnp.abs(gap).max() < 1e-3)
        True
    """
    latent = dim if components is None else components
    second = glow_bijector(
        latent,
        levels=levels,
        depth=depth,
        width=width,
        hidden_layers=hidden_layers,
        coupling=coupling,
        permutation=permutation,
        mask=mask,
        conditional_split=conditional_split,
        conditioner=conditioner,
        seed=seed,
        unroll=unroll,
        checkpoint=checkpoint,
        init="identity",
    )
    noise = _dropped_noise if latent < dim else None

    def made(moments: Moments | None) -> Flow:
        first = whitening_bijector(
            components=components,
            shrinkage=shrinkage,
            eigenvalue_floor=eigenvalue_floor,
            moments=moments,
        )
        return build(
            chain(first, second),
            dim,
            base=base,
            name="whitening_glow",
            latent_dim=latent,
            noise=noise,
        )

    return _streamable(made, moments, shrinkage)


def none(dim: int, *, base: str | Base = "normal") -> Flow:
    """Returns the flow that leaves vectors as they are: plain pooled embeddings.

    Args:
        dim: size of a data vector.
        base: "normal", "student_t" or a `Base`.

    Returns:
        A `Flow` without parameters.

    Example:
        >>> import jax.numpy as jnp
        >>> flow, x = none(2), jnp.zeros((3, 2))
        >>> flow.forward({"bijector": {}, "base": {}}, x)[0].shape
        (3, 2)
    """
    return build(identity(), dim, base=base, name="none")
