"""`flowjax fit`: fits a flow on the vectors of sentences, in a run folder."""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from flowjax.commands import runs
from flowjax.commands.signals import stop_requested
from flowjax.commands.terminal import message
from flowjax.config import FitConfig, TrainConfig
from flowjax.errors import FlowjaxError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowjax.data.sentences import SentenceSource
    from flowjax.fitting.result import FitResult


@dataclasses.dataclass(frozen=True)
class Args(FitConfig):
    """Fit a flow on the vectors of your sentences.

    The same command resumes an unfinished run in the same folder.
    """

    CONFIG = FitConfig
    out: Path = Path("runs/mine")
    """Run folder: config, metrics, checkpoints, vectors and the fitted model."""
    overwrite: bool = False
    """Replace an existing run."""


def run(args: Args) -> None:
    """Runs the command."""
    from flowjax.fitting.advice import verdict
    from flowjax.parallel import processes

    began = time.monotonic()
    config = FitConfig(args.encoder, args.data, args.flow, args.train)
    model = fit_run(config, args.out, overwrite=args.overwrite)
    if processes.is_first():
        facts = model.fitted_on
        print(f"fitted {model.vectors_name} on {facts['sentences']} sentences: {args.out}/model")
        if "selection" in facts:
            message(facts["selection"]["advice"], sys.stdout)
        message(verdict(model.vectors_name, facts), sys.stdout)
        print(f"{time.monotonic() - began:.0f} s")
        print(f"next: flowjax encode {args.out} SENTENCES.txt --out vectors.npy")


def fit_run(config: FitConfig, out: Path, *, overwrite: bool = False) -> Any:
    """Fits the flow of a config in a run folder and returns the `BertFlow`.

    Raises:
        FlowjaxError: A config, data or encoder that cannot be used.
        flowjax.training.Stopped: after a signal; the training state is saved.
    """
    from flowjax.data.manifest import OtherStore
    from flowjax.data.store import remove_store
    from flowjax.model import BertFlow
    from flowjax.parallel import processes

    runs.check_run(out, config, command="fit", overwrite=overwrite)  # before all other work
    if not config.data.fit:
        raise FlowjaxError(
            "--data: expected a file, tasks, tfds:NAME or sample, got nothing; --data sample fits "
            "the sentences in the package, as flowjax demo does"
        )
    train = config.train
    model = BertFlow(
        config.encoder.name,
        flow=cast(Any, config.flow.name),
        flow_options=config.flow.options(),
        seed=train.seed,
        **config.encoder.options(),
    )
    source, name = load_sentences(config)
    steps = train.steps
    if not source.is_stream:  # a first pass finds errors before the run folder exists
        count = sum(1 for sentence in source if sentence.strip())
        if not count:
            raise FlowjaxError(f"{source.name}: expected sentences, got none")
        steps = step_count(train, count)
    options = fit_options(train, steps, model.encoder.dim)
    with runs.open_run(out, config, command="fit", overwrite=overwrite):
        with runs.recorded(out) as on_step:
            fit = partial(model.fit, source, name=name, out=out, on_step=on_step, **options)
            try:
                result = fit(stop=stop_requested)
            except OtherStore:  # vectors of other sentences
                if processes.several() or source.is_stream or runs.has_state(out):
                    raise
                remove_store(out / "embeddings")
                result = fit(stop=stop_requested)
            record_likelihood(result, on_step)
        if processes.is_first():
            model.save(out / "model")
    return model


def record_likelihood(result: FitResult, on_step: Callable[[dict[str, float]], Any]) -> None:
    """Writes the last row of metrics again, with the likelihood of the finished flow.

    The keys have the prefix `finished_`. A flow without training steps has no metrics.
    """
    if result.metrics:
        finished = {f"finished_{name}": value for name, value in result.likelihood.items()}
        on_step(result.metrics[-1] | finished)


def step_count(train: TrainConfig, examples: int) -> int:
    """Returns the number of training steps on a data set of this size.

    Args:
        train: the `[train]` table.
        examples: number of examples, including those that are held out.
    """
    from flowjax.fitting.length import training_steps

    examples -= round(train.validation * examples)
    return training_steps(
        examples, max(1, train.batch_size), steps=train.steps, epochs=train.epochs
    )


def fit_options(train: TrainConfig, steps: int | None, dim: int) -> dict[str, Any]:
    """Returns the keyword arguments of `flowjax.fit` for vectors of dimension `dim`."""
    from flowjax.fitting.options import check_options

    options: dict[str, Any] = {
        "steps": steps,
        "epochs": train.epochs if steps is None else None,
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
    """Returns the optax transformation of a `[train]` table for vectors of dimension `dim`.

    Raises:
        FlowjaxError: An unknown optimizer or schedule, or a cosine schedule without `steps`.
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
    raise FlowjaxError(
        f"train.optimizer: expected adam or adam_uncorrected, got {train.optimizer!r}"
    )


def load_sentences(config: FitConfig) -> tuple[SentenceSource, str]:
    """Returns the sentences to fit on, and their name for the model card.

    Raises:
        FlowjaxError: `config.data.fit` is neither a file, nor tasks, nor the embedded sample.
    """
    from flowjax.data.sentences import open_source, read_sentences
    from flowjax.evaluation import TASKS, load_task

    wanted, column = config.data.fit, config.data.column
    names = wanted.split(",")
    tasks_given = all(name in TASKS for name in names)  # also if a file has the name of a task
    if column is not None and (wanted == "sample" or tasks_given):
        raise FlowjaxError(f"data.column: expected none for {wanted}, got {column!r}")
    if wanted == "sample":
        from flowjax.data.sample import sentences_file

        # A list, because the blank lines between documents are no sentences.
        return open_source(read_sentences(sentences_file())[0]), "the embedded sample"
    if tasks_given:
        if not config.data.dir:
            raise FlowjaxError(f"data.fit {wanted}: expected --data-dir, the folder of its files")
        tasks = [load_task(name, config.data.dir) for name in names]
        texts = [s for task in tasks for s in task.sentences()]
        return open_source(texts), f"{wanted}, all splits, labels unseen"
    source = open_source(wanted, column)
    one = not wanted.startswith("tfds:") and Path(source.name).exists()
    return source, Path(source.name).name if one else wanted
