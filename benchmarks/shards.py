"""Fits a flow on shards that are larger than memory may be, and on resident data: rate and memory.

    python benchmarks/shards.py --folder /scratch/shards --rows 10000000 --dim 256

The script writes float16 shards (Parquet with row groups of 8,192 rows, and `.npy`), then fits the
same flow, each case in its own process: on a resident array of `--resident` rows, on the Parquet
shards, and on the `.npy` shards. One epoch by default. It prints one line of JSON per case.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROW_GROUP, SHARD = 8192, 250_000


def write(folder, rows, dim):
    """Writes the shards; each has the same random numbers with its columns rotated."""
    import pyarrow as arrow
    from pyarrow import parquet

    rng = np.random.default_rng(0)
    base = rng.normal(size=(SHARD, dim)).astype(np.float32)
    base[:, 1:] += 0.5 * base[:, :-1]
    base = base.astype(np.float16)
    for kind in ("parquet", "npy"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for i, start in enumerate(range(0, rows, SHARD)):
        n = min(SHARD, rows - start)
        block = np.roll(base[:n], i, axis=1)
        names = [folder / kind / f"{i:06d}.{kind}" for kind in ("parquet", "npy")]
        if all(name.exists() for name in names):
            continue
        flat = arrow.FixedSizeListArray.from_arrays(arrow.array(block.ravel()), dim)
        options = {"use_dictionary": False, "compression": "none", "row_group_size": ROW_GROUP}
        parquet.write_table(arrow.table({"vector": flat}), names[0], **options)
        np.save(names[1], block)


def fit(args, case):
    """Fits one case in this process and returns the measured values."""
    import jax

    import flowjax
    from flowjax.data import shard_source

    data = args.folder / case
    if case == "resident":
        files = sorted((args.folder / "npy").glob("*.npy"))
        parts = [np.load(f) for f in files[: -(-args.resident // SHARD)]]
        data = np.concatenate(parts)[: args.resident].astype(np.float32)
    else:
        shard_source.RESIDENT_BYTES = 0
    steps = args.steps or args.rows // args.batch
    flow = flowjax.flows.make(args.flow, args.dim, **json.loads(args.options))
    seen = []
    clock, cpu = time.monotonic(), time.process_time()
    result = flowjax.fit(
        flow,
        data,
        key=0,
        batch_size=args.batch,
        steps=steps,
        on_step=lambda row: seen.append((row["step"], time.monotonic())) and None,
    )
    jax.block_until_ready(result.params)
    total = time.monotonic() - clock
    status = Path("/proc/self/status").read_text()
    peak = {k: int(status.split(f"{k}:")[1].split()[0]) / 1e6 for k in ("VmHWM", "RssAnon")}
    first, last = seen[len(seen) // 4], seen[-1]  # without compilation and the first blocks
    rate = (last[0] - first[0]) * args.batch / (last[1] - first[1])
    return {
        "case": case,
        "rows": args.resident if case == "resident" else args.rows,
        "dim": args.dim,
        "flow": args.flow,
        "steps": result.steps,
        "examples_per_s": round(rate),
        "seconds": round(total, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "peak_gb": round(peak["VmHWM"], 2),
        "bits_per_dim": round(result.likelihood.get("bits_per_dim", float("nan")), 4),
        "load": os.getloadavg()[0],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--resident", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--flow", default="realnvp")
    parser.add_argument("--options", default='{"depth": 2, "width": 64}')
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=0, help="0 means one epoch")
    parser.add_argument("--cases", default="resident,parquet,npy")
    parser.add_argument("--case", default="")
    args = parser.parse_args()
    if args.case:
        print(json.dumps(fit(args, args.case)), flush=True)
        return
    write(args.folder, args.rows, args.dim)
    for case in args.cases.split(","):
        subprocess.run([sys.executable, *sys.argv, "--case", case], check=True)


if __name__ == "__main__":
    main()
