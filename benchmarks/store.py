"""Embedding store: one `.npy` file (the library) against one file per block. Table: `store.md`.

    python benchmarks/store.py [reads] [pass] [write] [memory] [fit] [--rounds 200] [--out F.json]

Both layouts hold the same rows. Their measurements are interleaved in one process; each figure is
the median of the ratios of neighbouring measurements, with their quartiles. The files, up
to 6.2 GB, lie in a temporary folder (`TMPDIR`) and are read once before a measurement, so the page
cache is warm.
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
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from scale import memory_of_this, step_ms, write_store

from flowjax.data.arrays import ArraySource, open_rows
from flowjax.data.blocks import Blocks
from flowjax.data.fingerprint import fingerprint
from flowjax.data.shuffle import batches_rows

BLOCK = 8192
# Usual soft limit of open files is 1,024, of which other parts of a process need some.
MOST_OPEN = 512


class BlockFiles:
    """Rows of a folder with one `.npy` file of `BLOCK` rows for each block.

    Reads rows by number like `flowjax.data.rowfile.RowFile`, with one `preadv` for each row.
    """

    def __init__(self, folder: Path, most_open: int = MOST_OPEN) -> None:
        self._paths = sorted(folder.glob("*.npy"))
        self._most_open = most_open
        self._open: OrderedDict[int, int] = OrderedDict()
        last = np.load(self._paths[-1], mmap_mode="r")
        self.rows, self.dim = (len(self._paths) - 1) * BLOCK + len(last), last.shape[1]
        self._header = last.offset  # NumPy pads all of these headers to the same 128 bytes

    def read(self, numbers: np.ndarray) -> np.ndarray:
        rows = np.empty((len(numbers), self.dim), np.float32)
        view, at, width = rows.view(np.uint8).reshape(-1).data, 0, self.dim * 4
        places = self._header + numbers % BLOCK * width
        for k, place in zip((numbers // BLOCK).tolist(), places.tolist(), strict=True):
            if os.preadv(self._file(k), [view[at : at + width]], place) != width:
                raise OSError(f"{self._paths[k]}: expected {width} bytes at {place}")
            at += width
        return rows

    def blocks(self, size: int) -> Iterator[np.ndarray]:
        """Returns the rows in order, at most `size` at a time."""
        for path in self._paths:
            rows = np.load(path, mmap_mode="r")
            for start in range(0, len(rows), size):
                yield rows[start : start + size]

    def _file(self, k: int) -> int:
        file = self._open.get(k)
        if file is None:
            if len(self._open) >= self._most_open:
                os.close(self._open.popitem(last=False)[1])
            file = self._open[k] = os.open(self._paths[k], os.O_RDONLY)
        return file


def write_blocks(folder: Path, rows: np.ndarray) -> None:
    """Writes each block to a temporary name: fsync, rename, fsync of the folder."""
    folder.mkdir()
    for k, start in enumerate(range(0, len(rows), BLOCK)):
        path = folder / f"{k:08d}.npy"
        with path.with_suffix(".partial").open("wb") as file:
            np.save(file, rows[start : start + BLOCK])
            file.flush()
            os.fsync(file.fileno())
        path.with_suffix(".partial").rename(path)
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def ratio(one: Callable[[], object], other: Callable[[], object], rounds: int) -> dict[str, float]:
    """Returns the median ms of two interleaved calls, and the quartiles of other / one."""
    times: dict[int, list[float]] = {0: [], 1: []}
    for turn in range(rounds + 1):
        for i in (0, 1) if turn % 2 == 0 else (1, 0):
            began = time.perf_counter()
            (one, other)[i]()
            times[i].append(1e3 * (time.perf_counter() - began))
    one_ms, other_ms = times[0][1:], times[1][1:]  # the first round is left out
    ratios = [b / a for a, b in zip(one_ms, other_ms, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    found = {
        "one_ms": statistics.median(one_ms),
        "blocks_ms": statistics.median(other_ms),
        "ratio": middle,
        "quartiles": [low, high],
    }
    return {k: np.round(v, 4).tolist() for k, v in found.items()}


def batches(read: Callable, n: int, batch: int, count: int) -> Callable[[], None]:
    """Returns a call that reads the next `count` random batches."""
    step = [0]

    def run() -> None:
        for rows in batches_rows(step[0], step[0] + count, batch, n, seed=0):
            read(rows)
        step[0] += count

    return run


def report(results: dict, name: str, found: dict) -> None:
    results[name] = found
    print(name, json.dumps(found), flush=True)


def run_reads(results: dict, one: Path, blocks: Path, rounds: int) -> None:
    source = ArraySource(open_rows(one), resident=False)
    files = BlockFiles(blocks)
    few_open = BlockFiles(blocks, most_open=8)
    for rows in source.blocks(BLOCK):
        rows.max()
    for rows in files.blocks(BLOCK):
        rows.max()
    n, dim = source.size, source.dim
    for batch in (64, 256):
        for name, other in (("", files), (", 8 files open", few_open)):
            found = ratio(
                batches(lambda r: source.take(r)["x"], n, batch, 50),
                batches(lambda r, f=other: np.asarray(f.read(r), np.float32), n, batch, 50),
                rounds if not name else rounds // 4,
            )
            found = {k: v / 50 if k.endswith("_ms") else v for k, v in found.items()}
            report(results, f"read {batch} of {n} x {dim}{name}", found)


def run_pass(results: dict, one: Path, blocks: Path, rounds: int) -> None:
    source, files = ArraySource(open_rows(one), resident=False), BlockFiles(blocks)

    def go(parts: Iterator[np.ndarray]) -> None:
        for part in parts:
            part.max()

    found = ratio(lambda: go(source.blocks(4096)), lambda: go(files.blocks(4096)), rounds)
    report(results, f"pass over {source.size} x {source.dim}", found)


def run_write(results: dict, folder: Path, dim: int, rounds: int) -> None:
    rows = np.random.default_rng(0).standard_normal((16 * BLOCK, dim), np.float32)
    turn = [0]

    def one() -> None:
        turn[0] += 1
        write_store(folder / f"w{turn[0]}", rows)

    def blocks() -> None:
        turn[0] += 1
        for block in Blocks((str(i) for i in range(len(rows))), BLOCK):
            fingerprint(block)  # the library hashes the sentences while it writes
        write_blocks(folder / f"w{turn[0]}", rows)

    found = ratio(one, blocks, rounds)
    report(results, f"write {len(rows)} x {dim}", found)
    subprocess.run(["rm", "-r", *map(str, folder.glob("w[0-9]*"))], check=True)


def cell_memory(kind: str, path: str) -> dict:
    """Returns the growth of memory (MiB) in a random epoch and a pass."""
    before = memory_of_this()
    if kind == "one":
        source = ArraySource(open_rows(path), resident=False)
        n, read, in_order = source.size, source.take, source.blocks
    elif kind == "mapped":
        rows = open_rows(path)
        n, read, in_order = len(rows), rows.__getitem__, lambda size: ()
    else:
        files = BlockFiles(Path(path))
        n, read, in_order = files.rows, files.read, files.blocks
    worst = before
    for start in range(0, n // 256, 1000):
        batches(read, n, 256, min(1000, n // 256 - start))()
        worst = {k: max(v, memory_of_this()[k]) for k, v in worst.items()}
    for part in in_order(4096):
        part.max()
    return {k: max(v, memory_of_this()[k]) - before[k] for k, v in worst.items()}


def run_fit(results: dict, one: Path, blocks: Path, rounds: int) -> None:
    """Measures steps of the paper's Glow on rows that are read batch by batch."""
    sources = [ArraySource(open_rows(one), resident=False) for _ in range(2)]
    sources[1]._file = BlockFiles(blocks)  # type: ignore[assignment]
    ms: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds):
        for i in (0, 1) if turn % 2 == 0 else (1, 0):
            ms[i].append(step_ms(sources[i], 64, 0.5))
    low, middle, high = statistics.quantiles([b / a for a, b in zip(*ms, strict=True)], n=4)
    found = {"one_ms": statistics.median(ms[0]), "blocks_ms": statistics.median(ms[1])}
    found |= {"least_ms": [min(ms[0]), min(ms[1])], "ratio": middle, "quartiles": [low, high]}
    report(results, f"fit, dim {sources[0].dim}, batch 64", found)


def ask(cell: str, *words: object) -> dict:
    """Returns the result of a cell that runs in a separate process."""
    command = [sys.executable, __file__, "--cell", cell, *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = ["reads", "pass", "write", "memory", "fit"]
    parser.add_argument("parts", nargs="*", default=parts)
    parser.add_argument("--cell", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, default=10**6)
    parser.add_argument("--dims", type=int, nargs="+", default=[256, 768])
    parser.add_argument("--rounds", type=int, default=200, help="of random reads")
    parser.add_argument("--out", type=Path, help="JSON file for all figures")
    args = parser.parse_args()
    if args.cell:
        print(json.dumps(globals()["cell_" + args.cell[0]](*args.cell[1:])))
        return
    results: dict = {}
    for dim in args.dims:
        with tempfile.TemporaryDirectory(prefix="flowjax-store-") as temp:
            folder, rng = Path(temp), np.random.default_rng(0)
            source = np.lib.format.open_memmap(
                folder / "rows.npy", mode="w+", dtype=np.float32, shape=(args.rows, dim)
            )
            for start in range(0, args.rows, BLOCK):
                part = source[start : start + BLOCK]
                part[:] = rng.standard_normal(part.shape, np.float32)
            one, blocks = folder / "one", folder / "blocks"
            write_store(one, source)
            write_blocks(blocks, source)
            del source
            (folder / "rows.npy").unlink()
            if "reads" in args.parts:
                run_reads(results, one, blocks, args.rounds)
            if "pass" in args.parts:
                run_pass(results, one, blocks, 10)
            if "write" in args.parts:
                run_write(results, folder, dim, 8)
            if "memory" in args.parts:
                for kind, path in (("one", one), ("mapped", one), ("blocks", blocks)):
                    report(results, f"memory, dim {dim}, {kind}", ask("memory", kind, path))
            if "fit" in args.parts:
                run_fit(results, one, blocks, max(4, args.rounds // 10))
    if args.out:
        args.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
