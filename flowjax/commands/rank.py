"""`flowjax rank`: ranks encoders by their vectors of the same sentences, without labels."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from flowjax.commands.flags import Positional
from flowjax.commands.terminal import json_line
from flowjax.config.ranges import Range
from flowjax.errors import FlowjaxError


@dataclasses.dataclass(frozen=True)
class Args:
    """Rank encoders by their vectors, without labels (FLARE, arXiv 2604.17344).

    Each file has the vectors of one encoder for the same sentences, in the same
    order. The score is the information of the vectors of an encoder about the
    vectors of the others, in nats per dimension: the median over the other files.
    It depends on the set of files, so compare at least three. benchmarks/rank.md
    reports how well the order agrees with labels.
    """

    files: Positional[tuple[str, ...]] = ()
    """Two or more arrays with one row per sentence: .npy, .parquet or embedding stores."""
    rows: Annotated[int, Range(100)] = 5000
    """Largest number of sentences to use."""
    steps: Annotated[int, Range(1)] = 500
    """Number of training steps per pair of files."""
    seed: Annotated[int, Range(0)] = 0
    """Integer seed."""
    json: bool = False
    """Print one JSON object."""


def run(args: Args) -> None:
    """Runs the command."""
    from flowjax.calibration.rank import rank
    from flowjax.data.arrays import open_rows
    from flowjax.progress import track

    if len(args.files) < 2:
        raise FlowjaxError(f"files: expected two or more arrays, got {len(args.files)}")
    repeated = sorted({name for name in args.files if args.files.count(name) > 1})
    if repeated:
        raise FlowjaxError(f"files: expected different files, got {repeated[0]} twice")
    arrays = {name: open_rows(name, name) for name in args.files}
    pairs = len(arrays) * (len(arrays) - 1)
    with track("fitting", pairs, unit="pairs") as advance:
        result = rank(
            arrays,
            rows=args.rows,
            steps=args.steps,
            seed=args.seed,
            on_pair=lambda: advance(1),
        )
    dims = [arrays[name].shape[1] for name in result.names]
    if args.json:
        entries = [
            {"file": name, "dim": dim, "score": score}
            for name, dim, score in zip(result.names, dims, result.scores.tolist(), strict=True)
        ]
        print(json_line({"criterion": "flare", "sentences": result.rows, "ranking": entries}))
        return
    width = max(4, *map(len, result.names))
    print(f"rank  {'file':<{width}}  dim   information, nats per dimension")
    rows = zip(result.names, dims, result.scores, strict=True)
    for place, (name, dim, score) in enumerate(rows, 1):
        print(f"{place:<4}  {name:<{width}}  {dim:<4}  {score:.4f}")
    print(f"{result.rows} sentences; median over {len(arrays) - 1} other files (FLARE)")
