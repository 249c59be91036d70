"""`flowjax fit`: sentences to a fitted model in a run folder."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowjax.commands import common
from flowjax.config import FitConfig, TrainConfig

if TYPE_CHECKING:
    from flowjax.data.sentences import SentenceSource


@dataclasses.dataclass(frozen=True)
class Args(FitConfig):
    """Fit a flow on the vectors of your sentences; a stopped run goes on when called again.

    `--config FILE` reads a TOML file; any field of it is overridden by its flag.
    """

    CONFIG = FitConfig
    out: Path = Path("runs/mine")
    """The run folder: config, metrics, checkpoints, vectors, and the model to use."""
    overwrite: bool = False
    """Replace the run that is there."""

    @classmethod
    def from_config(cls, config: FitConfig) -> Args:
        """The flags' defaults from a file."""
        return cls(**common.sections(config))


def run(args: Args) -> None:
    """Runs the command."""
    from flowjax.parallel import processes

    config = FitConfig(args.encoder, args.data, args.flow, args.train)
    model = fit_run(config, args.out, overwrite=args.overwrite)
    if processes.is_first():
        count = model.fitted_on["sentences"]
        print(f"fitted {model.flow_name} on {count} sentences: {args.out}/model")


def fit_run(config: FitConfig, out: Path, *, overwrite: bool = False) -> Any:
    """Fits as the config says, in a run folder, and returns the `BertFlow`.

    Raises:
        ValueError: a config, data or encoder that cannot be used.
        flowjax.training.Stopped: after saving.
    """
    from flowjax.model import BertFlow
    from flowjax.parallel import processes
    from flowjax.progress import track

    train = config.train
    model = BertFlow(
        config.encoder.name,
        flow=config.flow.name,
        flow_options=config.flow.options(),
        seed=train.seed,
        **config.encoder.options(),
    )
    source, name = load_sentences(config)
    steps = train.steps
    if not source.is_stream:  # read once before anything is made: a mistake in it shows now
        count = sum(1 for sentence in source if sentence.strip())
        if not count:
            raise ValueError(f"{source.name}: expected sentences, found none")
        steps = steps or max(1, round((train.epochs or 1.0) * count / max(1, train.batch_size)))
    options = fit_options(train, steps, model.encoder.dim)
    common.open_run(out, config, command="fit", overwrite=overwrite)
    write = common.MetricsFile(out / "metrics.jsonl")
    with common.watched(), track("fitting", steps, unit="steps") as advance:
        seen = 0

        def on_step(row: dict[str, float]) -> None:
            nonlocal seen
            write(row)
            advance(int(row["step"]) - seen, note=common.fit_note(row))
            seen = int(row["step"])

        model.fit(
            source,
            name=name,
            out=out,
            on_step=on_step,
            stop=common.wants_stop,
            **options,
        )
    if processes.is_first():
        model.save(out / "model")
    return model


def fit_options(train: TrainConfig, steps: int | None, dim: int) -> dict[str, Any]:
    """Keyword arguments of `flowjax.fit` on vectors of size `dim`, from the `[train]` table."""
    from flowjax.fitting.fit import check_options

    options: dict[str, Any] = {
        "steps": steps,
        "epochs": None if steps is not None else (train.epochs or 1.0),
        "batch_size": train.batch_size,
        "accumulate": train.accumulate,
        "validation": train.validation or None,
        "patience": train.patience,
        "checkpoint_every": train.checkpoint_every,
    }
    check_options(**options)
    return options | {
        "optimizer": make_optimizer(train, steps, dim),
        "keep": train.keep,
        "devices": train.devices,
        "mapping": train.mapping,
        "precision": train.precision,
    }


def make_optimizer(train: TrainConfig, steps: int | None, dim: int) -> Any:
    """The optax transformation that a `[train]` table describes, for vectors of size `dim`.

    Raises:
        ValueError: an unknown optimizer or schedule, or a cosine without a number of steps.
    """
    from flowjax.training import adam_uncorrected, default_optimizer
    from flowjax.training.schedules import make_schedule

    rate = make_schedule(
        train.schedule, train.learning_rate, steps=steps, warmup_steps=train.warmup_steps
    )
    decay, clip = train.weight_decay, train.clip_norm
    if train.optimizer == "adam":
        return default_optimizer(rate, weight_decay=decay, clip_norm=clip)
    if train.optimizer == "adam_uncorrected":
        pair_bits = 2 / (dim * math.log(2))  # the code's loss adds up the means of a pair's sides
        return adam_uncorrected(rate, weight_decay=decay, clip_norm=clip, gradient_scale=pair_bits)
    raise ValueError(
        f"train.optimizer: expected adam or adam_uncorrected, got {train.optimizer!r}"
    )


def load_sentences(config: FitConfig) -> tuple[SentenceSource, str]:
    """The sentences to fit on, and what they are called: a file, tasks, or the embedded sample.

    Raises:
        ValueError: none of these.
    """
    from flowjax.data.sentences import open_source
    from flowjax.evaluation import TASKS, load_task

    wanted = config.data.fit
    if wanted == "sample":
        from flowjax.data.sample import sentences_file

        return open_source(sentences_file()), "the embedded sample"
    names = wanted.split(",")
    if not Path(wanted).exists() and all(name in TASKS for name in names):
        if not config.data.dir:
            raise ValueError(f"data.fit {wanted}: expected --data-dir, the folder of its files")
        tasks = [load_task(name, config.data.dir) for name in names]
        texts = [s for task in tasks for s in task.sentences()]
        return open_source(texts), f"{wanted}, all splits, labels unseen"
    source = open_source(wanted, config.data.column)
    return source, wanted if wanted.startswith("tfds:") else Path(source.name).name
