"""Recipes of the Glow family: the paper's, and the one BERT-flow's released code trains."""

from __future__ import annotations

from collections.abc import Callable

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
from flowjax.flows.base import Base
from flowjax.flows.build import build
from flowjax.flows.choices import coupling_named, mixing
from flowjax.types import Bijector, Flow, FlowjaxError


def _multiscale(
    dim: int,
    levels: int,
    level: Callable[[int], Bijector],
    *,
    conditional: bool = False,
    conditioner: Conditioner | None = None,
) -> Bijector:
    """Returns level(0), split, level(1), split, ..., level(levels - 1)."""
    room = _room(dim)
    if not isinstance(levels, int) or not 1 <= levels <= room:
        fits = f"1 to {room}" if room > 1 else "1" if room else "dim >= 2"
        raise FlowjaxError(f"levels: expected {fits} for dim {dim}, got {levels!r}")
    inner = level(levels - 1)
    for index in reversed(range(levels - 1)):
        left = split(inner, conditional=conditional, conditioner=conditioner)
        inner = chain(level(index), left)
    return inner


def _room(dim: int) -> int:
    """Returns how many levels fit."""
    room, size = 0, dim
    while size >= 2:  # the kept half is the larger one: 3 -> 2 -> 1
        room, size = room + 1, size - size // 2
    return room


def glow(
    dim: int,
    *,
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
    whiten_latents: bool = True,
    seed: int = 0,
    unroll: int | None = None,
    checkpoint: bool = False,
) -> Flow:
    """Returns Glow for vectors: levels of depth x [actnorm, permutation, coupling], split between.

    The defaults are BERT-flow's paper: additive couplings, fixed random permutations, 2 levels of
    depth 3, width 32; one thing is ours, `whiten_latents`, which `fit` adds at its end. At init it
    standardizes the first batch and permutes it, no more.

    Args:
        dim: size of a data vector.
        levels: how many; after each but the last, half of the coordinates leave. None is 2, or 1
            where dim has room for no more.
        depth: steps in a level.
        width: of the conditioners' hidden layers.
        hidden_layers: of the conditioners.
        coupling: "additive", "affine" or "spline".
        permutation: "random" (fixed by `seed`; the same in each step of a level), "reverse",
            "lu" (learned linear map, Glow's 1x1 convolution) or "none".
        mask: "half" or "checkerboard".
        conditional_split: leavers meet a learned prior given what stays, see `bijectors.split`.
        conditioner: factory in place of `mlp(width, hidden_layers)`.
        base: "normal", "student_t", "conditional" or a `Base`.
        whiten_latents: `fit` ends with a closed-form whitening of the latents. Additive couplings
            and permutations leave them correlated, and cosine similarity suffers from that. The
            paper has no such step: False is its flow. Over a base other than the normal there
            is none either.
        seed: of the permutations.
        unroll: see `bijectors.repeat`.
        checkpoint: see `bijectors.repeat`.

    Returns:
        A `Flow`. A context (n, width), given to `init`, conditions every coupling.

    Raises:
        FlowjaxError: an option out of range, or more levels than dim has room for.

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
    bijector = glow_bijector(
        dim,
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
    )
    return build(bijector, dim, base=base, name="glow", whiten_latents=whiten_latents)


def glow_bijector(
    dim: int,
    *,
    levels: int | None,
    depth: int,
    width: int,
    hidden_layers: int,
    coupling: str,
    permutation: str,
    mask: str,
    conditional_split: bool,
    conditioner: Conditioner | None,
    seed: int,
    unroll: int | None,
    checkpoint: bool,
    init: str = "data",
) -> Bijector:
    """Returns the bijector of `glow`, whose arguments it takes, for other recipes to build on."""
    net = mlp(width, hidden_layers) if conditioner is None else conditioner
    layer = coupling_named(coupling)(conditioner=net, mask=mask)
    levels = min(2, max(1, _room(dim))) if levels is None else levels

    def level(index: int) -> Bijector:
        step = chain(actnorm(init=init), *mixing(permutation, seed + index), layer)
        return repeat(step, depth, unroll=unroll, checkpoint=checkpoint)

    return _multiscale(dim, levels, level, conditional=conditional_split, conditioner=net)


def glow_as_released(
    dim: int,
    *,
    levels: int = 3,
    depth: int = 3,
    width: int = 32,
    data_dependent_init: bool = False,
    unroll: int | None = None,
) -> Flow:
    """Returns the flow that BERT-flow's released code trains, which is not quite its paper's.

    Per level depth x [actnorm -> fixed reversal -> additive coupling]; the conditioner's hidden
    layers have actnorms of their own, log-scales are stored divided by 3, kernels start
    N(0, 0.05). Actnorms start Glorot-uniform, since the code never triggers its data-dependent
    init; UKPLab's port does trigger it: `data_dependent_init=True`. log_det is a constant of
    the parameters. Train it with `flowjax.training.adam_uncorrected`, whose `gradient_scale`
    makes `fit`'s loss, nats a row, the code's: bits per dimension, summed over a pair's two.

    Args:
        dim: size of a data vector.
        levels: 3 in the code's default config, 2 in the paper.
        depth: steps in a level.
        width: of the conditioners' two hidden layers.
        data_dependent_init: set all actnorms from the first batch.
        unroll: see `bijectors.repeat`.

    Returns:
        A `Flow` with a standard normal base; its latents are (eps level 1, eps level 2, top).

    Raises:
        FlowjaxError: more levels than dim has room for.

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
    init = "data" if data_dependent_init else "glorot"
    net = glow_net(width, init=init, logscale_factor=3.0)
    norm = actnorm(init=init, logscale_factor=3.0)
    step = chain(norm, reverse(), additive_coupling(conditioner=net))
    bijector = _multiscale(dim, levels, lambda _: repeat(step, depth, unroll=unroll))
    return build(bijector, dim, name="glow_as_released")
