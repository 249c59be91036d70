"""Metrics, measures and best parameters of a fine-tuning run."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from flowjax import training
from flowjax.config import FinetuneConfig
from flowjax.finetuning.preparation import Inputs, batch_size_of
from flowjax.finetuning.selection import METRICS, Best
from flowjax.parallel import devices, processes

logger = logging.getLogger("flowjax")


class Record:
    """Metrics, measures and best parameters of a run."""

    def __init__(
        self,
        config: FinetuneConfig,
        inputs: Inputs,
        start: Any,
        log: Callable[[dict[str, float]], Any],
    ) -> None:
        """Creates the record of a new run.

        Args:
            config: config of the run, resolved.
            inputs: inputs of the run.
            start: parameters of the encoder at the start.
            log: function called with the metrics of each dispatch.
        """
        self._config, self._inputs, self._log = config, inputs, log
        self._metric = METRICS.get(config.train.select or "last")
        self.best: Best | None = Best.none(start) if self._metric else None
        self._steps = inputs.steps
        self.every = None
        if inputs.measures.names:
            self.every = config.train.validate_every or max(1, self._steps // 20)
        self._start = start
        self._last: dict[str, float] = {}

    def start(self) -> None:
        """Logs the measures of the encoder before the training."""
        found = self._inputs.measures(self._start)
        if found and processes.is_first():
            text = ", ".join(f"{name} {value:.2f}" for name, value in found.items())
            logger.info("before the training: %s", text)

    def saved(self, state: training.TrainState) -> dict[str, Any]:
        """Returns the content of a checkpoint."""
        best = {} if self.best is None else {"best": self.best._asdict()}
        return {"state": state._asdict(), **best}

    def restored(self, saved: dict[str, Any]) -> training.TrainState:
        """Restores the best parameters from a checkpoint, and returns the training state."""
        if "best" in saved:
            self.best = Best(**saved["best"])
        return training.TrainState(**saved["state"])

    def on_chunk(self, chunk: training.Chunk, state: training.TrainState) -> None:
        """Logs the metrics of a dispatch, and measures at the configured steps."""
        metrics, at = chunk.metrics, chunk.stop
        examples = (at - chunk.start) * batch_size_of(self._config)
        row = {
            "step": at,
            "loss": float(metrics["loss"].mean()),
            "accuracy": float(metrics["accuracy"].mean()),
            "grad_norm": float(metrics["grad_norm"].max()),
            "learning_rate": float(metrics["learning_rate"][-1]),
            "rows_per_s": examples / chunk.seconds,
        }
        if self.every and (at % self.every == 0 or at == self._steps):
            params = devices.to_host(state.params["encoder"])
            self._last = self._inputs.measures(params)
            row |= {k: v for k, v in self._last.items() if math.isfinite(v)}
            if self._metric and self.best is not None:
                self.best = self.best.updated(self._last[self._metric], at, params)
        if processes.is_first():
            self._log(row)

    def result(self, state: training.TrainState) -> tuple[Any, dict[str, Any]]:
        """Returns the parameters of the selected step and the report."""
        params, step = devices.to_host(state.params["encoder"]), self._steps
        if self.best is not None and math.isfinite(self.best.value):
            params, step = self.best.params, int(self.best.step)
        before = self._inputs.measures(self._start)
        after = self._inputs.measures(params)
        config = self._config
        report = {
            "encoder": config.encoder.name,
            "objective": config.objective.name,
            "data": ",".join(Path(name).name for name in config.data.train.split(",")),
            **self._inputs.counts,
            "steps": self._steps,
            "batch_size": config.train.batch_size,
            "learning_rate": config.train.learning_rate,
            "seed": config.train.seed,
            "selected_by": config.train.select,
            "selected_step": step,
            "before": {k: v for k, v in before.items() if math.isfinite(v)},
            "after": {k: v for k, v in after.items() if math.isfinite(v)},
        }
        return jax.tree.map(np.asarray, params), report
