"""Recipes in closed form, such as whitening and removal of the mean; and Glow after whitening."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from flowjax.bijectors import Moments, chain
from flowjax.bijectors import all_but_the_top as top_bijector
from flowjax.bijectors import identity as identity_bijector
from flowjax.bijectors import standardize as standardize_bijector
from flowjax.bijectors import whitening as whitening_bijector
from flowjax.bijectors.common import params_dtype, product
from flowjax.bijectors.top import noise_of_top, without_top
from flowjax.bijectors.whitening import freeze
from flowjax.errors import check_integer
from flowjax.flows.base import base_from
from flowjax.flows.build import Noise, build
from flowjax.flows.choices import BaseName, Power
from flowjax.flows.glow import glow
from flowjax.flows.latents import divided, scaled, through, unit_whitening, with_latent_power
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


# Function from the params of a whitening of power 1 to the params of a part of it in the flow, and
# of the remaining part in the base density.
Divide = Callable[[Params], tuple[Params, Params]]


def _gaussian(
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
        uses_context=_uses_context(base),
    )
    closed_form = _closed_form(dim, moments, whole, possible=possible)
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


@recipe
def whitening(
    dim: int,
    *,
    components: int | None = None,
    power: float = 1.0,
    shrinkage: float | str = 0.0,
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
    return _gaussian(
        "whitening",
        dim,
        part,
        lambda found: whitening_bijector(moments=found, **options),
        base,
        *(() if power == 1 else (lambda whole: divided(whole, power), scaled)),
        moments=moments,
        possible=shrinkage != "ledoit_wolf",  # it needs the examples, not only their moments
        latent_dim=components,
        noise=_noise_of_dropped(lambda params: params) if kept < dim else None,
    )


@recipe
def center(
    dim: int,
    *,
    shrinkage: float | str = 0.0,
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

    return _gaussian(
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
    shrinkage: float | str = 0.0,
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
    return _gaussian(
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
    latent_power: Power = None,
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

    noise = _noise_of_dropped(lambda params: params[0]) if latent < dim else None
    flow = build(
        chain(part(moments), rest.bijector),
        dim,
        base=rest.base,
        name="whitening_glow",
        latent_dim=latent,
        noise=noise,
    )
    closed_form = _closed_form(
        dim,
        moments,
        part,
        lambda params, first: (first, *params[1:]),
        possible=shrinkage != "ledoit_wolf",
    )
    return with_latent_power(flow._replace(closed_form=closed_form), latent_power, noise)


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
        used = _uses_context(base)
        return build(identity_bijector(), dim, base=base, name="identity", uses_context=used)
    density = base_from(base)
    return _gaussian(
        "identity",
        dim,
        identity_bijector(),
        lambda found: whitening_bijector(shrinkage="auto", moments=found),
        through(unit_whitening(), density, f"{density.line}, with the moments of the data"),
        lambda whole: ({}, whole),
        moments=moments,
        possible=True,
    )
