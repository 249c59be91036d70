"""Recipes of the Glow family: the flow of the BERT-flow paper and the flow of its code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from flowjax.bijectors import (
    Conditioner,
    actnorm,
    additive_coupling,
    chain,
    glow_net,
    mlp,
    repeat,
    reverse,
    split,
)
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

# Between the flow of the paper (0) and whitened latents (1). The flow "auto" selects the power.
LATENT_POWER = 0.5


def _multiscale(
    dim: int,
    levels: int,
    level: Callable[[int], Bijector],
    *,
    conditional: bool = False,
    conditioner: Conditioner | None = None,
) -> Bijector:
    """Returns the chain level(0), split, level(1), split, ..., level(levels - 1)."""
    most = _most_levels(check_coupled(dim))
    fits = f"1 to {most} for dim {dim}" if most > 1 else f"1 for dim {dim}"
    check_that(levels <= most, "levels", fits, levels)
    inner = level(levels - 1)
    for index in reversed(range(levels - 1)):
        rest = split(inner, conditional=conditional, conditioner=conditioner)
        inner = chain(level(index), rest)
    return inner


def _most_levels(dim: int) -> int:
    """Returns the largest possible number of levels for a dimension."""
    levels, size = 0, dim
    while size >= 2:  # the next level gets the larger half: 3 -> 2 -> 1
        levels, size = levels + 1, size - size // 2
    return levels


@recipe
def glow(
    dim: int,
    *,
    levels: int | None = None,
    depth: int = 3,
    width: int = 32,
    hidden_layers: int = 2,
    coupling: Coupling = "additive",
    permutation: Mixing = "random",
    mask: Mask = "half",
    conditional_split: bool = False,
    conditioner: Conditioner | None = None,
    base: BaseName | Base = "normal",
    init: Literal["data", "identity"] = "data",
    latent_power: Power = LATENT_POWER,
    seed: int = 0,
    unroll: int | None = None,
    checkpoint: bool = False,
) -> Flow:
    """Returns a Glow flow for vectors.

    Each level has `depth` steps; a step is an actnorm, a permutation and a coupling. After
    each level but the last, `split` factors out half of the dimensions. The defaults are those of
    the BERT-flow paper (additive couplings, fixed random permutations, 2 levels of depth 3, width
    32), except for `latent_power` and for the frozen standardization of each coordinate that
    comes first. With this standardization, the fit does not depend on the units of the data. The
    initial flow standardizes and permutes the first batch.

    Args:
        dim: dimension of the data vectors.
        levels: number of levels; None means 2, or 1 if `dim` is too small for 2.
        depth: number of steps per level.
        width: width of the hidden layers of the conditioners.
        hidden_layers: number of hidden layers of the conditioners.
        coupling: kind of the couplings: "additive", "affine" or "spline"; `realnvp` describes the
            limit of the log-scales of affine couplings.
        permutation: mixing before each coupling: "random" (fixed by `seed`, different in each
            step, see `bijectors.permutation`), "reverse" (in odd dimensions a cyclic shift), "lu"
            (learned linear layer, the 1x1 convolution of Glow), or "none" (a level then never
            transforms its first half).
        mask: pattern of the coordinates that a coupling transforms, "half" or "checkerboard".
        conditional_split: True gives factored-out dimensions a learned prior that depends on the
            remaining dimensions, see `bijectors.split`.
        conditioner: factory of conditioner nets; None means `mlp(width, hidden_layers)`.
        base: base density: "normal", "student_t", "diagonal" (normal with learned scales),
            "mixture" (of eight normals), "conditional", or a `Base` (in Python).
        init: "data" standardizes the data with frozen parameters and initialises the actnorms
            from the first batch. "identity" has no standardization, and the actnorms start with
            scale 1 and shift 0; use it for standardized or whitened data.
        latent_power: exponent p in [0, 1] of a map of the latents h, which `fit` computes after
            the training: h minus p times their mean, rotated to their principal axes and divided
            by sd^p. `log_prob` is the same for every p. 1 whitens; 0 has the cosines of the
            paper's flow. None or "none" has no such map and reproduces the density of the paper.
            The option is ignored if the base is not the normal.
        seed: integer seed of the permutations.
        unroll: number of steps per iteration of `lax.scan`, see `bijectors.repeat`.
        checkpoint: True recomputes activations in the backward pass, see `bijectors.repeat`.

    Returns:
        A `Flow`. A context (n, context_dim), given to `init`, is an input of every conditioner.

    Raises:
        FlowjaxError: An option is out of range, or `levels` is too large for `dim`.

    References:
        Glow, https://arxiv.org/abs/1807.03039; BERT-flow, https://arxiv.org/abs/2011.05864.

    Example:
        >>> import jax
        >>> x = jax.random.normal(jax.random.key(0), (20, 6))
        >>> flow = glow(6, levels=2, depth=1, width=8)
        >>> params = flow.init(jax.random.key(1), x)
        >>> flow.log_prob(params, x).shape
        (20,)
    """
    net = mlp(width, hidden_layers) if conditioner is None else conditioner
    levels = min(2, max(1, _most_levels(dim))) if levels is None else levels

    def level(index: int) -> Bijector:
        layer = coupling_named(coupling, levels * depth)(conditioner=net, mask=mask)
        mix = mixing(permutation, seed + index, mask)

        def step(copy: Any) -> Bijector:
            return chain(actnorm(init=init), *mix(copy), layer)

        return repeat(step, depth, unroll=unroll, checkpoint=checkpoint)

    bijector = _multiscale(dim, levels, level, conditional=conditional_split, conditioner=net)
    whole = standardized(bijector) if init == "data" else bijector
    flow = build(whole, dim, base=base, name="glow")
    return with_latent_power(flow, latent_power)


@recipe
def glow_as_released(
    dim: int,
    *,
    levels: int = 3,
    depth: int = 3,
    width: int = 32,
    data_dependent_init: bool = False,
    latent_power: Power = None,
    unroll: int | None = None,
) -> Flow:
    """Returns the flow of BERT-flow's released code, which differs from the flow of its paper.

    Each level has depth x [actnorm, reversal, additive coupling]. The hidden layers of the
    conditioners also have actnorms, log-scales are stored divided by 3, and kernels are
    initialised with N(0, 0.05). Actnorms are initialised Glorot-uniform, because the released code
    never runs its data-dependent initialisation; the port of UKPLab runs it
    (`data_dependent_init=True`). log_det is the same for all examples. In an odd dimension, the
    couplings of a level never transform the middle coordinate, because a reversal leaves it in
    place.

    This recipe does not standardize the data first, in contrast to `glow`. Its shifts are in units
    of the data, so the result of a fit depends on these units.

    Train this flow with `flowjax.training.adam_uncorrected`. The argument `gradient_scale` of this
    optimizer converts the loss of `fit` (nats per example) to the loss of the released code (bits
    per dimension, summed over the two sentences of a pair).

    Args:
        dim: dimension of the data vectors.
        levels: number of levels; 3 in the default config of the code, 2 in the paper.
        depth: number of steps per level.
        width: width of the two hidden layers of the conditioners.
        data_dependent_init: True initialises all actnorms from the first batch; only for
            `glow_as_released`.
        latent_power: exponent of the final map of the latents, see `glow`; None has no such map.
        unroll: number of steps per iteration of `lax.scan`, see `bijectors.repeat`.

    Returns:
        A `Flow` with a standard normal base. Its latents are the factored-out dimensions of each
        level in order, followed by the output of the last level.

    Raises:
        FlowjaxError: `levels` is too large for `dim`.

    References:
        BERT-flow, https://arxiv.org/abs/2011.05864, and its released code.

    Example:
        >>> import jax
        >>> flow = glow_as_released(8, levels=2, depth=1, width=4)
        >>> x = jax.random.normal(jax.random.key(0), (9, 8))
        >>> params = flow.init(jax.random.key(1), x)
        >>> flow.forward(params, x)[0].shape
        (9, 8)
    """
    init: Literal["data", "glorot"] = "data" if data_dependent_init else "glorot"
    net = glow_net(width, init=init, logscale_factor=3.0)
    norm = actnorm(init=init, logscale_factor=3.0)
    step = chain(norm, reverse(), additive_coupling(conditioner=net))
    bijector = _multiscale(dim, levels, lambda _: repeat(step, depth, unroll=unroll))
    flow = build(bijector, dim, name="glow_as_released")
    return with_latent_power(flow, latent_power)
