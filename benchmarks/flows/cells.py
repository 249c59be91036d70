"""Timed functions, and the answers of a worker to `../flows.py`. Standard library only.

A worker is `python peer_x.py CONTESTANT`. It prints one JSON line of versions, then answers lines:
`build CELL TASK` (builds and calls once) and `go SECONDS` (repeats the call for so long).
"""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

CELLS: dict[str, dict[str, int]] = {
    # RealNVP: D coordinates, L affine couplings, nets of two hidden layers of H, B rows a step;
    # loop: steps in a dispatch of the library's own training loop, half a second of them or so
    "A64": {"D": 64, "H": 128, "L": 8, "B": 1024, "loop": 25},
    "C64": {"D": 64, "H": 128, "L": 64, "B": 1024, "loop": 3},
    "A768": {"D": 768, "H": 512, "L": 12, "B": 512, "loop": 2},
    # BERT-flow's paper: levels of steps [actnorm, random permutation, additive coupling]
    "B64": {"D": 768, "H": 32, "B": 64, "levels": 2, "steps": 3, "loop": 150},
    "B2048": {"D": 768, "H": 32, "B": 2048, "levels": 2, "steps": 3, "loop": 4},
    # MAF: L autoregressive layers, affine or splines of 8 bins
    "M64": {"D": 64, "H": 128, "L": 5, "B": 1024, "loop": 25, "maf": 1},
    "S16": {"D": 16, "H": 64, "L": 3, "B": 512, "loop": 25, "maf": 1, "bins": 8},
}
ROWS = 4096  # of a log_prob or sample call
BATCHES = 8  # that the steps go round
LEARNING_RATE = 1e-3

# build(contestant, cell, task) -> (call, parameters, steps in a call); a call waits for its result
Build = Callable[[str, dict[str, int], str], tuple[Callable[[], float], int, int]]


class NotThere(Exception):
    """The library does not have the parts of this cell."""


def only_couplings(cell: dict[str, int]) -> None:
    """Raises NotThere for the cells of MAF."""
    if "maf" in cell:
        raise NotThere("no MAF")


def steps_per_call(cell: dict[str, int]) -> int:
    """Returns the number of steps that are dispatched before waiting, equal for all libraries."""
    return 20 if cell["B"] * cell["H"] < 10_000 else 1


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def build_one(build: Build, contestant: str, name: str, task: str) -> tuple[Callable, int]:
    start = time.perf_counter()
    call, parameters, per_call = build(contestant, CELLS[name], task)
    built = time.perf_counter()
    value = call()
    first = time.perf_counter() - built
    say(parameters=parameters, build_s=built - start, first_s=first, value=value)
    return call, per_call


def repeat(call: Callable[[], float], per_call: int, seconds: float) -> None:
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or not times:
        start = time.perf_counter()
        value = call()
        times.append((time.perf_counter() - start) / per_call)
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    mean = sum(times) / len(times)
    say(ms=1e3 * mean, best_ms=1e3 * min(times), calls=len(times), value=value, rss_mib=rss)


def serve(build: Build, versions: dict[str, str]) -> None:
    contestant = sys.argv[1]
    say(**versions, python=sys.version.split()[0])
    call, per_call = None, 1
    for line in sys.stdin:
        verb, *words = line.split()
        if verb == "build":
            call = None
            gc.collect()
            try:
                call, per_call = build_one(build, contestant, *words)
            except NotThere as reason:
                say(missing=str(reason))
        elif call is not None:
            repeat(call, per_call, float(words[0]))
