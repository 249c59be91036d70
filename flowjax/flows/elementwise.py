"""Recipe of an elementwise spline flow, for scalars given a context."""

from __future__ import annotations

from flowjax.bijectors import (
    Conditioner,
    actnorm,
    affine_map,
    chain,
    elementwise,
    mlp,
    repeat,
    spline_map,
)
from flowjax.flows.build import build, standardized
from flowjax.flows.choices import BaseName, log_scale_bound
from flowjax.flows.recipe import recipe
from flowjax.types import Base, Flow


@recipe
def elementwise_spline(
    dim: int,
    *,
    depth: int = 2,
    width: int = 64,
    hidden_layers: int = 2,
    bins: int = 8,
    bound: float = 5.0,
    conditioner: Conditioner | None = None,
    base: BaseName | Base = "normal",
    unroll: int | None = None,
    checkpoint: bool = False,
) -> Flow:
    """Returns a flow of independent coordinates: depth x [actnorm, affine map, spline].

    Without a context, the parameters are learned directly. With a context, networks compute the
    shifts, the scales and the splines of each coordinate from the context, so that the flow models
    p(y | context) for a scalar y (`dim` 1), for example in regression or simulation-based
    inference. Given the context, the coordinates are independent; use `maf` or `neural_spline` for
    dependent coordinates. A frozen standardization of each coordinate comes first.

    Args:
        dim: dimension of the data vectors, at least 1.
        depth: number of steps.
        width: width of the hidden layers of the conditioners.
        hidden_layers: number of hidden layers of the conditioners.
        bins: number of bins of each spline.
        bound: half width of the interval [-bound, bound] that the splines transform; outside of
            the interval, they are the identity.
        conditioner: factory of conditioner nets; None means `mlp(width, hidden_layers)`. The nets
            are used if `init` gets a context.
        base: "normal", "student_t", "diagonal", "mixture", "conditional" or a `Base`.
        unroll: number of steps per iteration of `lax.scan`, see `bijectors.repeat`.
        checkpoint: True recomputes activations in the backward pass, see `bijectors.repeat`.

    Returns:
        A `Flow`.

    Raises:
        FlowjaxError: An option is out of range.

    References:
        Neural Spline Flows, https://arxiv.org/abs/1906.04032.

    Example:
        A scalar y whose mean and standard deviation depend on c:

        >>> import flowjax, jax, jax.numpy as jnp
        >>> c = jax.random.uniform(jax.random.key(0), (500, 1))
        >>> y = jnp.sin(6 * c) + (0.1 + c) * jax.random.normal(jax.random.key(1), (500, 1))
        >>> flow = elementwise_spline(1, depth=1, width=16)
        >>> fitted = flowjax.fit(flow, y, context=c, key=0, steps=60, batch_size=128)
        >>> grid = jnp.linspace(0.0, 1.0, 5)[:, None]
        >>> samples = flow.sample(fitted.params, jax.random.key(2), (1000,), grid)
        >>> samples.shape  # 1000 samples of y for each of 5 contexts
        (1000, 5, 1)
        >>> deviations = samples.std(axis=0)
        >>> bool(deviations[0, 0] < deviations[-1, 0])
        True
    """
    net = mlp(width, hidden_layers) if conditioner is None else conditioner
    parts = [
        elementwise(part, conditioner=net)
        for part in (affine_map(bound=log_scale_bound(2 * depth)), spline_map(bins, bound))
    ]
    step = chain(actnorm(), *parts)
    bijector = repeat(step, depth, unroll=unroll, checkpoint=checkpoint)
    return build(standardized(bijector), dim, base=base, name="elementwise_spline")
