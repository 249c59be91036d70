"""Encoding on Ray: throughput against the plain store, memory of each process, killed nodes.

    python benchmarks/ray_encode.py throughput --sentences 20000 200000 --rounds 3 --out rate.json
    python benchmarks/ray_encode.py memory --sizes 100000 1000000 10000000 --out memory.json
    python benchmarks/ray_encode.py figure memory.json docs/ray_memory.png
    python benchmarks/ray_encode.py kills --times 10 --out kills.json

`throughput` runs `flowjax encode minibert` as a user does, with the store and with 1 and 2 workers
of Ray, interleaved. `memory` samples all processes of Ray every half second; its encoder has no
network and waits, so that it is slower than the reader and 10^7 sentences take minutes. `kills`
kills one of three nodes in each job, at a random moment. Finished runs are kept in `--out`, and
the same command continues; `--until` is the number of seconds after which no run starts.
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
BEGUN = time.monotonic()


def write_sentences(path, n):
    """Writes n sentences of 5 to 19 words."""
    rng = random.Random(0)
    lines = [" ".join(rng.choices(WORDS, k=rng.randint(4, 18))) for _ in range(min(n, 100_000))]
    with open(path, "w") as file:
        for start in range(0, n, len(lines)):
            file.writelines(f"{line} {start}\n" for line in lines[: n - start])


class Results(list):
    """Measured runs in a JSON file, which is written after each run."""

    def __init__(self, args):
        self.path, self.until = Path(args.out), args.until
        super().__init__(json.loads(self.path.read_text()) if self.path.exists() else [])

    def add(self, row):
        self.append({**row, "load": os.getloadavg()[0]})
        self.path.write_text(json.dumps(self))

    def may_start(self):
        return time.monotonic() - BEGUN < self.until


def processes(root):
    """Yields the process id, the title and the status of a process and its descendants."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            title = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
            rest = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        found[int(pid)] = (title, rest)
    wanted = {root}
    while more := {p for p, (_, rest) in found.items() if int(rest[1]) in wanted} - wanted:
        wanted |= more
    yield from ((pid, *found[pid]) for pid in wanted if pid in found)


def cpu_of(status):
    """Returns the CPU seconds of a process from the fields of /proc/PID/stat after its name."""
    return (int(status[11]) + int(status[12])) / os.sysconf("SC_CLK_TCK")


def run_command(command):
    """Runs a command; returns its wall seconds, its CPU seconds, and its messages."""
    begun, seconds = time.monotonic(), {}
    with tempfile.TemporaryFile("w+") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log)
        while child.poll() is None:
            for pid, _, status in processes(child.pid):
                seconds[pid] = cpu_of(status)
            time.sleep(0.25)
        wall = time.monotonic() - begun
        log.seek(0)
        text = log.read()
    if child.returncode:
        sys.exit(text[-2000:])
    return wall, sum(seconds.values()), text


def throughput(args):
    results = Results(args)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        cells = {
            "store": ["--out", f"{folder}/v.npy"],
            "ray, 1 worker": ["--out", f"{folder}/v", "--engine", "ray", "--workers", "1"],
            "ray, 2 workers": ["--out", f"{folder}/v", "--engine", "ray", "--workers", "2"],
        }
        for n in args.sentences:
            write_sentences(f"{folder}/{n}.txt", n)
        jobs = [(r, n, c) for r in range(args.rounds) for n in args.sentences for c in cells]
        for turn, n, cell in jobs:
            key = {"cell": cell, "sentences": n, "round": turn}
            if any(key.items() <= row.items() for row in results) or not results.may_start():
                continue
            shutil.rmtree(f"{folder}/v", ignore_errors=True)
            for old in Path(folder).glob("v.npy*"):
                shutil.rmtree(old) if old.is_dir() else old.unlink()
            command = ["flowjax", "encode", "minibert", f"{folder}/{n}.txt", *cells[cell]]
            wall, cpu, text = run_command(command)
            # Ray's own time of the job, without the start of Ray.
            ends = [line for line in text.splitlines() if "finished in" in line]
            job = float(ends[-1].split("finished in")[1].split()[0]) if ends else None
            results.add({**key, "seconds": wall, "cpu": cpu, "job": job})
            print(json.dumps(results[-1]), flush=True)

    def middle(cell, n, name):
        rows = [r[name] for r in results if (r["cell"], r["sentences"]) == (cell, n)]
        return statistics.median(rows) if rows else float("nan")

    print("| sentences | | wall | per store | sentences/s | CPU | per store | Ray's job |")
    for n in args.sentences:
        for cell in cells:
            wall, cpu = middle(cell, n, "seconds"), middle(cell, n, "cpu")
            parts = wall / middle("store", n, "seconds"), cpu / middle("store", n, "cpu")
            job = "" if cell == "store" else f"{middle(cell, n, 'job'):.1f} s"
            print(
                f"| {n:,} | {cell} | {wall:.1f} s | {parts[0]:.2f} | {n / wall:,.0f} "
                f"| {cpu:.1f} s | {parts[1]:.2f} | {job} |"
            )
    small, large = min(args.sentences), max(args.sentences)
    for cell in cells if small < large else ():
        wall = [middle(cell, n, "seconds") for n in (small, large)]
        cpu = [middle(cell, n, "cpu") for n in (small, large)]
        rate = (large - small) / (wall[1] - wall[0])
        print(
            f"{cell}: {rate:,.0f} sentences/s without the fixed {wall[0] - small / rate:.1f} s; "
            f"{(cpu[1] - cpu[0]) / (large - small) * 1e3:.3f} ms of CPU per sentence"
        )


class Cheap:
    """Encoder without a network, which waits in each call with a whole block."""

    name = "cheap"

    def __init__(self, pause):
        self.pause = pause

    def encode(self, sentences):
        if len(sentences) > 10:
            time.sleep(self.pause)
        counts = np.array([[len(s), s.count(" ")] for s in sentences], np.float32)
        return np.tile(counts, (1, 32))


def role_of(pid, title):
    """Returns the role of a process of Ray, or None."""
    if pid == os.getpid():
        return "driver"
    if title.startswith("ray::MapWorker"):
        return "worker"
    return "reader" if title.startswith("ray::ReadSentences") else None


def private(pid):
    """Returns the anonymous memory of a process, in MiB."""
    with open(f"/proc/{pid}/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    return int(fields["RssAnon"].split()[0]) / 1024


def watch(samples, stop):
    """Appends samples `[seconds, role, pid, MiB, CPU seconds]` until `stop` is set."""
    begun, before = time.monotonic(), shutil.disk_usage("/dev/shm").used
    while not stop.wait(0.5):
        seconds = time.monotonic() - begun
        shared = (shutil.disk_usage("/dev/shm").used - before) / 2**20  # Ray's objects are there
        samples.append([seconds, "object store", 0, shared, 0.0])
        for pid, title, status in processes(os.getpid()):
            try:
                if role := role_of(pid, title):
                    samples.append([seconds, role, pid, private(pid), cpu_of(status)])
            except (OSError, KeyError):  # the process ended
                pass


def memory(args):
    import ray

    from flowjax.ray import encode

    store = args.object_store << 20
    ray.init(address="local", num_cpus=5, include_dashboard=False, object_store_memory=store)
    results = Results(args)
    for n in args.sizes:
        if any(row["sentences"] == n for row in results) or not results.may_start():
            continue
        samples, stop = [], threading.Event()
        thread = threading.Thread(target=watch, args=(samples, stop))
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            write_sentences(f"{folder}/a.txt", n)
            begun = time.monotonic()
            thread.start()
            encode(Cheap(args.pause), f"{folder}/a.txt", f"{folder}/v", workers=2, dtype="float16")
            wall = time.monotonic() - begun
            stop.set()
            thread.join()
        results.add({"sentences": n, "pause": args.pause, "seconds": wall, "samples": samples})
        for role in ROLES:
            largest = max((s[3] for s in samples if s[1] == role), default=float("nan"))
            print(f"| {n:,} | {role} | {largest:.0f} MiB | {wall:.0f} s |", flush=True)


ROLES = ("driver", "worker", "reader", "object store")


def figure(args):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    runs = json.loads(Path(args.results).read_text())
    fig, axes = plt.subplots(1, 4, figsize=(11, 2.8), sharey=True, layout="constrained")
    for ax, role in zip(axes, ROLES):
        for color, run in enumerate(runs):
            label = f"$10^{np.log10(run['sentences']):.0f}$ sentences"
            for pid in sorted({s[2] for s in run["samples"] if s[1] == role}):
                points = [(s[0], s[3]) for s in run["samples"] if s[2] == pid]
                times, sizes = np.array(points).T
                ax.plot(times / run["seconds"], sizes, label=label, color=f"C{color}")
                label = None
        ax.set(title=role, xlabel="fraction of the job", xlim=(0, 1))
    axes[0].set(ylabel="memory (MiB)", ylim=(0, None))
    axes[-1].legend(frameon=False, fontsize="small")
    fig.savefig(args.image, dpi=130)


def kills(args):
    """Kills a node in each job when a random number of shards exists, and checks the shards."""
    import pyarrow.parquet as pq
    import ray
    from ray.cluster_utils import Cluster

    from flowjax.ray import encode

    node = {"num_cpus": 2, "object_store_memory": 80 << 20, "include_log_monitor": False}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    cluster.add_node(**node)
    ray.init(address=cluster.address)
    results, files, rows = Results(args), 24, 40
    while len(results) < args.times and results.may_start():
        rng = random.Random(len(results))
        moment, delay = rng.randint(0, files - 4), rng.random()
        victim, killed = cluster.add_node(**node), []
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            out = Path(folder) / "v"
            texts = [f"{i} " + " ".join(rng.choices(WORDS, k=4)) for i in range(files * rows)]
            for i in range(files):
                lines = texts[i * rows : (i + 1) * rows]
                Path(folder, f"{i:03d}.txt").write_text("".join(f"{t}\n" for t in lines))

            def kill(out=out, victim=victim, moment=moment, delay=delay, killed=killed):
                while len(list(out.glob("shards/*.parquet"))) < moment:
                    time.sleep(0.05)
                time.sleep(delay)
                killed.append(len(list(out.glob("shards/*.parquet"))))
                cluster.remove_node(victim, False)  # SIGKILL

            thread = threading.Thread(target=kill)
            thread.start()
            begun, result = time.monotonic(), "every sentence once"
            try:
                encode(Cheap(1.0), f"{folder}/*.txt", out, workers=4)
            except Exception as error:  # counted in the table
                result = f"{type(error).__name__}: {error}"[:300]
            else:
                table = pq.read_table(out / "shards")
                lengths = np.stack(table["vector"].to_numpy())[:, 0]
                if lengths.tolist() != [len(text) for text in texts]:
                    result = "wrong vectors"
            wall = time.monotonic() - begun
            thread.join()
        results.add({"shards_before": killed[0], "of": files, "seconds": wall, "result": result})
        print(json.dumps(results[-1]), flush=True)
    ray.shutdown()
    cluster.shutdown()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    rate = commands.add_parser("throughput")
    rate.add_argument("--sentences", type=int, nargs="+", default=[20_000, 200_000])
    rate.add_argument("--rounds", type=int, default=3)
    rate.set_defaults(run=throughput)
    size = commands.add_parser("memory")
    size.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    size.add_argument("--pause", type=float, default=0.5, help="seconds of a worker per block")
    size.add_argument("--object-store", type=int, default=200, help="memory of Ray's objects, MiB")
    size.set_defaults(run=memory)
    killing = commands.add_parser("kills")
    killing.add_argument("--times", type=int, default=10)
    killing.set_defaults(run=kills)
    for command in (rate, size, killing):
        command.add_argument("--out", required=True)
        command.add_argument("--folder", help="folder of the temporary files")
        command.add_argument("--until", type=float, default=float("inf"))
    plot = commands.add_parser("figure")
    plot.add_argument("results")
    plot.add_argument("image")
    plot.set_defaults(run=figure)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
