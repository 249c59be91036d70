"""Test log-likelihood of realnvp, glow, neural_spline and MAF here, in zuko, in PyPI's flowjax.

    python benchmarks/density/run.py --python-zuko PY --python-pyflowjax PY \
        --miniboone ../shared/data/uci/miniboone_first1523.npy --out density.json

Every library runs in a separate Python, one process and one thread at a time. What is in the
`--out` file already is not run again. Prints a Markdown table: nats per test row, mean ± standard
deviation over the seeds. See density.md beside this folder.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import data
import numpy as np
import tyro

LIBRARIES = {
    "ours": "bert-flowjax",
    "zuko": "zuko",
    "pyflowjax": "flowjax (PyPI)",
}
FLOWS = ("realnvp", "glow", "neural_spline", "maf", "maf_spline")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "NPROC": "1", "JAX_PLATFORMS": "cpu"}


@dataclasses.dataclass(frozen=True)
class Options:
    """The budget and the architecture, the same for all."""

    steps: int = 2000
    batch_size: int = 256
    learning_rate: float = 2e-3
    """Adam's first; a cosine takes it to 0."""
    clip_norm: float = 1.0
    validate_every: int = 100
    depth: int = 8
    """Couplings of realnvp and glow."""
    spline_depth: int = 4
    maf_depth: int = 5
    maf_spline_depth: int = 3
    width: int = 64
    hidden_layers: int = 2
    bins: int = 8
    bound: float = 5.0

    def of(self, flow: str) -> dict:
        options = dataclasses.asdict(self)
        depths = {
            "neural_spline": options.pop("spline_depth"),
            "maf": options.pop("maf_depth"),
            "maf_spline": options.pop("maf_spline_depth"),
        }
        return options | ({"depth": depths[flow]} if flow in depths else {})


@dataclasses.dataclass(frozen=True)
class Args:
    python_zuko: Path | None = None
    python_pyflowjax: Path | None = None
    miniboone: Path = Path("../shared/data/uci/miniboone_first1523.npy")
    sets: tuple[str, ...] = ("two_moons", "pinwheel", "miniboone", "moons_given_label")
    flows: tuple[str, ...] = FLOWS
    libraries: tuple[str, ...] = tuple(LIBRARIES)
    seeds: int = 3
    split_seed: int = 0
    options: tyro.conf.OmitArgPrefixes[Options] = dataclasses.field(default_factory=Options)
    out: Path = Path("density.json")


def main(args: Args) -> None:
    pythons = {
        "ours": Path(sys.executable),
        "zuko": args.python_zuko,
        "pyflowjax": args.python_pyflowjax,
    }
    report = {"options": dataclasses.asdict(args.options), "split_seed": args.split_seed}
    cells: dict[str, dict] = {}
    if args.out.exists():
        found = json.loads(args.out.read_text("utf-8"))
        if any(found[key] != report[key] for key in report):
            raise SystemExit(f"{args.out}: made with other options; give another --out")
        cells = found["cells"]
    with tempfile.TemporaryDirectory() as folder:
        for name in args.sets:
            parts, offset = data.load(name, args.miniboone, args.split_seed)
            file = Path(folder, f"{name}.npz")
            np.savez(file, **parts)
            for flow in args.flows:
                for library, python in pythons.items():
                    key = f"{name}/{flow}/{library}"
                    if python is None or library not in args.libraries or key in cells:
                        continue
                    job = {
                        "data": str(file),
                        "flow": flow,
                        "seeds": list(range(args.seeds)),
                        "options": args.options.of(flow),
                    }
                    cells[key] = run(python, library, job, Path(folder)) | {"offset": offset}
                    values = [round(r["test"] + offset, 3) for r in cells[key]["results"]]
                    seconds = sum(r["seconds"] for r in cells[key]["results"])
                    print(key, values, f"{seconds:.0f} s", file=sys.stderr, flush=True)
                    args.out.write_text(json.dumps(report | {"cells": cells}, indent=1) + "\n")
    print(table(cells))


def run(python: Path, library: str, job: dict, folder: Path) -> dict:
    """Returns what a worker printed: its library's versions, and a result for each seed."""
    spec = folder / "job.json"
    spec.write_text(json.dumps(job), "utf-8")
    script = Path(__file__).with_name(f"worker_{library}.py")
    cache = {"JAX_COMPILATION_CACHE_DIR": str(folder / "jax")}  # seeds differ in numbers only
    done = subprocess.run(
        [str(python), str(script), str(spec)],
        env=os.environ | ONE_THREAD | cache,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def table(cells: dict[str, dict]) -> str:
    """Returns the Markdown table; the best mean of a row is bold, validation comes last."""
    lines = [
        f"| data | flow | {' | '.join(LIBRARIES.values())} "
        "| difference to the best peer | validation |",
        "|---|---|" + "---:|" * (len(LIBRARIES) + 2),
    ]
    for row in dict.fromkeys(key.rsplit("/", 1)[0] for key in cells):
        found = {library: cells.get(f"{row}/{library}") for library in LIBRARIES}
        tests = {library: scores(cell, "test") for library, cell in found.items() if cell}
        best = max(values.mean() for values in tests.values())
        texts = []
        for library in LIBRARIES:
            if library not in tests:
                texts.append("")
                continue
            values = tests[library]
            text = f"{values.mean():.3f} ± {values.std(ddof=len(values) > 1):.3f}"
            texts.append(f"**{text}**" if values.mean() == best else text)
        means = (f"{scores(cell, 'validation').mean():.3f}" for cell in found.values() if cell)
        cells_of_row = [row.replace("/", " | "), *texts, difference(tests), " / ".join(means)]
        lines.append(f"| {' | '.join(cells_of_row)} |")
    return "\n".join(lines)


def difference(tests: dict[str, np.ndarray]) -> str:
    """Returns our mean minus that of the best peer, with its standard error and the verdict."""
    peers = [values for library, values in tests.items() if library != "ours"]
    if "ours" not in tests or not peers or len(tests["ours"]) < 2:
        return ""
    both = [tests["ours"], max(peers, key=np.mean)]
    gap = both[0].mean() - both[1].mean()
    error = np.sqrt(sum(values.var(ddof=1) / len(values) for values in both))
    verdict = "ahead" if gap > error else "behind" if gap < -error else "level"
    return f"{gap:+.3f} ± {error:.3f}, {verdict}"


def scores(cell: dict, name: str) -> np.ndarray:
    """Returns a cell's likelihoods in the data's own units, one per seed."""
    return np.array([result[name] for result in cell["results"]]) + cell["offset"]


if __name__ == "__main__":
    main(tyro.cli(Args))
