"""Speed, memory and compile times on an accelerator; `accelerator.sh` runs this file.

    benchmarks/accelerator.sh --out runs/accelerator

Each cell is a separate process with a limit of time, so a failure or a limit loses one cell at
most. All results are written again after every measurement. `--size small` runs everything on a
CPU; the tests do that.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # for the tests, which load this file by its path
from accelerator_cells import CELLS
from accelerator_cells.sizes import FULL, SMALL


def shown(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def table(results: list[dict[str, Any]]) -> str:
    """Markdown tables of the results, one per cell."""
    lines = ["# Measurements on an accelerator", "", "    benchmarks/accelerator.sh", ""]
    lines.append("ms: median of a call or step; first_s: the first call, with its compilation.")
    for cell in dict.fromkeys(result["cell"] for result in results):
        rows = [result for result in results if result["cell"] == cell]
        columns = list(dict.fromkeys(key for row in rows for key in row["values"]))
        lines += ["", f"## {cell}", "", f"| | {' | '.join(columns)} |"]
        lines.append("|---" * (len(columns) + 1) + "|")
        for row in rows:
            cells = [shown(row["values"].get(column, "")) for column in columns]
            lines.append(f"| {row['name']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def write(out: Path, results: list[dict[str, Any]]) -> None:
    """Writes both files, each in one step."""
    for name, text in (
        ("accelerator.json", json.dumps(results, indent=1) + "\n"),
        ("accelerator.md", table(results)),
    ):
        partial_file = out / f".{name}.partial"
        partial_file.write_text(text, "utf-8")
        os.replace(partial_file, out / name)


def run_cell(cell: str, args: argparse.Namespace, limit: float) -> Iterator[dict[str, Any]]:
    """Runs a cell in a separate process, and yields its results while it runs."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, __file__, "--cell", cell, "--size", args.size],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    errors: list[str] = []
    reader = threading.Thread(target=lambda: errors.extend(process.stderr or ()), daemon=True)
    reader.start()
    stopped = threading.Event()

    def stop() -> None:
        stopped.set()
        process.kill()

    timer = threading.Timer(limit, stop)
    timer.start()
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith('{"name"'):
            yield {"cell": cell, **json.loads(line)}
    code = process.wait()
    timer.cancel()
    reader.join(5)
    seconds = time.perf_counter() - began
    values: dict[str, Any] = {"seconds": seconds}
    if stopped.is_set():
        values["error"] = f"stopped after {limit:.0f} s"
    elif code:
        lines = [line.strip() for line in errors if line.strip()] or [f"exit code {code}"]
        values["error"] = lines[-1][:200].replace("|", "/")
    yield {"cell": "cells", "name": cell, "values": values}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", nargs="*", help=f"among {', '.join(CELLS)}; all by default")
    parser.add_argument("--out", type=Path, default=Path("runs/accelerator"))
    parser.add_argument("--seconds", type=float, default=520, help="limit of all cells together")
    parser.add_argument("--size", choices=["full", "small"], default="full")
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.cell:
        size = FULL if args.size == "full" else SMALL
        for name, values in CELLS[args.cell][0](size):
            print(json.dumps({"name": name, "values": values}), flush=True)
        return 0
    if unknown := [cell for cell in args.cells if cell not in CELLS]:
        parser.error(f"expected cells among {', '.join(CELLS)}, got {unknown[0]}")
    args.out.mkdir(parents=True, exist_ok=True)
    began, results = time.perf_counter(), []
    for cell in args.cells or CELLS:
        left = args.seconds - (time.perf_counter() - began)
        if left < 5:
            values = {"error": "not run: no time left"}
            results.append({"cell": "cells", "name": cell, "values": values})
            write(args.out, results)
            continue
        for result in run_cell(cell, args, min(left, CELLS[cell][1] * args.seconds)):
            results.append(result)
            write(args.out, results)
            print(
                f"{result['cell']}: {result['name']}: {json.dumps(result['values'])}", flush=True
            )
    print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
