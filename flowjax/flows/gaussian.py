"""Flows whose first bijector has a closed form."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from flowjax.bijectors import Moments
from flowjax.bijectors.common import params_dtype, product
from flowjax.flows.base import base_from
from flowjax.flows.build import Noise, build
from flowjax.types import FROZEN, Array, Base, Bijector, ClosedForm, Flow, Params, PRNGKey


def noise_of_dropped(part: Callable[[Params], Params]) -> Noise:
    """Returns a function that adds noise in the components dropped by a whitening to samples.

    Args:
        part: function from the params of the bijector to the params of the whitening.
    """

    def noise(params: Params, key: PRNGKey, x: Array) -> Array:
        p = part(params)[FROZEN]
        e = jax.random.normal(key, x.shape, x.dtype) * jnp.exp(0.5 * p["log_noise"])
        return x + e - product(product(e, p["matrix"]), p["inverse"])

    return noise


def first_part(
    dim: int,
    moments: Moments | None,
    from_moments: Callable[[Moments], Bijector],
    put: Callable[[Params, Params], Params] = lambda params, part: part,
    *,
    possible: bool = True,
) -> ClosedForm | None:
    """Returns the `ClosedForm` of the first bijector of a flow.

    Args:
        dim: dimension of the data vectors.
        moments: moments that determine the bijector already, or None.
        from_moments: function from moments to the bijector.
        put: function `(bijector_params, part_params) -> bijector_params` that replaces the params
            of the first bijector.
        possible: False if the bijector cannot be computed from moments.

    Returns:
        The closed form, or None if `moments` is given or `possible` is False.
    """
    if moments is not None or not possible:
        return None

    def set_part(params: Params, found: Moments) -> Params:
        x = jnp.zeros((1, dim), params_dtype(params))  # only the shape and the dtype matter
        part = from_moments(found).init(jax.random.key(0), x)
        return {**params, "bijector": put(params["bijector"], part)}

    return ClosedForm(set_part)


def uses_context(base: str | Base) -> bool:
    """Returns True if the base of a closed form may use a context, which its bijector does not."""
    return isinstance(base, Base) or base == "conditional"


# Function from the params of a whitening of power 1 to the params of a part of it in the flow, and
# of the remaining part in the base density.
Divide = Callable[[Params], tuple[Params, Params]]


def gaussian_flow(
    name: str,
    dim: int,
    part: Bijector,
    whole: Callable[[Moments | None], Bijector],
    base: str | Base,
    divide: Divide | None = None,
    rest: Callable[[Base], Base] = lambda base: base,
    *,
    moments: Moments | None,
    possible: bool,
    latent_dim: int | None = None,
    noise: Noise | None = None,
) -> Flow:
    """Returns a flow that is a whitening, divided between its bijector and its base density.

    Args:
        name: name of the recipe.
        dim: dimension of the data vectors.
        part: bijector of the flow.
        whole: function from moments to the whitening of power 1.
        base: density of the whitened vectors.
        divide: division of the params; None if `part` is the whole whitening.
        rest: function from `base` to the density of the latents.
        moments: moments of the data, or None.
        possible: False if the whitening cannot be computed from moments.
        latent_dim: dimension of the latents; None means `dim`.
        noise: function that adds noise in dropped coordinates to samples.
    """
    flow = build(
        part._replace(init=whole(moments).init),
        dim,
        base=rest(base_from(base)),
        name=name,
        latent_dim=latent_dim,
        noise=noise,
        uses_context=uses_context(base),
    )
    closed_form = first_part(dim, moments, whole, possible=possible)
    if divide is None:
        return flow._replace(closed_form=closed_form)

    def split(params: Params) -> Params:
        first, rest = divide(params["bijector"])
        return {**params, "bijector": first, "base": {**params["base"], "bijector": rest}}

    def init(key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        return split(flow.init(key, x, context))

    if closed_form is not None:
        set_whole = closed_form.set
        closed_form = ClosedForm(lambda params, found: split(set_whole(params, found)))
    return flow._replace(init=init, bijector=part, closed_form=closed_form)
