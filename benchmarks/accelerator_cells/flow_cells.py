"""Measurements of flows: training, functions, and the mappings over devices."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

from accelerator_cells.measure import Results, Size, memory, random_rows, timed, train_ms


def flows_of(size: dict[str, Any]) -> dict[str, tuple[Any, str | None]]:
    """Flow and precision of the training, by name."""
    from flowjax import flows

    dim = size["dim"]
    table: dict[str, tuple[Callable[[], Any], str | None]] = {
        "glow": (lambda: flows.glow(dim, latent_power=None), None),
        "realnvp 12 x 512": (lambda: flows.realnvp(dim, **size["wide"]), "bfloat16"),
        "glow, LU, affine": (lambda: flows.glow(dim, permutation="lu", coupling="affine"), None),
        "neural_spline": (lambda: flows.neural_spline(dim), None),
        "whitening": (lambda: flows.whitening(dim), None),
    }
    return {name: (table[name][0](), table[name][1]) for name in size["flows"]}


def epoch(size: Size) -> Results:
    import jax

    from flowjax.data.arrays import ArraySource
    from flowjax.fitting.losses import nll_loss
    from flowjax.training import default_optimizer, freeze

    rows = random_rows(size["rows"], size["dim"])
    for name, (flow, precision) in list(flows_of(size).items())[: size["trained"]]:
        params = flow.init(jax.random.key(0), rows[:4096])
        for batch in size["batches"]:
            for resident in (True, False):
                source = ArraySource(rows, resident=resident)
                found = train_ms(
                    nll_loss(flow), freeze(default_optimizer(), params), params, source, batch,
                    size["step_seconds"], precision=precision,
                )  # fmt: skip
                epoch = found["ms"] * size["rows"] / batch / 1e3
                kind = "resident" if resident else "streamed"
                values = {"epoch_s": epoch, "examples/s": 1e3 * batch / found["ms"]}
                yield f"{name}, batch {batch}, {kind}", {**values, **found, **memory()}


def functions(size: Size) -> Results:
    import jax

    n, dim = size["function_rows"], size["dim"]
    x = jax.device_put(random_rows(n, dim))
    for name, (flow, _) in flows_of(size).items():
        params = flow.init(jax.random.key(0), x[:4096])
        calls = {
            "log_prob": partial(jax.jit(flow.log_prob), params, x),
            "inverse": partial(jax.jit(lambda p, z, f=flow: f.inverse(p, z)[0]), params, x),
            "sample": partial(
                jax.jit(flow.sample, static_argnums=2), params, jax.random.key(0), n
            ),
        }
        for function, call in calls.items():
            found = timed(call, size["seconds"] / 2)
            yield f"{name}, {function}", {"examples/s": 1e3 * n / found["ms"], **found, **memory()}


def mappings(size: Size) -> Results:
    """`shard_map` and `pmap`, interleaved."""
    import jax

    from flowjax.data.arrays import ArraySource
    from flowjax.fitting.losses import nll_loss
    from flowjax.training import default_optimizer, freeze

    rows = random_rows(min(size["rows"], 1 << 16), size["dim"])
    for name, (flow, precision) in list(flows_of(size).items())[: size["trained"]]:
        params = flow.init(jax.random.key(0), rows[:4096])
        found: dict[str, list[float]] = {"shard_map": [], "pmap": []}
        for turn in range(3):
            for mapping in list(found)[:: 1 if turn % 2 else -1]:
                ms = train_ms(
                    nll_loss(flow), freeze(default_optimizer(), params), params,
                    ArraySource(rows, resident=True), size["batches"][-1],
                    size["step_seconds"] / 4, precision=precision, mapping=mapping,
                )["ms"]  # fmt: skip
                found[mapping].append(ms)
        middle = {f"{mapping}_ms": statistics.median(ms) for mapping, ms in found.items()}
        yield name, {**middle, "ratio": middle["pmap_ms"] / middle["shard_map_ms"]}
