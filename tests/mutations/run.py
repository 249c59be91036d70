"""Mutation run: changes one line of the package at a time and runs the tests that mirror it.

    python tests/mutations/run.py numeric.toml [--only TEXT] [--jobs 1] [--seconds 300]

A table of mutations is a TOML file in this folder:

    [mirror]  # tests of a file, fastest first; a mutation may name its own `tests` instead
    "flowjax/bijectors/permutation.py" = ["tests/bijectors/test_gradients.py"]

    [[mutation]]
    file = "flowjax/bijectors/permutation.py"
    old = "exact text, which occurs once in the file"
    new = "its replacement"
    equivalent = "reason; only for mutations that no test can see"

The mutations are made in a temporary copy of the working tree. A mutation is killed if a test
fails or if the tests exceed the limit of CPU time.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

# The tests of a mutation mostly compile, so XLA skips its optimisations.
XLA_FLAGS = (
    "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0 "
    "--xla_llvm_disable_expensive_passes=true"
)
HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def copy_of_tree(to: Path) -> Path:
    """Copies all files of the working tree that Git does not ignore."""
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(lambda name: (ROOT / name).is_file(), names.splitlines()):
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, to / name)
    return to


def read(tables: list[Path]) -> list[dict[str, Any]]:
    """Returns the mutations of all tables; raises ValueError if a text does not occur once."""
    rows = []
    for table in tables:
        content = tomllib.loads(table.read_text("utf-8"))
        for row in content["mutation"]:
            tests = row.get("tests") or content["mirror"][row["file"]]
            row["tests"] = [test for test in tests if (ROOT / test.partition("::")[0]).is_file()]
            count = (ROOT / row["file"]).read_text("utf-8").count(row["old"])
            if count != 1 or row["old"] == row["new"]:
                raise ValueError(f"{row['file']}: {row['old']!r} occurs {count} times")
            rows.append(row)
    return rows


def judge(row: dict[str, Any], tree: Path, seconds: int) -> tuple[bool, str]:
    """Returns whether the tests kill a mutation, and the first test that fails."""
    path = tree / row["file"]
    before = path.read_text("utf-8")
    path.write_text(before.replace(row["old"], row["new"]), "utf-8")
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider"]
    env = {"XLA_FLAGS": XLA_FLAGS, **os.environ, "PYTHONPATH": str(tree)}
    try:
        done = subprocess.run(
            ["bash", "-c", f'ulimit -t {seconds}; exec "$@"', "", *command, *row["tests"]],
            cwd=tree, capture_output=True, text=True, env=env,
        )  # fmt: skip
    finally:
        path.write_text(before, "utf-8")
    if done.returncode < 0:
        return True, f"the limit of {seconds} CPU seconds"
    if done.returncode not in (0, 1, 2):
        raise RuntimeError(done.stdout + done.stderr)
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    return done.returncode != 0, found[1] if found else ""


def main() -> int:
    """Prints a Markdown table of the mutations and the kill rate; returns 1 if any survives."""
    parser = argparse.ArgumentParser(description="Mutation run.")
    parser.add_argument("tables", nargs="*", help="files in tests/mutations; default: all")
    parser.add_argument("--only", default="", help="text that the file or the new line contains")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=400, help="CPU time limit")
    options = parser.parse_args()
    tables = [HERE / name for name in options.tables] or sorted(HERE.glob("*.toml"))
    rows = [r for r in read(tables) if options.only in r["file"] or options.only in r["new"]]
    tested = [row for row in rows if "equivalent" not in row]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.jobs) as pool:
        trees: SimpleQueue[Path] = SimpleQueue()
        for i in range(options.jobs):
            trees.put(copy_of_tree(Path(folder, str(i))))

        def one(row: dict[str, Any]) -> tuple[bool, str]:
            tree = trees.get()
            try:
                return judge(row, tree, options.seconds)
            finally:
                trees.put(tree)

        print("| file | mutation | result |\n|---|---|---|")
        killed = 0
        for row, (dead, test) in zip(tested, pool.map(one, tested), strict=True):
            killed += dead
            texts = (" ".join(row[key].split())[:70].replace("|", "\\|") for key in ("old", "new"))
            change = " -> ".join(f"`{text}`" for text in texts)
            result = f"killed by {test}" if dead else "**survived**"
            print(f"| {row['file'].removeprefix('flowjax/')} | {change} | {result} |", flush=True)
    print(
        f"\n{killed} of {len(tested)} killed ({100 * killed / max(1, len(tested)):.0f} %), ",
        end="",
    )
    print(f"{len(rows) - len(tested)} equivalent mutations not run")
    return int(killed < len(tested))


if __name__ == "__main__":
    sys.exit(main())
