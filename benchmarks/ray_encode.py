"""Encoding on Ray: throughput against the plain store, and memory of each process.

    python benchmarks/ray_encode.py throughput --sentences 200000 --rounds 3 --out ray_rate.json
    python benchmarks/ray_encode.py memory --sizes 100000 1000000 10000000 --out ray_memory.json
    python benchmarks/ray_encode.py figure ray_memory.json docs/ray_memory.png

`throughput` runs `flowjax encode minibert` as a user does, with the store and with 1 and 2 workers
of Ray, interleaved. `memory` samples the private memory of all processes of Ray every half second;
its encoder has no network, so that 10^7 sentences take minutes.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

WORDS = """the a man woman dog plays runs walks guitar street music water blue green old new house
rain sun harbour boat child reads writes paper city night morning train waits small""".split()


def write_sentences(path, n):
    """Writes n sentences of 4 to 18 words."""
    rng = random.Random(0)
    lines = [" ".join(rng.choices(WORDS, k=rng.randint(4, 18))) for _ in range(min(n, 100_000))]
    with open(path, "w") as file:
        for start in range(0, n, len(lines)):
            file.writelines(f"{line} {start}\n" for line in lines[: n - start])


def throughput(args):
    results = []
    with tempfile.TemporaryDirectory() as folder:
        text = f"{folder}/a.txt"
        write_sentences(text, args.sentences)
        cells = {
            "store": ["--out", f"{folder}/v.npy"],
            "ray, 1 worker": ["--out", f"{folder}/v", "--engine", "ray", "--workers", "1"],
            "ray, 2 workers": ["--out", f"{folder}/v", "--engine", "ray", "--workers", "2"],
        }
        for _ in range(args.rounds):
            for name, flags in cells.items():
                shutil.rmtree(f"{folder}/v", ignore_errors=True)
                Path(f"{folder}/v.npy").unlink(missing_ok=True)
                begun = time.monotonic()
                command = ["flowjax", "encode", "minibert", text, *flags]
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    sys.exit(done.stderr[-2000:])
                wall = time.monotonic() - begun
                # Ray's own time of the job, without the start of the cluster.
                found = [line for line in done.stderr.splitlines() if "finished in" in line]
                job = float(found[-1].split("finished in")[1].split()[0]) if found else None
                results.append(
                    {"cell": name, "seconds": wall, "job": job, "load": os.getloadavg()[0]}
                )
                print(json.dumps(results[-1]), flush=True)
    plain = statistics.median(r["seconds"] for r in results if r["cell"] == "store")
    for name in cells:
        wall = statistics.median(r["seconds"] for r in results if r["cell"] == name)
        rate = args.sentences / wall
        print(f"| {name} | {wall:.1f} s | {rate:,.0f} sentences/s | {wall / plain:.2f} |")
    return {"sentences": args.sentences, "runs": results}


class Cheap:
    """Encoder without a network."""

    name = "cheap"

    def encode(self, sentences):
        counts = np.array([[len(s), s.count(" ")] for s in sentences], np.float32)
        return np.tile(counts, (1, 32))


def private(pid):
    """Returns the anonymous memory of a process, in MiB."""
    with open(f"/proc/{pid}/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    return int(fields["RssAnon"].split()[0]) / 1024


def processes(driver):
    """Yields the role and the process id of the driver and of Ray's workers."""
    yield "driver", driver
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            title = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
        except OSError:
            continue
        if title.startswith("ray::MapWorker") or "MapBatches" in title:
            yield "worker", int(pid)
        elif title.startswith("ray::ReadSentences"):
            yield "reader", int(pid)


def memory(args):
    import ray

    from flowjax.ray import encode

    ray.init(address="local", num_cpus=5, include_dashboard=False)
    curves = {}
    for n in args.sizes:
        samples, stop = [], threading.Event()

        def watch(samples=samples, stop=stop):
            begun = time.monotonic()
            while not stop.wait(0.5):
                for role, pid in processes(os.getpid()):
                    try:
                        samples.append([time.monotonic() - begun, role, pid, private(pid)])
                    except (OSError, KeyError):
                        pass

        thread = threading.Thread(target=watch)
        thread.start()
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            write_sentences(f"{folder}/a.txt", n)
            encode(Cheap(), f"{folder}/a.txt", f"{folder}/v", workers=2)
        stop.set()
        thread.join()
        curves[str(n)] = samples
        for role in ("driver", "worker", "reader"):
            largest = max((s[3] for s in samples if s[1] == role), default=float("nan"))
            print(f"| {n:,} | {role} | {largest:.0f} MiB |", flush=True)
    return {"curves": curves, "load": os.getloadavg()[0]}


def figure(args):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    curves = json.loads(Path(args.results).read_text())["curves"]
    roles = ("driver", "worker", "reader")
    fig, axes = plt.subplots(1, 3, figsize=(9, 2.8), sharey=True, layout="constrained")
    for ax, role in zip(axes, roles):
        for n, samples in curves.items():
            pids = {s[2] for s in samples if s[1] == role}
            for i, pid in enumerate(sorted(pids)):
                points = [(s[0], s[3]) for s in samples if s[2] == pid]
                times, sizes = np.array(points).T
                share = (times - times[0]) / max(times[-1] - times[0], 1e-9)
                label = f"{int(n):,} sentences" if i == 0 else None
                ax.plot(share, sizes, label=label, color=f"C{list(curves).index(n)}")
        ax.set(title=role, xlabel="fraction of the job", ylim=(0, None))
    axes[0].set_ylabel("private memory (MiB)")
    axes[-1].legend(frameon=False, fontsize="small")
    fig.savefig(args.image, dpi=130)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    rate = commands.add_parser("throughput")
    rate.add_argument("--sentences", type=int, default=200_000)
    rate.add_argument("--rounds", type=int, default=3)
    rate.set_defaults(run=throughput)
    size = commands.add_parser("memory")
    size.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    size.add_argument("--folder", help="folder of the temporary files")
    size.set_defaults(run=memory)
    for parser_ in (rate, size):
        parser_.add_argument("--out", required=True)
    plot = commands.add_parser("figure")
    plot.add_argument("results")
    plot.add_argument("image")
    plot.set_defaults(run=figure)
    args = parser.parse_args()
    found = args.run(args)
    if found is not None:
        Path(args.out).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
