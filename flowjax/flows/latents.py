"""Affine map of the latents of a trained flow, and base densities that it divides a Gaussian with.

A whitening of the latents h has two factors: `z = (h - c) U diag(sd^-power)`, which the flow
applies, and a standardization of z, which belongs to the base density. The likelihood is the same
for every power, so the power is a free choice of coordinates for cosine similarity.
"""

from __future__ import annotations

from typing import Any, Final

import jax.numpy as jnp

from flowjax.bijectors import chain, standardize, whitening
from flowjax.bijectors.common import params_dtype, product
from flowjax.bijectors.moments import Moments
from flowjax.bijectors.whitening import freeze, rescaled, whitening_from_moments
from flowjax.errors import check_number
from flowjax.flows.base import NORMAL
from flowjax.flows.build import Noise, build
from flowjax.flows.choices import Power
from flowjax.types import FROZEN, Array, Base, Bijector, ClosedForm, Flow, Params, PRNGKey

# benchmarks/latents.md compares the held-out likelihood of the shrinkages.
SHRINKAGE: Final = "likelihood"


def through(bijector: Bijector, base: Base, line: str) -> Base:
    """Returns the density of latents whose image under a frozen bijector follows another base.

    Args:
        bijector: bijector from the latents to the coordinates of `base`.
        base: density of the transformed latents.
        line: description of the density in the summary of a flow.

    Example:
        >>> import jax
        >>> density = through(standardize(), NORMAL, "base normal, scaled")
        >>> params = density.init(jax.random.key(0), jax.ShapeDtypeStruct((5, 2), "float32"))
        >>> round(float(density.log_prob(params, jnp.zeros((5, 2)))[0]), 4)
        -1.8379
    """

    def init(key: PRNGKey, z: Any, context: Array | None = None) -> Params:
        one = jnp.zeros((1, z.shape[-1]), z.dtype)  # a standardization of it is the identity
        return {"base": base.init(key, z, context), "bijector": bijector.init(key, one)}

    def log_prob(params: Params, z: Array, context: Array | None = None) -> Array:
        u, log_det = bijector.forward(params["bijector"], z)
        return base.log_prob(params["base"], u, context) + log_det

    def sample(
        params: Params,
        key: PRNGKey,
        shape: tuple[int, ...],
        dtype: Any,
        context: Array | None = None,
    ) -> Array:
        u = base.sample(params["base"], key, shape, dtype, context)
        return bijector.inverse(params["bijector"], u)[0]

    return Base(init, log_prob, sample, line)


def scaled(base: Base) -> Base:
    """Returns a base density with a frozen mean and standard deviation for each coordinate."""
    return through(standardize(), base, f"{base.line}, scaled to the remaining variances")


def unit_whitening() -> Bijector:
    """Returns a whitening that `init` sets to the identity."""

    def identity(key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        dim = x.shape[-1]
        # Two arrays: a training step that donates its state refuses one array given twice.
        matrices = {"matrix": jnp.eye(dim), "inverse": jnp.eye(dim)}
        return freeze({"mean": jnp.zeros(dim), "log_det": 0.0, **matrices}, x.dtype)

    return whitening()._replace(init=identity)


def divided(whole: Params, power: float, *, centre: float = 1.0) -> tuple[Params, Params]:
    """Divides a whitening between a flow and its base density.

    Args:
        whole: params of a whitening of power 1.
        power: exponent of the standard deviations in the flow.
        centre: fraction of the mean that the flow subtracts.

    Returns:
        Params of the whitening in the flow, and params of the standardization in the base.
    """
    arrays = whole[FROZEN]
    changed, log_std = rescaled(jnp, arrays, power)
    mean = (1 - centre) * product(arrays["mean"], changed["matrix"])
    first = freeze(changed | {"mean": centre * arrays["mean"]}, arrays["mean"].dtype)
    return first, freeze({"mean": mean, "log_std": log_std}, mean.dtype)


def joined(first: Params, rest: Params | None) -> Params:
    """Returns the params of a whitening of power 1, the inverse of `divided`.

    Args:
        first: params of the whitening in the flow.
        rest: params of the standardization in the base, or None for a whitening of power 1.
    """
    if rest is None:
        return first
    p, (mean, log_std) = first[FROZEN], (rest[FROZEN][k] for k in ("mean", "log_std"))
    changed = {
        "mean": p["mean"] + product(mean, p["inverse"]),
        "matrix": p["matrix"] * jnp.exp(-log_std),
        "inverse": p["inverse"] * jnp.exp(log_std)[:, None],
        "log_det": p["log_det"] - log_std.sum(),
    }
    return freeze(p | changed, p["mean"].dtype)


def with_latent_power(flow: Flow, power: Power, noise: Noise | None = None) -> Flow:
    """Returns the flow followed by a frozen affine map of its latents, which `fit` computes.

    The map is `z = (h - power * mean) U diag(sd^-power)`, with the mean, the principal axes U and
    the standard deviations sd of the latents h of all training examples. The base is the normal
    that `z` has if h is normal, so `log_prob` is the same for every power. It is the largest
    likelihood that an affine map of the latents can have. Power 0 is a rotation, which keeps all
    cosines; power 1 whitens. Before the end of `fit`, the map is the identity.

    Args:
        flow: flow with a bijector.
        power: exponent in [0, 1]. None, or a base other than the standard normal, returns `flow`.
        noise: function that adds noise in dropped coordinates to samples, see `build`.

    Returns:
        A `Flow` whose params are `{"bijector": (bijector params, map), "base": ...}`. A
        hand-written training loop must train `closed_form.inner` and then call `closed_form.set`.

    Raises:
        FlowjaxError: `power` is not in [0, 1].

    Example:
        >>> import jax
        >>> from flowjax import flows
        >>> inner, x = flows.glow(4, depth=1, width=8, latent_power=None), jnp.eye(4)
        >>> flow, key = with_latent_power(inner, 0.5), jax.random.key(0)
        >>> same = flow.log_prob(flow.init(key, x), x) == inner.log_prob(inner.init(key, x), x)
        >>> bool(same.all())
        True
    """
    if power is None:
        return flow
    power = check_number("latent_power", power, 0, 1)
    if flow.base is not NORMAL:
        return flow
    latent_dim = flow.latent_dim or flow.dim
    name = "whitening" if power == 1 else f"whitening(power={power:g})"
    line = f"{name} of the latents, computed at the end of fit"
    inner: Any = flow.bijector

    def set_part(params: Params, moments: Moments) -> Params:
        whole = whitening_from_moments(moments, shrinkage=SHRINKAGE)
        whole = freeze(whole[FROZEN], params_dtype(params))
        first, rest = divided(whole, power, centre=power)
        base = {} if power == 1 else {"base": params["base"], "bijector": rest}
        return {**params, "bijector": (params["bijector"], first), "base": base}

    def take_inner(params: Params) -> Params:
        return {**params, "bijector": params["bijector"][0], "base": {}}

    outer = build(
        chain(inner, unit_whitening()._replace(layers=(line,))),
        flow.dim,
        base=NORMAL if power == 1 else scaled(NORMAL),
        name=flow.name,
        latent_dim=latent_dim,
        noise=None if noise is None else lambda params, key, x: noise(params[0], key, x),
    )
    return outer._replace(closed_form=ClosedForm(set_part, inner=flow, take=take_inner))
