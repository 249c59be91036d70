"""PyPI's flowjax (another library of the same name, in a separate environment)."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

import cells
import equinox as eqx
import flowjax.bijections
import flowjax.distributions
import jax
import jax.numpy as jnp
import jax_calls
import paramax

import flowjax.flows


def build(name: str, cell: dict[str, int], task: str) -> tuple[Callable[[], float], int, int]:
    if "levels" in cell:
        raise cells.NotThere("no multi-scale flow")
    how = {}
    if "bins" in cell:
        how["transformer"] = flowjax.bijections.RationalQuadraticSpline(
            knots=cell["bins"] - 1, interval=5
        )
    flows = flowjax.flows
    recipe = flows.masked_autoregressive_flow if "maf" in cell else flows.coupling_flow
    flow = recipe(
        jax.random.key(0),
        base_dist=flowjax.distributions.Normal(jnp.zeros(cell["D"])),
        flow_layers=cell["L"],
        nn_width=cell["H"],
        nn_depth=2,
        **how,
    )
    # as in its own training loop
    params, static = eqx.partition(
        flow, eqx.is_inexact_array, is_leaf=lambda leaf: isinstance(leaf, paramax.NonTrainable)
    )

    def whole(params: object) -> flowjax.distributions.AbstractDistribution:
        return paramax.unwrap(eqx.combine(params, static))

    return jax_calls.calls(
        lambda params, x: whole(params).log_prob(x),
        lambda params, key, n: whole(params).sample(key, (n,)),
        params,
        cell,
        task,
    )


if __name__ == "__main__":
    cells.serve(build, {"PyPI flowjax": version("flowjax"), "jax": jax.__version__})
