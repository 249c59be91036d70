"""`flowjax fit-array`: fits a flow on the rows of an array."""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path

from flowjax.commands import runs
from flowjax.commands.flags import Positional
from flowjax.commands.signals import stop_requested
from flowjax.commands.terminal import message
from flowjax.config import FitArrayConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Args(FitArrayConfig):
    """Fit a flow on any (n, d) array by maximum likelihood.

    The same command resumes an unfinished run in the same folder.
    """

    CONFIG = FitArrayConfig
    data: Positional[str]
    """Array of shape (n, d): .npy, .parquet, .safetensors, or an embedding store; a folder, or a
    pattern in quotes, of .parquet or .npy shards; also a URL such as s3://bucket/vectors."""
    columns: str | None = None
    """Column of vectors in a .parquet file, or numeric columns separated by commas; tensor of a
    .safetensors file."""
    out: Path = Path("runs/density")
    """Run folder: config, metrics, checkpoints and the fitted flow."""
    overwrite: bool = False
    """Replace an existing run."""


def run(args: Args) -> None:
    """Runs the command."""
    from flowjax import flows
    from flowjax.commands.fit import fit_options, record_likelihood, step_count
    from flowjax.data.shard_source import open_examples
    from flowjax.fitting.advice import verdict
    from flowjax.fitting.fit import fit
    from flowjax.parallel import processes
    from flowjax.saving.flow import save_flow

    began = time.monotonic()
    train, config = args.train, FitArrayConfig(args.flow, args.train)
    runs.check_run(args.out, config, command="fit-array", overwrite=args.overwrite)
    source = open_examples(args.data, name=args.data, columns=args.columns)
    flow = flows.make(args.flow.name, source.dim, **args.flow.options())
    steps = step_count(train, source.size)
    options = fit_options(train, steps, source.dim)
    command = f"fit-array {args.data}"
    with runs.open_run(args.out, config, command=command, overwrite=args.overwrite):
        with runs.recorded(args.out) as on_step:
            result = fit(
                flow,
                source,
                key=train.seed,
                checkpoint_dir=args.out / "checkpoints",
                on_step=on_step,
                stop=stop_requested,
                **options,
            )
            record_likelihood(result, on_step)
        if processes.is_first():
            facts = {"data": str(args.data), "steps": result.steps, **result.likelihood}
            folder = save_flow(args.out / "model", flow, result.params, fitted_on=facts)
            print(f"fitted {args.flow.name} on {source.size} x {source.dim}: {folder}")
            message(verdict(args.flow.name, result.likelihood), sys.stdout)
            print(f"{time.monotonic() - began:.0f} s")
            print(f"next: flowjax transform {args.out} ROWS.npy --out calibrated.npy")
