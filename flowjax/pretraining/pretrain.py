"""Pretraining of a small BERT, from text files to an encoder folder.

The training loop, the data-parallel step and the checkpoints are those of `flowjax.training`.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from flowjax import training
from flowjax.config import PretrainConfig
from flowjax.encoder.weights import save_pretrained
from flowjax.errors import FlowjaxError
from flowjax.files.text import expand_paths
from flowjax.parallel import devices, processes
from flowjax.pretraining.objective import heldout_metrics, make_loss, make_optimizer
from flowjax.pretraining.packed import PackedRows
from flowjax.pretraining.preparation import Inputs, prepare


def pretrain(
    config: PretrainConfig,
    text: Iterable[str | Path],
    heldout: Iterable[str | Path],
    out: str | Path,
    *,
    log: Callable[[dict[str, Any]], object] = lambda metrics: None,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Trains a masked language model and writes its encoder as a Hugging Face folder.

    Args:
        config: sizes, data and training options.
        text: training files, one paragraph per line.
        heldout: files for the held-out loss; may be empty.
        out: run folder; an interrupted run in this folder resumes.
        log: function called with the metrics of each dispatch.
        stop: function called after each dispatch; if it returns True, the state is saved and
            `training.Stopped` is raised.

    Returns:
        A report: steps, tokens seen, seconds, held-out loss and accuracy. In a job of several
        processes, only process 0 writes the encoder; the others return an empty report.

    Raises:
        FlowjaxError: The text cannot be read or is too short, or an option is out of range.
    """
    out, train = Path(out), config.train
    # before the text is read, which takes long
    devices.check_batch(train.batch_size, devices.make_mesh(), train.accumulate)
    text, heldout = expand_paths(text), expand_paths(heldout)
    with processes.first_alone():
        inputs = prepare(config, text, heldout, out)
    optimizer = make_optimizer(config)
    state = training.init_state(inputs.params, optimizer)
    began = time.time()

    def on_chunk(chunk: training.Chunk, state: training.TrainState) -> None:
        if processes.is_first():  # the other processes wait in the next dispatch
            _after_dispatch(config, inputs, chunk, state, out, log)

    source = PackedRows(inputs.rows)
    run = training.run_identity(source, key=train.seed, batch_size=train.batch_size)
    with training.Checkpoints(out / "checkpoints", keep=3, run=run) as checkpoints:
        if (found := checkpoints.restore(state)) is not None:
            state = found[1]
            if found[0] > train.steps:
                raise FlowjaxError(
                    f"train.steps: expected at least the {found[0]} finished steps of this run, "
                    f"got {train.steps}"
                )
        state = training.train(
            make_loss(inputs.model, inputs.masking),
            optimizer,
            state,
            source,
            steps=train.steps,
            batch_size=train.batch_size,
            seed=train.seed,
            accumulate=train.accumulate,
            checkpoints=checkpoints,
            checkpoint_every=train.checkpoint_every,
            on_chunk=on_chunk,
            every=math.gcd(train.validate_every, train.export_every) or None,
            stop=stop,
        )
    if not processes.is_first():
        return {}
    report = {
        "steps": train.steps,
        "tokens": train.steps * train.batch_size * config.data.length,
        "text_tokens": int(inputs.rows.size),
        "seconds": time.time() - began,
        **heldout_metrics(inputs, state.params, limit=4096),
    }
    _export(config, inputs, state.params, out / "model")
    (out / "model" / "pretrain.json").write_text(json.dumps(report, indent=2))
    if (out / "config.toml").exists():
        shutil.copy(out / "config.toml", out / "model" / "pretrain.toml")
    return report


def _after_dispatch(
    config: PretrainConfig,
    inputs: Inputs,
    chunk: training.Chunk,
    state: training.TrainState,
    out: Path,
    log: Callable[[dict[str, Any]], object],
) -> None:
    """Logs the metrics of a dispatch, and validates and exports at the configured intervals."""
    train, metrics = config.train, chunk.metrics
    tokens = (chunk.stop - chunk.start) * train.batch_size * config.data.length
    row = {
        "step": chunk.stop,
        "loss": float(metrics["loss"].mean()),
        "accuracy": float(metrics["accuracy"].mean()),
        "grad_norm": float(metrics["grad_norm"].max()),
        "learning_rate": float(metrics["learning_rate"][-1]),
        "tokens_per_s": tokens / chunk.seconds,
    }
    if train.validate_every and chunk.stop % train.validate_every == 0:
        row |= heldout_metrics(inputs, state.params, limit=512)
    log(row)
    if train.export_every and chunk.stop % train.export_every == 0:
        _export(config, inputs, state.params, out / "encoders" / str(chunk.stop))


def _export(config: PretrainConfig, inputs: Inputs, params: Any, folder: Path) -> None:
    """Writes the encoder of `params` as a Hugging Face folder."""
    bert = devices.to_host(params)["params"]["bert"]
    dtype = np.dtype(config.train.save_dtype)
    save_pretrained(bert, inputs.model.config, folder, dtype=dtype)
    inputs.tokenizer.save(str(folder / "tokenizer.json"))
