"""Recipes of one scale: RealNVP and the neural spline flow."""

from __future__ import annotations

from flowjax.bijectors import Conditioner, actnorm, chain, mlp, repeat, spline_coupling
from flowjax.flows.base import Base
from flowjax.flows.build import build
from flowjax.flows.choices import coupling_named, mixing
from flowjax.types import Flow, FlowjaxError


def realnvp(
    dim: int,
    *,
    depth: int = 8,
    width: int = 64,
    hidden_layers: int = 2,
    coupling: str = "affine",
    normalize: bool = True,
    permutation: str = "none",
    mask: str = "half",
    conditioner: Conditioner | None = None,
    base: str | Base = "normal",
    seed: int = 0,
    unroll: int | None = None,
    checkpoint: bool = False,
) -> Flow:
    """Returns RealNVP for vectors: depth affine couplings, the two halves taking turns.

    Args:
        dim: size of a data vector, at least 2.
        depth: couplings, an even number: they come in pairs.
        width: of the conditioners' hidden layers.
        hidden_layers: of the conditioners.
        coupling: "affine", "additive" or "spline".
        normalize: an actnorm before each pair, in place of the original's batch norm.
        permutation: "none", "random", "reverse" or "lu", after each pair.
        mask: "half" or "checkerboard".
        conditioner: factory in place of `mlp(width, hidden_layers)`.
        base: "normal", "student_t", "conditional" or a `Base`.
        seed: of the permutations.
        unroll: pairs laid out per scan step, see `bijectors.repeat`.
        checkpoint: see `bijectors.repeat`.

    Returns:
        A `Flow`. A context (n, width), given to `init`, conditions every coupling.

    Raises:
        FlowjaxError: an option out of range, or an odd depth.

    References:
        RealNVP, https://arxiv.org/abs/1605.08803.

    Example:
        >>> import jax
        >>> flow, x = realnvp(3, depth=2, width=8), jax.random.normal(jax.random.key(0), (20, 3))
        >>> flow.log_prob(flow.init(jax.random.key(1), x), x).shape
        (20,)
    """
    if not isinstance(depth, int) or depth < 2 or depth % 2:
        raise FlowjaxError(f"depth: expected an even positive number of couplings, got {depth!r}")
    net = mlp(width, hidden_layers) if conditioner is None else conditioner
    layers = [coupling_named(coupling)(conditioner=net, mask=mask, swap=s) for s in (False, True)]
    pair = chain(*([actnorm()] if normalize else []), *layers, *mixing(permutation, seed))
    bijector = repeat(pair, depth // 2, unroll=unroll, checkpoint=checkpoint)
    return build(bijector, dim, base=base, name="realnvp")


def neural_spline(
    dim: int,
    *,
    depth: int = 4,
    width: int = 64,
    hidden_layers: int = 2,
    bins: int = 8,
    bound: float = 5.0,
    permutation: str = "lu",
    mask: str = "half",
    conditioner: Conditioner | None = None,
    base: str | Base = "normal",
    seed: int = 0,
    unroll: int | None = None,
    checkpoint: bool = False,
) -> Flow:
    """Returns a neural spline flow: depth x [actnorm, LU linear, rational-quadratic coupling].

    Args:
        dim: size of a data vector, at least 2.
        depth: steps.
        width: of the conditioners' hidden layers.
        hidden_layers: of the conditioners.
        bins: of each spline.
        bound: the splines live on [-bound, bound], outside they are the identity.
        permutation: "lu", "random", "reverse" or "none", before each coupling.
        mask: "half" or "checkerboard".
        conditioner: factory in place of `mlp(width, hidden_layers)`.
        base: "normal", "student_t", "conditional" or a `Base`.
        seed: of the permutations and of the LU rotations.
        unroll: see `bijectors.repeat`.
        checkpoint: see `bijectors.repeat`.

    Returns:
        A `Flow`. A context (n, width), given to `init`, conditions every coupling.

    Raises:
        FlowjaxError: an option out of range.

    References:
        Neural Spline Flows, https://arxiv.org/abs/1906.04032.

    Example:
        >>> import jax
        >>> flow, x = neural_spline(3, depth=1), jax.random.normal(jax.random.key(0), (20, 3))
        >>> flow.log_prob(flow.init(jax.random.key(1), x), x).shape
        (20,)
    """
    net = mlp(width, hidden_layers) if conditioner is None else conditioner
    layer = spline_coupling(conditioner=net, bins=bins, bound=bound, mask=mask)
    step = chain(actnorm(), *mixing(permutation, seed), layer)
    bijector = repeat(step, depth, unroll=unroll, checkpoint=checkpoint)
    return build(bijector, dim, base=base, name="neural_spline")
