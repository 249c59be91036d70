"""Fitting at scale: memory, streamed against resident rows, the loop, devices. Table: `scale.md`.

    python benchmarks/scale.py [memory] [stream] [loop] [devices] [--out scale.json]

Each number comes from a separate process (this file with a cell's name), one after the other.
The files, up to 2.6 GB, lie in a temporary folder that is deleted at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

# The first is what the command gives itself (`flowjax.__main__`).
SETTINGS = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", "JAX_PLATFORMS": "cpu"}


def glow(dim):
    """The paper's: 2 levels x 3 steps, additive couplings, nets 32 wide."""
    from flowjax import flows

    return flows.glow(dim, latent_power=None)


def write_rows(path: Path, n: int, dim: int) -> None:
    """Normal numbers with some correlation, a block at a time."""
    import numpy as np

    rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, dim))
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(dim, dim)).astype(np.float32) / dim**0.5
    for start in range(0, n, 65_536):
        count = min(65_536, n - start)
        rows[start : start + count] = rng.standard_normal((count, dim), np.float32) @ mixing
    rows.flush()


def write_store(folder: Path, rows) -> None:
    """An embedding store as it stands on disk, made from rows in place of sentences."""
    from flowjax.data.store import EmbeddingStore

    def vectors(blocks):
        for block in blocks:
            yield rows[int(block[0]) : int(block[-1]) + 1], {}

    store = EmbeddingStore(folder, {"encoder": "rows"}, dim=rows.shape[1])
    store.fill((str(i) for i in range(len(rows))), vectors)


def memory_of_this() -> dict[str, int]:
    """MiB: anonymous (what the program holds) and all (with pages of mapped files)."""
    status = Path("/proc/self/status").read_text().splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) >> 10 for line in status if "kB" in line}
    return {"anonymous": found["RssAnon"], "total": found["VmRSS"], "peak": found["VmHWM"]}


def cell_memory(path: str, steps: str) -> dict:
    """A whole `fit` on a mapped file: init (moments, sample), validation aside, training."""
    import flowjax
    from flowjax import flows
    from flowjax.data.arrays import ArraySource, open_rows

    source = ArraySource(open_rows(path), resident=False)
    seen = []
    began = time.perf_counter()
    flowjax.fit(
        flows.whitening_glow(source.dim), source, key=0, batch_size=512, steps=int(steps),
        validation=1000 / source.size, on_step=lambda row: seen.append(memory_of_this()) and None,
    )  # fmt: skip
    worst = {name: max(m[name] for m in seen) for name in seen[0]}
    return worst | {"rows": source.size, "seconds": time.perf_counter() - began}


def step_ms(source, batch_size: int, seconds: float, devices=1) -> float:
    """Median ms a step of the library's loop over its dispatches, compilation left out."""
    import jax

    from flowjax import training
    from flowjax.fitting.fit import nll_loss
    from flowjax.fitting.passes import init_params
    from flowjax.parallel import devices as device
    from flowjax.training import default_optimizer

    flow, optimizer = glow(source.dim), default_optimizer()
    state = training.init_state(init_params(flow, jax.random.key(0), source), optimizer)
    ends = []

    def on_chunk(chunk, state):
        ends.append((chunk.stop, time.perf_counter()))
        return len(ends) > 4 and ends[-1][1] - ends[3][1] > seconds

    training.train(
        nll_loss(flow), optimizer, state, source, steps=10**7, batch_size=batch_size, seed=0,
        mesh=device.make_mesh(devices), on_chunk=on_chunk,
    )  # fmt: skip
    ends = ends[3:]  # the first dispatches compile and find their length
    pairs = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairwise(ends)]
    return 1e3 * statistics.median(pairs)


def cell_stream(kind: str, path: str, batch: str, seconds: str) -> dict:
    from flowjax.data.arrays import ArraySource, open_rows

    source = ArraySource(open_rows(path), resident=kind == "resident")
    return {"ms": step_ms(source, int(batch), float(seconds))}


def cell_loop(kind: str, dim: str, batch: str, seconds: str) -> dict:
    """Returns the ms of a step in our loop, or in a Python loop around the same jitted step."""
    import jax
    import numpy as np
    import optax

    from flowjax.data.arrays import ArraySource
    from flowjax.fitting.fit import nll_loss
    from flowjax.training import default_optimizer

    dim, batch = int(dim), int(batch)
    rows = np.random.default_rng(0).standard_normal((20_000, dim)).astype(np.float32)
    if kind == "loop":
        return {"ms": step_ms(ArraySource(rows, resident=True), batch, float(seconds))}
    flow, optimizer = glow(dim), default_optimizer()
    params = flow.init(jax.random.key(0), rows)
    loss = nll_loss(flow)

    @jax.jit
    def step(params, opt_state, x):
        (value, _), grads = jax.value_and_grad(loss, has_aux=True)(params, None, {"x": x}, None)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, value, optax.tree.norm(grads)

    if kind == "donated":  # as good as a Python loop gets
        step = jax.jit(step.__wrapped__, donate_argnums=(0, 1))
    opt_state = optimizer.init(params)
    rng, order, at, times = np.random.default_rng(1), None, 0, []
    fixed = jax.device_put(rows[:batch])
    began = time.perf_counter()
    while time.perf_counter() - began < float(seconds) + 3:  # the first three seconds are left out
        then = time.perf_counter()
        for _ in range(20):
            if kind == "donated":
                params, opt_state, value, _ = step(params, opt_state, fixed)
                continue
            if order is None or at + batch > len(order):
                order, at = rng.permutation(len(rows)), 0
            x = rows[order[at : at + batch]]
            at += batch
            params, opt_state, value, _ = step(params, opt_state, x)
            if kind == "watched":
                float(value)
        jax.block_until_ready(params)
        if then - began > 3:
            times.append((time.perf_counter() - then) / 20)
    return {"ms": 1e3 * statistics.median(times)}


def cell_devices(n: str, seconds: str) -> dict:
    import numpy as np

    from flowjax.data.arrays import ArraySource

    rows = np.random.default_rng(0).standard_normal((20_000, 64)).astype(np.float32)
    return {"ms": step_ms(ArraySource(rows, resident=True), 512, float(seconds), int(n))}


def ask(cell: str, *words: object, **env: str) -> dict:
    """Runs one cell in a separate process."""
    done = subprocess.run(
        [sys.executable, __file__, "--cell", cell, *map(str, words)],
        env=os.environ | SETTINGS | env, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    answer = {"cell": cell, "of": [str(w) for w in words], **json.loads(done.stdout)}
    print(json.dumps(answer), flush=True)
    return answer


def alternate(rounds: int, cell: str, kinds: list[str], *words: object) -> dict[str, float]:
    """Returns the median ms of each kind; rounds are interleaved, every other one backwards."""
    found: dict[str, list[float]] = {kind: [] for kind in kinds}
    for turn in range(rounds):
        for kind in kinds if turn % 2 == 0 else kinds[::-1]:
            found[kind].append(ask(cell, kind, *words[0][kind], *words[1:])["ms"])
    return {kind: statistics.median(values) for kind, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=["memory", "stream", "loop", "devices"])
    parser.add_argument("--cell", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, nargs="+", default=[10**5, 10**6, 10**7])
    parser.add_argument("--seconds", type=float, default=4, help="of a measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="where to write all numbers, as JSON")
    args = parser.parse_args()
    if args.cell:
        print(json.dumps(globals()["cell_" + args.cell[0]](*args.cell[1:])))
        return
    results: dict = {}
    with tempfile.TemporaryDirectory(prefix="flowjax-scale-") as temp:
        folder = Path(temp)
        if "memory" in args.parts:
            for n in args.rows:
                path = folder / "rows.npy"
                write_rows(path, n, 64)
                results[f"memory {n} x 64"] = ask("memory", path, 300)
                path.unlink()
        if "stream" in args.parts:
            for dim, batch in ((64, 64), (64, 512), (768, 64)):
                path, store = folder / f"{dim}.npy", folder / f"store{dim}"
                if not path.exists():
                    import numpy as np

                    write_rows(path, 100_000, dim)
                    write_store(store, np.load(path, mmap_mode="r"))
                where = {"resident": [path], "npy": [path], "store": [store]}
                found = alternate(args.rounds, "stream", list(where), where, batch, args.seconds)
                results[f"stream dim {dim} batch {batch}"] = found
                print(dim, batch, {k: v / found["resident"] for k, v in found.items()})
        if "loop" in args.parts:
            kinds = {"loop": [], "donated": [], "plain": [], "watched": []}
            for dim in (16, 64, 768):
                found = alternate(args.rounds, "loop", list(kinds), kinds, dim, 64, args.seconds)
                results[f"loop dim {dim}"] = found
                print(dim, {k: v / found["loop"] for k, v in found.items()})
        if "devices" in args.parts:
            for n in (1, 2, 4, 8):
                flag = f"--xla_force_host_platform_device_count={n}"
                results[f"devices {n}"] = ask("devices", n, args.seconds, XLA_FLAGS=flag)
    if args.out:
        args.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
