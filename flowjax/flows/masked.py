"""Autoregressive recipes: masked autoregressive flow (MAF) and its inverse (IAF)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Unpack

from flowjax.bijectors import (
    actnorm,
    affine_map,
    chain,
    invert,
    linear_lu,
    made,
    masked_autoregressive,
    repeat,
    reverse,
    spline_map,
)
from flowjax.bijectors import permutation as random_permutation
from flowjax.bijectors.made import MaskedNet
from flowjax.errors import check_choice
from flowjax.flows.build import build, standardized
from flowjax.flows.choices import (
    BaseName,
    MafOptions,
    Power,
    Reordering,
    Transform,
    log_scale_bound,
)
from flowjax.flows.latents import with_latent_power
from flowjax.flows.recipe import options_of, recipe
from flowjax.types import Base, Bijector, Flow


def _flow(
    name: str,
    dim: int,
    *,
    depth: int,
    width: int,
    hidden_layers: int,
    transform: str,
    bins: int,
    bound: float,
    permutation: str,
    conditioner: MaskedNet | None,
    base: str | Base,
    latent_power: Power,
    seed: int,
    unroll: int | None,
    checkpoint: bool,
) -> Flow:
    limit = log_scale_bound(2 * depth)  # each layer transforms all coordinates
    transforms = {
        "affine": lambda: affine_map(bound=limit),
        "spline": lambda: spline_map(bins, bound),
    }
    check_choice("transform", transform, transforms)
    orders: dict[str, Callable[[Any], Bijector]] = {
        "reverse": lambda index: reverse(),
        "random": lambda index: random_permutation(seed=seed, index=index),
        "lu": lambda index: linear_lu(seed=seed),
    }
    check_choice("permutation", permutation, orders)
    net = made(width, hidden_layers) if conditioner is None else conditioner
    layer = masked_autoregressive(transforms[transform](), net=net)
    layer = invert(layer) if name == "iaf" else layer

    def step(index: Any) -> Bijector:
        return chain(actnorm(), orders[permutation](index), layer)

    bijector = repeat(step, depth, unroll=unroll, checkpoint=checkpoint)
    flow = build(standardized(bijector), dim, base=base, name=name)
    return with_latent_power(flow, latent_power)


@recipe
def maf(
    dim: int,
    *,
    depth: int = 5,
    width: int = 64,
    hidden_layers: int = 2,
    transform: Transform = "affine",
    bins: int = 8,
    bound: float = 5.0,
    permutation: Reordering = "random",
    conditioner: MaskedNet | None = None,
    base: BaseName | Base = "normal",
    latent_power: Power = None,
    seed: int = 0,
    unroll: int | None = None,
    checkpoint: bool = False,
) -> Flow:
    """Returns a masked autoregressive flow: depth x [actnorm, permutation, autoregressive layer].

    `log_prob` evaluates each network once. `sample` computes one coordinate after the other, so
    its time grows with `dim`; use `iaf` if fast samples are more important. A frozen
    standardization of each coordinate comes first, so that the fit does not depend on the units of
    the data.

    Args:
        dim: dimension of the data vectors, at least 1. In one dimension, the flow transforms a
            scalar given the context.
        depth: number of steps.
        width: width of the hidden layers of the conditioners.
        hidden_layers: number of hidden layers of the conditioners.
        transform: transformation of each coordinate in an autoregressive layer, "affine" or
            "spline". The log-scales of affine layers are limited to ±min(2, 8 / depth), so that
            deep flows stay invertible in float32.
        bins: number of bins of each spline.
        bound: half width of the interval [-bound, bound] that the splines transform; outside of
            the interval, they are the identity.
        permutation: change of the order of the coordinates before each layer: "random" (fixed by
            `seed`, differs between layers), "reverse" or "lu", a learned linear layer.
        conditioner: options of the masked conditioners; None means `made(width, hidden_layers)`.
        base: "normal", "student_t", "diagonal", "mixture", "conditional" or a `Base`.
        latent_power: exponent of the final map of the latents, see `glow`; None has no such map.
        seed: integer seed of the permutations and of the initial rotations of the LU layers.
        unroll: number of steps per iteration of `lax.scan`, see `bijectors.repeat`.
        checkpoint: True recomputes activations in the backward pass, see `bijectors.repeat`.

    Returns:
        A `Flow`. A context (n, context_dim), given to `init`, is an input of every network; every
        coordinate depends on it.

    Raises:
        FlowjaxError: An option is out of range or unknown.

    References:
        Masked autoregressive flow, https://arxiv.org/abs/1705.07057; with "spline", Neural Spline
        Flows, https://arxiv.org/abs/1906.04032, section 3.

    Example:
        >>> import jax
        >>> flow, x = maf(3, depth=2, width=8), jax.random.normal(jax.random.key(0), (20, 3))
        >>> params = flow.init(jax.random.key(1), x)
        >>> flow.log_prob(params, x).shape, flow.sample(params, jax.random.key(2), 4).shape
        ((20,), (4, 3))
    """
    return _flow(
        "maf",
        dim,
        depth=depth,
        width=width,
        hidden_layers=hidden_layers,
        transform=transform,
        bins=bins,
        bound=bound,
        permutation=permutation,
        conditioner=conditioner,
        base=base,
        latent_power=latent_power,
        seed=seed,
        unroll=unroll,
        checkpoint=checkpoint,
    )


@recipe
def iaf(dim: int, **maf_options: Unpack[MafOptions]) -> Flow:
    """Returns an inverse autoregressive flow: depth x [actnorm, permutation, inverse MAF layer].

    `sample` and `sample_and_log_prob` evaluate each network once, as variational inference needs.
    `log_prob` of given vectors computes one coordinate after the other, so a fit to data is slower
    than with `maf`.

    Args:
        dim: dimension of the data vectors, at least 1.
        **maf_options: options of `maf`.

    Returns:
        A `Flow`. A context (n, context_dim), given to `init`, is an input of every network.

    Raises:
        FlowjaxError: An option is out of range or unknown.

    References:
        Inverse autoregressive flow, https://arxiv.org/abs/1606.04934.

    Example:
        >>> import jax
        >>> flow, x = iaf(3, depth=2, width=8), jax.random.normal(jax.random.key(0), (20, 3))
        >>> params = flow.init(jax.random.key(1), x)
        >>> samples, log_prob = flow.sample_and_log_prob(params, jax.random.key(2), 4)
        >>> samples.shape, log_prob.shape
        ((4, 3), (4,))
    """
    defaults = {name: option.default for name, option in options_of("maf").items()}
    return _flow("iaf", dim, **{**defaults, **maf_options})
