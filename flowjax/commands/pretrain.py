"""`flowjax pretrain`: a small BERT from text."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from flowjax.commands import common
from flowjax.config import PretrainConfig


@dataclasses.dataclass(frozen=True)
class Args(PretrainConfig):
    """Pretrain a small BERT on text by masked language modelling; a stopped run goes on.

    `--config FILE` reads a TOML file; any field of it is overridden by its flag.
    """

    CONFIG = PretrainConfig
    text: tuple[str, ...] = ()
    """Text files (also .xz, .gz), folders or patterns: a paragraph a line."""
    heldout: tuple[str, ...] = ()
    """The same, for the held-out loss."""
    out: Path = Path("runs/pretrain")
    """The run folder; the encoder appears in its `model/`."""
    overwrite: bool = False
    """Replace the run that is there."""

    @classmethod
    def from_config(cls, config: PretrainConfig) -> Args:
        """The flags' defaults from a file."""
        return cls(**common.sections(config))


def run(args: Args) -> None:
    """Runs the command."""
    from flowjax.parallel import processes
    from flowjax.pretraining.pretrain import pretrain
    from flowjax.progress import track

    if not args.text:
        raise ValueError("--text: expected files to train on")
    config = PretrainConfig(args.data, args.model, args.train)
    common.open_run(args.out, config, command="pretrain", overwrite=args.overwrite)
    write = common.MetricsFile(args.out / "metrics.jsonl")
    with common.watched(), track("pretraining", args.train.steps, unit="steps") as advance:
        seen = 0

        def log(row: dict) -> None:
            nonlocal seen
            write(row)
            advance(int(row["step"]) - seen, note=f"loss {row['loss']:.3f}")
            seen = int(row["step"])

        report = pretrain(
            config, args.text, args.heldout, args.out, log=log, stop=common.wants_stop
        )
    if processes.is_first():
        print(json.dumps(report, indent=2))
