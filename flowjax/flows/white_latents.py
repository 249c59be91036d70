"""Whitening of the latents of a trained flow."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from flowjax.bijectors import chain, whitening
from flowjax.bijectors.common import params_dtype
from flowjax.bijectors.moments import Moments
from flowjax.bijectors.whitening import freeze, whitening_from_moments
from flowjax.flows.build import build
from flowjax.types import FROZEN, Array, Bijector, ClosedForm, Flow, Params, PRNGKey


def with_white_latents(flow: Flow) -> Flow:
    """Returns the flow followed by a frozen whitening, which `fit` computes after the training.

    Before the end of `fit`, the whitening is the identity. Additive couplings and permutations
    leave the latents correlated, which degrades cosine similarity. Under a standard normal base,
    whitening is the affine map of the latents with maximum likelihood.

    Args:
        flow: flow with a bijector and a standard normal base.

    Returns:
        A `Flow` whose params are `{"bijector": (bijector params, whitening), "base": ...}`. A
        hand-written training loop must train `closed_form.inner` and then call `closed_form.set`.

    Example:
        >>> import jax
        >>> from flowjax import flows
        >>> inner, x = flows.glow(4, whiten_latents=False), jnp.eye(4)
        >>> flow, key = with_white_latents(inner), jax.random.key(0)
        >>> same = flow.log_prob(flow.init(key, x), x) == inner.log_prob(inner.init(key, x), x)
        >>> bool(same.all())
        True
    """
    latent_dim = flow.latent_dim or flow.dim

    def identity(key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        # Two arrays: a training step that donates its state refuses one array given twice.
        matrices = {"matrix": jnp.eye(latent_dim), "inverse": jnp.eye(latent_dim)}
        return freeze({"mean": jnp.zeros(latent_dim), "log_det": 0.0, **matrices}, x.dtype)

    def set_part(params: Params, moments: Moments) -> Params:
        # OAS shrinkage changes the result noticeably only if there are few examples.
        found = whitening_from_moments(moments, shrinkage="auto")
        found = freeze(found[FROZEN], params_dtype(params))
        return {**params, "bijector": (params["bijector"], found)}

    def take_inner(params: Params) -> Params:
        return {**params, "bijector": params["bijector"][0]}

    part = whitening()
    inner: Any = flow.bijector
    base: Any = flow.base
    line = "whitening of the latents, computed at the end of fit"
    whole = chain(inner, Bijector(identity, part.forward, part.inverse, (line,)))
    outer = build(whole, flow.dim, base=base, name=flow.name, latent_dim=latent_dim)
    return outer._replace(closed_form=ClosedForm(set_part, inner=flow, take=take_inner))
