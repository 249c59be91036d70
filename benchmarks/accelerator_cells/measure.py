"""Times, memory and data of the measurements."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

Size = dict[str, Any]
Results = Iterator[tuple[str, dict[str, Any]]]


def timed(call: Callable[[], Any], seconds: float) -> dict[str, float]:
    """Milliseconds of a call that returns arrays: median, quartiles; and seconds of the first."""
    import jax

    began = time.perf_counter()
    jax.block_until_ready(call())
    first = time.perf_counter() - began
    began = time.perf_counter()
    jax.block_until_ready(call())
    once = max(time.perf_counter() - began, 1e-6)
    inner = max(1, int(seconds / 9 / once))  # calls between two synchronisations
    times = []
    for _ in range(9):
        began = time.perf_counter()
        for _ in range(inner):
            done = call()
        jax.block_until_ready(done)
        times.append(1e3 * (time.perf_counter() - began) / inner)
    low, middle, high = statistics.quantiles(times, n=4)
    return {"ms": middle, "ms_low": low, "ms_high": high, "first_s": first}


def memory() -> dict[str, float]:
    """Largest use of device memory by this process so far, in GiB; {} where it is unknown."""
    import jax

    stats = jax.local_devices()[0].memory_stats() or {}
    peak = stats.get("peak_bytes_in_use")
    return {} if peak is None else {"peak_GiB": peak / 2**30}


def random_params(init: Callable[..., Any], *args: Any) -> Any:
    """Normal numbers with the shapes of `init(*args)`, whose compilation takes long."""
    import jax
    import numpy as np

    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: (0.02 * rng.standard_normal(leaf.shape, np.float32)).astype(leaf.dtype),
        jax.eval_shape(init, *args),
    )


def random_rows(rows: int, dim: int) -> Any:
    """Correlated normal rows on the host, made on the device."""
    import jax
    import numpy as np

    @jax.jit
    def block(key: Any) -> Any:
        mixing = jax.random.normal(jax.random.key(7), (dim, dim)) / dim**0.5
        return jax.random.normal(key, (min(rows, 1 << 16), dim)) @ mixing

    count = -(-rows // (1 << 16))
    blocks = [np.asarray(block(jax.random.key(i))) for i in range(count)]
    return np.concatenate(blocks)[:rows]


def product_rate(size: int, dtype: Any, precision: str | None, seconds: float) -> float:
    """TFLOP/s of a square matrix product of random numbers."""
    import jax

    a, b = (jax.random.normal(jax.random.key(i), (size, size), dtype) for i in range(2))
    call = jax.jit(partial(jax.numpy.matmul, precision=precision))
    return 2 * size**3 / timed(lambda: call(a, b), seconds)["ms"] / 1e9


def train_ms(
    loss: Any, optimizer: Any, params: Any, source: Any, batch: int, seconds: float, **options: Any
) -> dict[str, float]:
    """Milliseconds per step of the training loop, and seconds until the first steps are done."""
    from flowjax import training

    state = training.init_state(params, optimizer)
    began, chunks = time.perf_counter(), []

    def on_chunk(chunk: Any, _: Any) -> bool:
        chunks.append((chunk.stop, time.perf_counter()))
        return len(chunks) > 4 and chunks[-1][1] - chunks[2][1] > seconds

    training.train(
        loss, optimizer, state, source, steps=10**7, batch_size=batch, seed=0, on_chunk=on_chunk,
        **options,
    )  # fmt: skip
    pairs = pairwise(chunks[2:])  # the first ones compile
    ms = [1e3 * (b[1] - a[1]) / (b[0] - a[0]) for a, b in pairs]
    return {"ms": statistics.median(ms), "first_s": chunks[0][1] - began}
