"""`flowjax pretrain`: pretrains a small BERT on text."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from flowjax.commands import runs
from flowjax.commands.signals import stop_requested
from flowjax.config import PretrainConfig
from flowjax.errors import FlowjaxError


@dataclasses.dataclass(frozen=True)
class Args(PretrainConfig):
    """Pretrain a small BERT on text by masked language modelling.

    The same command resumes an unfinished run in the same folder.
    """

    CONFIG = PretrainConfig
    text: tuple[str, ...] = ()
    """Training text: files (also .xz, .gz), folders or patterns, with one paragraph per line."""
    heldout: tuple[str, ...] = ()
    """Held-out text for the validation loss, in the same forms."""
    out: Path = Path("runs/pretrain")
    """Run folder: config, metrics, checkpoints, and the encoder in model/."""
    overwrite: bool = False
    """Replace an existing run."""


def run(args: Args) -> None:
    """Runs the command."""
    from flowjax.parallel import processes
    from flowjax.pretraining.pretrain import pretrain
    from flowjax.progress import track_steps

    if not args.text:
        raise FlowjaxError("--text: expected files to train on, got none")
    config = PretrainConfig(args.data, args.model, args.train)
    steps = config.train.steps
    with (
        runs.open_run(args.out, config, command="pretrain", overwrite=args.overwrite),
        runs.recorded(args.out) as log,
        track_steps(
            "pretraining", steps, lambda row: f"loss {row['loss']:.3f}", on_step=log
        ) as on_step,
    ):
        given = config, args.text, args.heldout, args.out
        report = pretrain(*given, log=on_step, stop=stop_requested)
    if processes.is_first():
        print(json.dumps(report, indent=2))
