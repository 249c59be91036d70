"""Single-scale recipes: RealNVP and the neural spline flow."""

from __future__ import annotations

from functools import partial
from typing import Any

from flowjax.bijectors import Conditioner, actnorm, chain, mlp, repeat, spline_coupling
from flowjax.errors import check_that
from flowjax.flows.build import build, standardized
from flowjax.flows.choices import (
    BaseName,
    Coupling,
    Mask,
    Mixing,
    Power,
    check_coupled,
    coupling_named,
    mixing,
)
from flowjax.flows.latents import with_latent_power
from flowjax.flows.recipe import recipe
from flowjax.types import Base, Bijector, Flow


@recipe
def realnvp(
    dim: int,
    *,
    depth: int = 8,
    width: int = 64,
    hidden_layers: int = 2,
    coupling: Coupling = "affine",
    normalize: bool = True,
    permutation: Mixing = "none",
    mask: Mask = "half",
    conditioner: Conditioner | None = None,
    base: BaseName | Base = "normal",
    latent_power: Power = None,
    seed: int = 0,
    unroll: int | None = None,
    checkpoint: bool = False,
) -> Flow:
    """Returns RealNVP for vectors: affine couplings that transform the two halves alternately.

    A frozen standardization of each coordinate comes first, so that the fit does not depend on
    the units of the data.

    Args:
        dim: dimension of the data vectors, at least 2.
        depth: number of couplings, an even number.
        width: width of the hidden layers of the conditioners.
        hidden_layers: number of hidden layers of the conditioners.
        coupling: "affine", "additive" or "spline". The log-scales of affine couplings are limited
            to ±min(2, 16 / depth), so that deep flows stay invertible in float32.
        normalize: True puts an actnorm before each pair of couplings; the original RealNVP uses
            batch norm. The standardization of the data does not depend on this option.
        permutation: "none", "random", "reverse" or "lu", after each pair; see `glow`.
        mask: "half" or "checkerboard", the coordinates that a coupling transforms.
        conditioner: factory of conditioner nets; None means `mlp(width, hidden_layers)`.
        base: "normal", "student_t", "diagonal", "mixture", "conditional" or a `Base`.
        latent_power: exponent of the final map of the latents, see `glow`; None has no such map.
        seed: integer seed of the permutations.
        unroll: number of pairs per iteration of `lax.scan`, see `bijectors.repeat`.
        checkpoint: True recomputes activations in the backward pass, see `bijectors.repeat`.

    Returns:
        A `Flow`. A context (n, context_dim), given to `init`, is an input of every conditioner.

    Raises:
        FlowjaxError: An option is out of range, or the depth is odd.

    References:
        RealNVP, https://arxiv.org/abs/1605.08803.

    Example:
        >>> import jax
        >>> flow, x = realnvp(3, depth=2, width=8), jax.random.normal(jax.random.key(0), (20, 3))
        >>> flow.log_prob(flow.init(jax.random.key(1), x), x).shape
        (20,)
    """
    check_coupled(dim)
    check_that(depth % 2 == 0, "depth", "an even number of couplings", depth)
    net = mlp(width, hidden_layers) if conditioner is None else conditioner
    layer = partial(coupling_named(coupling, depth), conditioner=net, mask=mask)
    layers = [layer(swap=swap) for swap in (False, True)]
    mix = mixing(permutation, seed, mask)

    def pair(index: Any) -> Bijector:
        return chain(*([actnorm()] if normalize else []), *layers, *mix(index))

    bijector = repeat(pair, depth // 2, unroll=unroll, checkpoint=checkpoint)
    flow = build(standardized(bijector), dim, base=base, name="realnvp")
    return with_latent_power(flow, latent_power)


@recipe
def neural_spline(
    dim: int,
    *,
    depth: int = 4,
    width: int = 64,
    hidden_layers: int = 2,
    bins: int = 8,
    bound: float = 5.0,
    permutation: Mixing = "lu",
    mask: Mask = "half",
    conditioner: Conditioner | None = None,
    base: BaseName | Base = "normal",
    latent_power: Power = None,
    seed: int = 0,
    unroll: int | None = None,
    checkpoint: bool = False,
) -> Flow:
    """Returns a neural spline flow: depth x [actnorm, LU linear, rational-quadratic coupling].

    A frozen standardization of each coordinate comes first, so that the fit does not depend on
    the units of the data.

    Args:
        dim: dimension of the data vectors, at least 2.
        depth: number of steps.
        width: width of the hidden layers of the conditioners.
        hidden_layers: number of hidden layers of the conditioners.
        bins: number of bins of each spline.
        bound: half width of the interval [-bound, bound] that the splines transform; outside of
            the interval, they are the identity.
        permutation: "lu", "random", "reverse" or "none", before each coupling; see `glow`.
        mask: "half" or "checkerboard", the coordinates that a coupling transforms.
        conditioner: factory of conditioner nets; None means `mlp(width, hidden_layers)`.
        base: "normal", "student_t", "diagonal", "mixture", "conditional" or a `Base`.
        latent_power: exponent of the final map of the latents, see `glow`; None has no such map.
        seed: integer seed of the permutations and of the initial rotations of the LU layers.
        unroll: number of steps per iteration of `lax.scan`, see `bijectors.repeat`.
        checkpoint: True recomputes activations in the backward pass, see `bijectors.repeat`.

    Returns:
        A `Flow`. A context (n, context_dim), given to `init`, is an input of every conditioner.

    Raises:
        FlowjaxError: An option is out of range.

    References:
        Neural Spline Flows, https://arxiv.org/abs/1906.04032.

    Example:
        >>> import jax
        >>> x = jax.random.normal(jax.random.key(0), (20, 3))
        >>> flow = neural_spline(3, depth=1, width=8)
        >>> flow.log_prob(flow.init(jax.random.key(1), x), x).shape
        (20,)
    """
    check_coupled(dim)
    net = mlp(width, hidden_layers) if conditioner is None else conditioner
    layer = spline_coupling(conditioner=net, bins=bins, bound=bound, mask=mask)
    mix = mixing(permutation, seed, mask)

    def step(index: Any) -> Bijector:
        return chain(actnorm(), *mix(index), layer)

    bijector = repeat(step, depth, unroll=unroll, checkpoint=checkpoint)
    flow = build(standardized(bijector), dim, base=base, name="neural_spline")
    return with_latent_power(flow, latent_power)
