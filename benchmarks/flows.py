"""Speed of the flow library beside its peers, in one interleaved run. Table: `flows.md`.

    python benchmarks/flows.py --torch ENV/bin/python --distrax ENV/bin/python \
        --pypi-flowjax ENV/bin/python [--out flows.json] [--quick]

Run it by the interpreter that has this library; each peer has a separate environment (see
`flows.md`). One process a contestant stays alive; in each table the rounds go round all of them,
every other round backwards. A number is the median over rounds of the mean time of a call.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent / "flows"
TABLES = [
    ("A64", "step"),
    ("A64", "logp"),
    ("A64", "sample"),
    ("A768", "step"),
    ("A768", "logp"),
    ("A768", "sample"),
    ("B64", "step"),
    ("B2048", "step"),
    ("B2048", "logp"),
    ("B2048", "sample"),
    *((cell, task) for cell in ("M64", "S16") for task in ("step", "logp", "sample")),
]
PEERS = ["distrax", "PyPI flowjax", "zuko", "nflows", "normflows", "torch by hand"]
FLOORS = ["floor in jax", "floor in torch"]
# For every contestant alike, and what the command `flowjax` gives itself: glibc returns large
# blocks after each call, and the next call waits for fresh pages; with large ones it waits less.
SETTINGS = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "OMP_NUM_THREADS": "2",
    "MKL_NUM_THREADS": "2",
    "JAX_PLATFORMS": "cpu",
}


class Worker:
    def __init__(self, python: str, file: str, contestant: str, settings: bool = True) -> None:
        env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        self.process = subprocess.Popen(
            [python, str(HERE / file), contestant],
            env=env | SETTINGS if settings else env,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def hear(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"worker ended: {self.process.args}")
        return json.loads(line)

    def ask(self, line: str) -> dict:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.hear()

    def cpu_seconds(self) -> float:
        stat = Path(f"/proc/{self.process.pid}/stat")
        if not stat.exists():
            return 0.0
        words = stat.read_text().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def start(args: argparse.Namespace) -> dict[str, Worker]:
    workers = {
        "ours": Worker(sys.executable, "ours.py", "step"),
        "ours, loop": Worker(sys.executable, "ours.py", "loop"),
        "floor in jax": Worker(sys.executable, "floor.py", "jax"),
    }
    if args.distrax:
        workers["distrax"] = Worker(args.distrax, "peer_distrax.py", "distrax")
    if args.pypi_flowjax:
        workers["PyPI flowjax"] = Worker(args.pypi_flowjax, "peer_flowjax.py", "flowjax")
    if args.torch:
        for name in ("zuko", "nflows", "normflows"):
            workers[name] = Worker(args.torch, "peer_torch.py", name)
        workers["torch by hand"] = Worker(args.torch, "peer_torch.py", "bare")
        workers["floor in torch"] = Worker(args.torch, "floor.py", "torch")
    return workers


def busy_seconds() -> float:
    """CPU time that all processes of the machine have used."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return 0.0
    user, nice, system = (int(w) for w in stat.read_text().split()[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def others(workers: dict[str, Worker]) -> float:
    """CPU time used so far by processes that are no worker of this run."""
    return busy_seconds() - sum(w.cpu_seconds() for w in workers.values())


def table(workers: dict[str, Worker], cell: str, task: str, rounds: int, seconds: float) -> dict:
    """Returns `{contestant: {ms, best_ms, rounds: [...], ...}}` of one cell."""
    facts = {}
    for name, worker in workers.items():
        answer = worker.ask(f"build {cell} {task}")
        if "missing" not in answer:
            facts[name] = answer | {"rounds": []}
    elsewhere, began = others(workers), time.monotonic()
    for turn in range(rounds):
        order = list(facts) if turn % 2 == 0 else list(facts)[::-1]
        for name in order:
            facts[name]["rounds"].append(workers[name].ask(f"go {seconds}"))
    share = (others(workers) - elsewhere) / (time.monotonic() - began) / (os.cpu_count() or 1)
    for fact in facts.values():
        fact["ms"] = statistics.median(r["ms"] for r in fact["rounds"])
        fact["best_ms"] = min(r["best_ms"] for r in fact["rounds"])
    report(cell, task, facts, share)
    return {"cell": cell, "task": task, "others": share, "contestants": facts}


def report(cell: str, task: str, facts: dict, share: float) -> None:
    print(f"\n{cell} {task} (other processes: {share:.0%} of the cores)")
    for name, fact in sorted(facts.items(), key=lambda item: item[1]["ms"]):
        print(
            f"  {name:15s} median {fact['ms']:9.3f} ms  best {fact['best_ms']:9.3f}  first "
            f"{fact['first_s']:6.2f} s  peak {fact['rounds'][-1]['rss_mib']:5d} MiB  "
            f"{fact['parameters']} parameters  value {fact['rounds'][-1]['value']:.5g}",
            flush=True,
        )


def number(x: float) -> str:
    return f"{x:.0f}" if x >= 100 else f"{x:.3g}"


def markdown(tables: list[dict]) -> str:
    columns = ["ours", "ours, loop", *PEERS]
    ends = ["floor", "best peer / ours", "ours / floor"]
    lines = [
        "| ms | " + " | ".join([*columns, *ends]) + " |",
        "|---" * (len(columns) + len(ends) + 1) + "|",
    ]
    for t in tables:
        ms = {name: fact["ms"] for name, fact in t["contestants"].items()}
        if t["task"] == "compile":
            continue
        peers = [ms[p] for p in PEERS if p in ms]
        floors = [ms[f] for f in FLOORS if f in ms]
        ours = ms["ours"]
        row = [f"{t['cell']} {t['task']}", *(number(ms[c]) if c in ms else "" for c in columns)]
        row.append(number(min(floors)) if floors else "")
        row.append(f"{min(peers) / ours:.2f}" if peers else "")
        row.append(f"{ours / min(floors):.2f}" if floors else "")
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), "")
    return f"{os.cpu_count()} cores, {model or platform.processor()}, {platform.system()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch", help="interpreter with torch, zuko, nflows, normflows")
    parser.add_argument("--distrax", help="interpreter with distrax and optax")
    parser.add_argument("--pypi-flowjax", help="interpreter with PyPI's flowjax")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.8, help="of a contestant in a round")
    parser.add_argument("--only", help="tables whose name has this in it, such as 'A64 step'")
    parser.add_argument("--out", type=Path, help="where to write all numbers, as JSON")
    parser.add_argument("--quick", action="store_true", help="one call each: does it run?")
    args = parser.parse_args()
    rounds, seconds = (1, 0.0) if args.quick else (args.rounds, args.seconds)
    load, date = os.getloadavg()[0], datetime.date.today().isoformat()
    workers = start(args)
    versions = {name: worker.hear() for name, worker in workers.items()}
    print(f"{machine()}; {date}; load before the run {load:.2f}\n{versions}", flush=True)
    tables = []
    for cell, task in TABLES:
        if not args.only or args.only in f"{cell} {task}":
            tables.append(table(workers, cell, task, rounds, seconds))
    if not args.only or args.only == "compile":
        ours = {"ours": workers["ours"]}
        for cell in ("A64", "C64"):
            tables.append(table(ours, cell, "compile", min(rounds, 3), 0.0))
        shallow, deep = (t["contestants"]["ours"]["ms"] / 1e3 for t in tables[-2:])
        print(f"compile: depth 8 {shallow:.2f} s, 64 {deep:.2f} s, {deep / shallow:.2f} times")
    for worker in workers.values():
        worker.process.stdin.close()
        worker.process.wait()
    print("\n" + markdown(tables))
    if args.out:
        facts = {"date": date, "machine": machine(), "load": load, "versions": versions}
        args.out.write_text(json.dumps(facts | {"tables": tables}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
