"""Computes time, size and requests of encoding 10^6 to 10^10 sentences on Ray, from measurements.

    python benchmarks/ray_cost.py [memory.json] --rate 9000 --dim 384 --bytes 2 --workers 1 8 64

`--rate` is the measured number of sentences per second of one worker. `memory.json` is the result
of `ray_encode.py memory`; its largest run gives the CPU time of the driver per block, hence the
number of workers that one driver can feed, and that of the reader per sentence.
"""

import argparse
import json
from pathlib import Path

BLOCK = 8192
JOURNAL_ROWS = 32  # at least, per file of the journal


def largest_run(path):
    """Returns the CPU seconds of the driver per block and of the reader per sentence."""
    run = max(json.loads(Path(path).read_text()), key=lambda run: run["sentences"])
    seconds = {}
    for role in ("driver", "reader"):
        by_process = {}
        for _, kind, pid, _, cpu in run["samples"]:
            if kind == role:
                by_process.setdefault(pid, []).append(cpu)
        # The driver ran before the job.
        seconds[role] = sum(
            max(v) - (min(v) if role == "driver" else 0) for v in by_process.values()
        )
    return seconds["driver"] * BLOCK / run["sentences"], seconds["reader"] / run["sentences"]


def text(seconds):
    """Returns a duration in the largest unit of which there is at least one."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("memory", nargs="?", help="result of `ray_encode.py memory`")
    parser.add_argument("--rate", type=float, required=True, help="sentences/s of a worker")
    parser.add_argument(
        "--startup", type=float, default=0.0, help="seconds before the first block"
    )
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--bytes", type=int, default=2, help="per number of a vector")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8, 64])
    args = parser.parse_args()
    names = [f"{n} worker{'s' * (n > 1)}" for n in args.workers]
    print("|".join(["| sentences", "vectors", "shards", "journal files", *names, ""]))
    print("|---" * (4 + len(names)) + "|")
    for power in range(6, 11):
        n = 10**power
        blocks = -(-n // BLOCK)
        times = [text(args.startup + n / args.rate / w) for w in args.workers]
        size = n * args.dim * args.bytes / 1e9
        cells = [
            f"10^{power}",
            f"{size:,.1f} GB",
            f"{blocks:,}",
            f"{-(-blocks // JOURNAL_ROWS):,}",
        ]
        print("| " + " | ".join([*cells, *times]) + " |")
    if args.memory:
        driver, reader = largest_run(args.memory)
        print(
            f"\ndriver: {driver * 1e3:.1f} ms of CPU per block, so at most "
            f"{BLOCK / driver:,.0f} sentences/s, or {BLOCK / driver / args.rate:,.0f} workers\n"
            f"reader of one file: {reader * 1e6:.1f} us of CPU per sentence, so at most "
            f"{1 / reader:,.0f} sentences/s, or {1 / reader / args.rate:,.1f} workers"
        )


if __name__ == "__main__":
    main()
