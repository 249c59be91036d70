"""Change of the power of a fitted flow, without another pass over the data."""

from __future__ import annotations

import numpy as np

from flowjax.errors import FlowjaxError, check_number
from flowjax.flows.latents import divided, joined
from flowjax.flows.recipe import make
from flowjax.types import FROZEN, Flow, Params


def at_power(flow: Flow, params: Params, power: float) -> tuple[Flow, Params]:
    """Returns a fitted flow with another power: other coordinates of the same density.

    Args:
        flow: flow of `flows.whitening`, or of a recipe with a number as `latent_power`.
        params: parameters of the flow, from `fit`.
        power: exponent in [0, 1] of the standard deviations by which the latents are divided.

    Returns:
        `(flow, params)` with this power; `log_prob` does not change.

    Raises:
        FlowjaxError: The flow has no power, or `power` is out of range.

    Example:
        >>> import flowjax, numpy as np
        >>> from flowjax import flows
        >>> x = np.random.default_rng(0).normal(size=(50, 4)).astype("float32")
        >>> flow = flows.glow(4, depth=1, width=4, latent_power=0.5)
        >>> params = flowjax.fit(flow, x, key=0, steps=2, batch_size=16).params
        >>> other, its = at_power(flow, params, 0.0)
        >>> np.allclose(other.log_prob(its, x), flow.log_prob(params, x), atol=1e-4)
        True
    """
    option = power_option(flow)
    last = option == "latent_power"
    power = check_number(option, power, 0, 1)
    bijector, base = params["bijector"], params["base"]
    unscaled = (flow.recipe.options or {})[option] == 1
    first = bijector[1] if last else bijector
    whole = joined(first, None if unscaled else base["bijector"])
    first, rest = divided(whole, power, centre=power if last else 1.0)
    inside = base if unscaled else base["base"]
    changed = {
        "bijector": (bijector[0], first) if last else first,
        "base": inside if power == 1 else {"base": inside, "bijector": rest},
    }
    options = dict(flow.recipe.options or {}) | {option: power}
    return make(flow.name, flow.dim, **options), {**params, **changed}


def latent_moments(flow: Flow, params: Params) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean and the standard deviation of each latent in the base of a fitted flow.

    The latents are the principal coordinates, which are uncorrelated on the training examples. If
    z0 are the latents at power 0, the latents at power p are `(z0 - p * mean) * sd ** -p`. For
    `flows.whitening`, the mean is 0.

    Args:
        flow: flow of `flows.whitening`, or of a recipe with a number as `latent_power`.
        params: parameters of the flow, from `fit`.

    Returns:
        `(mean, sd)`, shape (latent dim,) each, float64.

    Raises:
        FlowjaxError: The flow has no power.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from flowjax import flows
        >>> x = jnp.array([[0.0, 3.0], [2.0, 3.0], [1.0, 7.0], [1.0, -1.0]])
        >>> flow = flows.whitening(2, power=0)
        >>> latent_moments(flow, flow.init(jax.random.key(0), x))[1].round(4).tolist()
        [2.8284, 0.7071]
    """
    if (flow.recipe.options or {})[power_option(flow)] == 1:
        dim = flow.latent_dim or flow.dim
        return np.zeros(dim), np.ones(dim)
    rest = params["base"]["bijector"][FROZEN]
    return np.asarray(rest["mean"], float), np.exp(np.asarray(rest["log_std"], float))


def power_option(flow: Flow) -> str:
    """Returns the name of the option of a flow that is its power.

    Raises:
        FlowjaxError: The flow has no power.

    Example:
        >>> from flowjax import flows
        >>> power_option(flows.whitening(2)), power_option(flows.glow(2))
        ('power', 'latent_power')
    """
    options = flow.recipe.options or {}
    closed_last = flow.closed_form is not None and flow.closed_form.inner is not None
    if "power" in options:
        return "power"
    if "latent_power" in options and closed_last:
        return "latent_power"
    raise FlowjaxError(
        f"flow: expected a whitening, or a recipe with a number as latent_power over a normal "
        f"base, got {flow.name}"
    )
