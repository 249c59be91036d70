"""`flowjax fit-array`: a flow on the rows of any array: `.npy`, Parquet, embedding store."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tyro.conf import Positional

from flowjax.commands import common
from flowjax.config import FitArrayConfig


@dataclasses.dataclass(frozen=True)
class Args(FitArrayConfig):
    """Fit a flow on any (n, d) array by maximum likelihood.

    `--config FILE` reads a TOML file with the tables [flow] and [train].
    """

    CONFIG = FitArrayConfig
    data: Positional[Path] = Path("data.npy")
    """The rows: a .npy of shape (n, d), a .parquet of numbers, or an embedding store."""
    columns: str | None = None
    """Of a .parquet: the column of vectors, or numeric columns with commas between them."""
    out: Path = Path("runs/density")
    """The run folder."""
    overwrite: bool = False
    """Replace the run that is there."""

    @classmethod
    def from_config(cls, config: FitArrayConfig) -> Args:
        """The flags' defaults from a file."""
        return cls(**common.sections(config))


def run(args: Args) -> None:
    """Runs the command."""
    from flowjax import flows
    from flowjax.commands.fit import fit_options
    from flowjax.data.arrays import ArraySource, open_rows
    from flowjax.fitting.fit import fit
    from flowjax.parallel import processes
    from flowjax.progress import track
    from flowjax.saving.flow import save_flow

    train = args.train
    rows = open_rows(args.data, str(args.data), args.columns)
    source = ArraySource(rows, name=str(args.data))
    flow = flows.make(args.flow.name, source.dim, **args.flow.options())
    config = FitArrayConfig(args.flow, train)
    rows_fitted = source.size - round(train.validation * source.size)
    steps = train.steps or max(
        1, round((train.epochs or 1.0) * rows_fitted / max(1, train.batch_size))
    )
    options = fit_options(train, steps, source.dim)
    common.open_run(args.out, config, command=f"fit-array {args.data}", overwrite=args.overwrite)
    write = common.MetricsFile(args.out / "metrics.jsonl")
    with common.watched(), track("fitting", steps, unit="steps") as advance:
        seen = 0

        def on_step(row: dict[str, float]) -> None:
            nonlocal seen
            write(row)
            advance(int(row["step"]) - seen, note=common.fit_note(row))
            seen = int(row["step"])

        result = fit(
            flow,
            source,
            key=train.seed,
            checkpoint_dir=args.out / "checkpoints",
            on_step=on_step,
            stop=common.wants_stop,
            **options,
        )
    if not processes.is_first():
        return
    spec = {"name": args.flow.name, "dim": source.dim, "options": args.flow.options()}
    folder = save_flow(args.out / "model", result.params, **spec)
    print(f"fitted {args.flow.name} on {source.size} x {source.dim}: {folder}")
