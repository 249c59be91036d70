"""Closed-form recipes (whitening, standardization, identity), and Glow after a whitening."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from flowjax.bijectors import Moments, chain
from flowjax.bijectors import identity as identity_bijector
from flowjax.bijectors import standardize as standardize_bijector
from flowjax.bijectors import whitening as whitening_bijector
from flowjax.bijectors.common import params_dtype, product
from flowjax.errors import check_integer
from flowjax.flows.build import Noise, build
from flowjax.flows.choices import BaseName
from flowjax.flows.glow import glow
from flowjax.flows.recipe import recipe
from flowjax.types import FROZEN, Array, Base, Bijector, ClosedForm, Flow, Params, PRNGKey


def _noise_of_dropped(part: Callable[[Params], Params]) -> Noise:
    """Returns a function that adds noise in the components dropped by a whitening to samples.

    Args:
        part: function from the params of the bijector to the params of the whitening.
    """

    def noise(params: Params, key: PRNGKey, x: Array) -> Array:
        p = part(params)[FROZEN]
        e = jax.random.normal(key, x.shape, x.dtype) * jnp.exp(0.5 * p["log_noise"])
        return x + e - product(product(e, p["matrix"]), p["inverse"])

    return noise


def _closed_form(
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


def _uses_context(base: str | Base) -> bool:
    """Returns True if the base of a closed form may use a context, which its bijector does not."""
    return isinstance(base, Base) or base == "conditional"


@recipe
def whitening(
    dim: int,
    *,
    components: int | None = None,
    beta: float = 1.0,
    shrinkage: float | str = 0.0,
    eigenvalue_floor: float = 1e-6,
    moments: Moments | None = None,
    base: BaseName | Base = "normal",
) -> Flow:
    """Returns PCA whitening as a flow: the maximum-likelihood Gaussian, in closed form at `init`.

    With `components` < dim, the flow is probabilistic PCA: `forward` returns shape (n,
    components), `log_prob` is exact, and samples include noise in the dropped components.

    Args:
        dim: dimension of the data vectors.
        components: number of leading components to keep; None keeps all.
        beta: exponent of the eigenvalues: 1 whitens, 0 only rotates.
        shrinkage: shrinkage of the covariance towards a multiple of the identity: a number in
            [0, 1], "auto" or "ledoit_wolf". Use a name if examples are fewer than dimensions.
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

    def part(moments: Moments | None) -> Bijector:
        return whitening_bijector(
            components=components,
            beta=beta,
            shrinkage=shrinkage,
            eigenvalue_floor=eigenvalue_floor,
            moments=moments,
        )

    check_integer("components", dim if components is None else components, 1, dim)
    drops = components is not None and components < dim
    noise = _noise_of_dropped(lambda params: params) if drops else None
    flow = build(
        part(moments),
        dim,
        base=base,
        name="whitening",
        latent_dim=components,
        noise=noise,
        uses_context=_uses_context(base),
    )
    possible = shrinkage != "ledoit_wolf"  # Ledoit-Wolf needs the examples, not only their moments
    return flow._replace(closed_form=_closed_form(dim, moments, part, possible=possible))


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

    used = _uses_context(base)
    flow = build(part(moments), dim, base=base, name="standardize", uses_context=used)
    return flow._replace(closed_form=_closed_form(dim, moments, part))


@recipe
def whitening_glow(
    dim: int,
    *,
    components: int | None = None,
    shrinkage: float | str = 0.0,
    eigenvalue_floor: float = 1e-6,
    moments: Moments | None = None,
    **glow_options: Any,
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
        **glow_options: keyword arguments of `glow` except `init` and `whiten_latents`.

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
    rest: Any = glow(latent, init="identity", whiten_latents=False, **glow_options)

    def part(moments: Moments | None) -> Bijector:
        return whitening_bijector(
            components=components,
            shrinkage=shrinkage,
            eigenvalue_floor=eigenvalue_floor,
            moments=moments,
        )

    flow = build(
        chain(part(moments), rest.bijector),
        dim,
        base=rest.base,
        name="whitening_glow",
        latent_dim=latent,
        noise=_noise_of_dropped(lambda params: params[0]) if latent < dim else None,
    )
    closed_form = _closed_form(
        dim,
        moments,
        part,
        lambda params, first: (first, *params[1:]),
        possible=shrinkage != "ledoit_wolf",
    )
    return flow._replace(closed_form=closed_form)


@recipe
def identity(dim: int, *, base: BaseName | Base = "normal") -> Flow:
    """Returns the identity flow, which keeps the plain pooled embeddings.

    Args:
        dim: dimension of the data vectors.
        base: "normal", "student_t" or a `Base`.

    Returns:
        A `Flow` without parameters.

    Example:
        >>> import jax.numpy as jnp
        >>> flow, x = identity(2), jnp.zeros((3, 2))
        >>> flow.forward({"bijector": {}, "base": {}}, x)[0].shape
        (3, 2)
    """
    used = _uses_context(base)
    return build(identity_bijector(), dim, base=base, name="identity", uses_context=used)
