"""`flowjax finetune`: fine-tunes an encoder on pairs or on plain sentences."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

from flowjax.commands import runs
from flowjax.commands.signals import stop_requested
from flowjax.config import FinetuneConfig

logger = logging.getLogger("flowjax")


@dataclasses.dataclass(frozen=True)
class Args(FinetuneConfig):
    """Fine-tune an encoder on pairs (nli, mnr) or on plain sentences (simcse).

    The same command resumes an unfinished run in the same folder. The result in OUT/model is an
    encoder for flowjax fit --encoder OUT/model, and for sentence-transformers.
    """

    CONFIG = FinetuneConfig
    out: Path = Path("runs/finetune")
    """Run folder: config, metrics, checkpoints, and the encoder in model/."""
    overwrite: bool = False
    """Replace an existing run."""


def run(args: Args) -> None:
    """Runs the command."""
    from flowjax.finetuning.finetune import finetune
    from flowjax.finetuning.preparation import prepare
    from flowjax.parallel import processes
    from flowjax.progress import track_steps

    config = FinetuneConfig(args.encoder, args.objective, args.data, args.train).resolved()
    options: dict[str, Any] = {"command": "finetune", "overwrite": args.overwrite}
    runs.check_run(args.out, config, **options)  # before all other work
    inputs = prepare(config)  # finds errors before the run folder exists
    with (
        runs.open_run(args.out, config, **options),
        runs.recorded(args.out) as log,
        track_steps("fine-tuning", inputs.steps, _note, on_step=log) as on_step,
    ):
        report = finetune(config, args.out, log=on_step, stop=stop_requested, inputs=inputs)
    if processes.is_first():
        print(json.dumps(report, indent=2))
        logger.info(
            "next: flowjax fit --encoder %s/model --data SENTENCES.txt --out runs/mine", args.out
        )


def _note(row: dict[str, float]) -> str:
    return f"loss {row['loss']:.3f} {row['rows_per_s']:,.0f} examples/s"
