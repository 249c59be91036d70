"""Mutation run: changes one line of the package at a time and runs the tests that mirror it.

    python tests/mutations/run.py numeric.toml [--only REGEX] [--quick] [--jobs 1] [--seconds 400]
        [--resume LOG]  # skips the mutations that an earlier output lists as killed

A table of mutations is a TOML file in this folder:

    [mirror]  # tests of a file, fastest first; a mutation may name its own `tests` instead
    "flowjax/bijectors/permutation.py" = ["tests/bijectors/test_parts.py"]

    [[mutation]]
    file = "flowjax/bijectors/permutation.py"
    old = "exact text, which occurs once in the file"
    new = "its replacement"
    first = ["tests/bijectors/test_parts.py::test_name"]  # optional: tests to run first
    equivalent = "reason; only for mutations that no test can see"

The mutations are made in temporary copies of the working tree. A mutation is killed if a test
fails or if the tests exceed the limit of CPU time. The tests run in forks of a process that has
imported the libraries but not flowjax, with one cache of compiled programs.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ENVIRONMENT = {
    # The tests mostly compile, so XLA skips its optimisations, as in tests/conftest.py.
    "XLA_FLAGS": "--xla_force_host_platform_device_count=8 "
    "--xla_cpu_parallel_codegen_split_count=1",
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    "JAX_PLATFORMS": "cpu",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    "TRANSFORMERS_VERBOSITY": "error",
}
LIBRARIES = ("pytest", "hypothesis", "jax", "flax.linen", "optax.contrib", "orbax.checkpoint")


def copy_of_tree(to: Path) -> Path:
    """Copies all files of the working tree that Git does not ignore."""
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(lambda name: (ROOT / name).is_file(), names.splitlines()):
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, to / name)
    return to


def read(tables: list[Path], quick: bool) -> list[dict[str, Any]]:
    """Returns the mutations of all tables; prints those whose text does not occur once.

    Args:
        tables: TOML files.
        quick: True selects the mutations with `first`, and these tests only.
    """
    rows = []
    for table in tables:
        content = tomllib.loads(table.read_text("utf-8"))
        for row in content["mutation"]:
            tests = [] if quick else row.get("tests") or content["mirror"][row["file"]]
            row["tests"] = row.get("first", []) + tests
            count = (ROOT / row["file"]).read_text("utf-8").count(row["old"])
            if count != 1 or row["old"] == row["new"]:
                print(f"outdated: {row['file']}: {row['old']!r} occurs {count} times")
            elif row["tests"]:
                rows.append(row)
    return rows


def start(row: dict[str, Any], tree: Path, seconds: int) -> int:
    """Starts the tests of a mutation in a fork; returns its process id."""
    path = tree / row["file"]
    row["before"] = path.read_text("utf-8")
    path.write_text(row["before"].replace(row["old"], row["new"]), "utf-8")
    if child := os.fork():
        return child
    with (tree / "output.txt").open("w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    os.chdir(tree)
    os.environ["PYTHONPATH"] = str(tree)
    sys.path[:] = [str(tree), *(entry for entry in sys.path if Path(entry) not in (HERE, ROOT))]
    command = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", *row["tests"]]
    code = import_module("pytest").main(command)
    sys.stdout.flush()
    os._exit(code)


def cells(row: dict[str, Any]) -> str:
    """Returns the first two columns of a mutation in the table of results."""
    texts = (" ".join(row[key].split())[:70].replace("|", "\\|") for key in ("old", "new"))
    change = " -> ".join(f"`{text}`" for text in texts)
    return f"| {row['file'].removeprefix('flowjax/')} | {change} |"


def finish(row: dict[str, Any], tree: Path, status: int) -> bool:
    """Restores the tree, and prints and returns whether the mutation was killed."""
    (tree / row["file"]).write_text(row["before"], "utf-8")
    output = (tree / "output.txt").read_text("utf-8", errors="replace")
    code = os.waitstatus_to_exitcode(status)
    if code > 2:
        raise RuntimeError(output)
    test = re.search(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)
    result = (
        f"killed by {test[1] if test else 'the limit of CPU time'}" if code else "**survived**"
    )
    print(f"{cells(row)} {result} |", flush=True)
    return code != 0


def main() -> int:
    """Prints a Markdown table of the mutations and the kill rate; returns 1 if any survives."""
    parser = argparse.ArgumentParser(description="Mutation run.")
    parser.add_argument("tables", nargs="*", help="files in tests/mutations; default: all")
    parser.add_argument("--only", default="", help="regular expression for `file: new`")
    parser.add_argument("--quick", action="store_true", help="only the tests in `first`")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--resume", type=Path, help="an earlier output of this script")
    parser.add_argument("--seconds", type=int, default=400, help="limit of CPU time")
    options = parser.parse_args()
    tables = [HERE / name for name in options.tables] or sorted(HERE.glob("*.toml"))
    earlier = options.resume.read_text("utf-8") if options.resume else ""
    rows = [
        r
        for r in read(tables, options.quick)
        if re.search(options.only, f"{r['file']}: {r['new']}")
        and f"{cells(r)} killed" not in earlier
    ]
    tested = [row for row in rows if "equivalent" not in row]
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    killed, waiting = 0, list(tested)
    running: dict[int, tuple[dict[str, Any], Path]] = {}
    print("| file | mutation | result |\n|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", f"{folder}/programs")
        for library in LIBRARIES:
            import_module(library)
        trees = [copy_of_tree(Path(folder, str(i))) for i in range(options.jobs)]
        while waiting or running:
            while waiting and trees:
                row, tree = waiting.pop(0), trees.pop()
                running[start(row, tree, options.seconds)] = row, tree
            child, status = os.wait()
            row, tree = running.pop(child)
            killed += finish(row, tree, status)
            trees.append(tree)
    print(
        f"\n{killed} of {len(tested)} killed ({100 * killed / max(1, len(tested)):.0f} %), ",
        end="",
    )
    print(f"{len(rows) - len(tested)} equivalent mutations not run")
    return int(killed < len(tested))


if __name__ == "__main__":
    sys.exit(main())
