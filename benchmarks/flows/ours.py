"""This library: `step` calls a jitted step from Python, `loop` runs `flowjax.training`'s own."""

from __future__ import annotations

from collections.abc import Callable

import cells
import flax
import jax
import jax.numpy as jnp
import jax_calls
import numpy as np
import optax

import flowjax
from flowjax import flows, training
from flowjax.fitting.fit import nll_loss
from flowjax.parallel import devices


def recipe(cell: dict[str, int]) -> flowjax.types.Flow:
    if "levels" in cell:
        sizes = {"levels": cell["levels"], "depth": cell["steps"], "width": cell["H"]}
        return flows.glow(cell["D"], latent_power=None, **sizes)
    if "maf" in cell:
        extra = {"transform": "spline", "bins": cell["bins"]} if "bins" in cell else {}
        return flows.maf(cell["D"], depth=cell["L"], width=cell["H"], **extra)
    return flows.realnvp(cell["D"], depth=cell["L"], width=cell["H"], normalize=False)


def loop(flow: flowjax.types.Flow, params: object, cell: dict[str, int]) -> Callable[[], float]:
    """A dispatch of `flowjax.fit`, on rows that the device holds."""
    mesh, optimizer = devices.make_mesh(), optax.adam(cells.LEARNING_RATE)
    step = training.make_step(nll_loss(flow), optimizer, seed=0)
    call = devices.data_parallel(step, mesh)
    n = cell["loop"]
    x = jax_calls.rows(cells.BATCHES * cell["B"], cell["D"])
    order = np.resize(np.random.default_rng(0).permutation(len(x)), (n, cell["B"]))
    resident = devices.replicate({"x": x}, mesh), devices.replicate(jnp.asarray(n), mesh)
    batches = devices.shard_rows({"rows": order.astype(np.int32)}, mesh, axis=1)
    box = [devices.replicate(training.init_state(params, optimizer), mesh)]

    def run() -> float:
        box[0], metrics = call(box[0], resident, batches)
        if int(metrics["done"]) != n:
            raise FloatingPointError(f"{metrics}")
        return float(metrics["loss"][n - 1])

    return run


def build(name: str, cell: dict[str, int], task: str) -> tuple[Callable[[], float], int, int]:
    flow = recipe(cell)
    params = flow.init(jax.random.key(0), jax_calls.rows(cell["B"], cell["D"]))
    if name != "loop":
        return jax_calls.calls(flow.log_prob, flow.sample, params, cell, task)
    if task != "step":
        raise cells.NotThere("the loop trains")
    size = jax_calls.count(params)
    return loop(flow, params, cell), size, cell["loop"]


if __name__ == "__main__":
    cells.serve(
        build,
        {
            "bert-flowjax": flowjax.__version__,
            "flax": flax.__version__,
            "jax": jax.__version__,
            "optax": optax.__version__,
        },
    )
