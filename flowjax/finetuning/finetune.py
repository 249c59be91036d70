"""Fine-tunes a sentence encoder; the loop is `training.train`."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from flowjax import training
from flowjax.config import FinetuneConfig
from flowjax.encoder.bert import Bert
from flowjax.encoder.digest import hash_arrays
from flowjax.finetuning.encode import make_encode
from flowjax.finetuning.export import export
from flowjax.finetuning.mnr import mnr
from flowjax.finetuning.nli import nli
from flowjax.finetuning.objective import Objective, make_optimizer, training_loss
from flowjax.finetuning.preparation import Inputs, batch_size_of, prepare
from flowjax.finetuning.record import Record
from flowjax.finetuning.simcse import simcse
from flowjax.finetuning.source import PackedExamples
from flowjax.parallel import devices, processes

logger = logging.getLogger("flowjax")
# Approximate size of the batches of one dispatch, which are read from memory.
_DISPATCH_BYTES = 1 << 25


def finetune(
    config: FinetuneConfig,
    out: str | Path,
    *,
    log: Callable[[dict[str, float]], Any] = lambda metrics: None,
    stop: Callable[[], bool] = lambda: False,
    inputs: Inputs | None = None,
) -> dict[str, Any]:
    """Fine-tunes an encoder and writes it to `out/model`.

    Args:
        config: encoder, objective, data and training options; None is replaced by the default of
            the objective.
        out: run folder; an interrupted run in this folder resumes.
        log: function called with the metrics of each dispatch.
        stop: function called after each dispatch; if it returns True, the state is saved and
            `training.Stopped` is raised.
        inputs: inputs from `preparation.prepare`; None reads them.

    Returns:
        A report: steps, counts of examples and of rows that are no examples, the selection, and
        the measures before and after. In a job of several processes, only process 0 writes the
        encoder; the others return an empty report.

    Raises:
        FlowjaxError: The data or the encoder cannot be used, or an option is out of range.
    """
    config, out = config.resolved(), Path(out)
    inputs = inputs or prepare(config)
    train, steps, batch_size = config.train, inputs.steps, batch_size_of(config)
    mesh = devices.make_mesh()
    group = batch_size // mesh.size // train.accumulate
    source = PackedExamples(
        inputs.table,
        inputs.examples.sentences,
        inputs.examples.extra,
        group=group,
        max_length=config.encoder.max_length,
        batch_size=batch_size,
        steps=steps,
        seed=train.seed,
    )
    logger.info(
        "%d steps of %d examples; %.0f %% of the packed tokens are not padding",
        *(steps, batch_size, 100 * source.fill),
    )
    objective, start = make_objective(config, inputs, group)
    optimizer = make_optimizer(
        train.learning_rate or 0.0,
        steps=steps,
        warmup_steps=round((train.warmup or 0.0) * steps),
        weight_decay=train.weight_decay or 0.0,
        clip_norm=train.clip_norm,
    )
    state = training.init_state({"encoder": start, "head": objective.head}, optimizer)
    record = Record(config, inputs, start, log)
    began = time.time()
    with training.Checkpoints(
        out / "checkpoints", keep=2, run=_identity(config, inputs, source)
    ) as checkpoints:
        if (found := checkpoints.restore(record.saved(state))) is not None:
            state = record.restored(found[1])
        else:
            record.start()
        state = training.train(
            training_loss(objective, dropout=config.encoder.dropout > 0),
            optimizer,
            state,
            source,
            steps=steps,
            batch_size=batch_size,
            seed=train.seed,
            mesh=mesh,
            steps_per_call=max(
                1, min(256, _DISPATCH_BYTES * group // (source.nbytes * batch_size))
            ),
            checkpoints=checkpoints,
            checkpoint_every=train.checkpoint_every,
            saved=record.saved,
            on_chunk=record.on_chunk,
            every=record.every,
            stop=stop,
        )
    params, report = record.result(state)
    report |= {"seconds": time.time() - began}
    if not processes.is_first():
        return {}
    export(out / "model", inputs.parts, params, report, dtype=train.save_dtype)
    return report


def make_objective(config: FinetuneConfig, inputs: Inputs, group: int) -> tuple[Objective, Any]:
    """Returns the objective of one device and the encoder's parameters at the start.

    The parameters omit a pooler that the pooling does not use, which is not trained.

    Args:
        config: config of the run, resolved.
        inputs: inputs of the run.
        group: number of examples that a device encodes at a time.
    """
    options, chosen = config.encoder, config.objective
    rates = {
        name: options.dropout for name in ("hidden_dropout_prob", "attention_probs_dropout_prob")
    }
    sizes = dataclasses.replace(inputs.parts.config, **rates)  # type: ignore[arg-type]
    pooling = options.pooling or "mean"
    used = {k: v for k, v in inputs.parts.params.items() if k != "pooler" or pooling == "pooler"}
    model = Bert(sizes, jnp.dtype(options.dtype), with_pooler="pooler" in used)
    views = inputs.examples.sentences.shape[1]
    encode = make_encode(model, pooling, views=views, group=group, parts=config.train.accumulate)
    dim, seed = sizes.hidden_size, config.train.seed
    if chosen.name == "nli":
        return nli(encode, dim, seed=seed), used
    shared: Any = {"temperature": chosen.temperature, "gather": devices.all_rows}
    if chosen.name == "mnr":
        return mnr(encode, views=views, **shared), used
    std = sizes.initializer_range
    return simcse(encode, dim, mlp=bool(chosen.mlp), init_std=std, seed=seed, **shared), used


def _identity(config: FinetuneConfig, inputs: Inputs, source: PackedExamples) -> dict[str, str]:
    """Returns the values that must not change when a run resumes."""
    return {
        "key": str(config.train.seed),
        "batch_size": str(config.train.batch_size),
        "steps": str(inputs.steps),
        "data": f"{source.size} examples of {source.views} sentences",
        "values of data": f"digest {source.digest()}",
        "encoder": hash_arrays(inputs.parts.params),
        "objective": str(config.objective),
    }
