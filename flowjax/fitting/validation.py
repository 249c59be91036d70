"""Metrics and best validation of a fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from flowjax.parallel import devices
from flowjax.training import Chunk
from flowjax.training.step import TrainState
from flowjax.types import Flow, Params


class Best(NamedTuple):
    """Best validation so far, as NumPy arrays for a checkpoint.

    Attributes:
        params: parameters with the lowest validation NLL; the initial parameters before the first
            validation.
        nll: lowest validation NLL, in nats per example, float64; infinite before the first
            validation.
        waited: number of validations after the best validation.
    """

    params: Params
    nll: np.ndarray
    waited: np.ndarray


class Validated(NamedTuple):
    """Checkpoint of a fit with validation: the fields of the training state and `best`."""

    step: Any
    params: Params
    opt_state: Any
    best: Best


def no_best(params: Params) -> Best:
    """Returns the value of `Best` before the first validation.

    Example:
        >>> no_best({}).nll
        array(inf)
    """
    return Best(jax.tree.map(np.asarray, params), np.array(math.inf), np.array(0))


def judge(best: Best, nll: float, params: Params) -> Best:
    """Returns `best` updated with one more validation.

    Example:
        >>> best = judge(judge(no_best("first"), 2.0, "second"), 3.0, "third")
        >>> best.params, float(best.nll), int(best.waited)
        ('second', 2.0, 1)
    """
    if nll < best.nll:
        return Best(params, np.array(nll), np.array(0))
    return best._replace(waited=np.array(best.waited + 1))


class Record:
    """Metrics of a fit and, if there are validation examples, its best validation."""

    def __init__(
        self,
        flow: Flow,
        params: Params,
        *,
        steps: int,
        batch_size: int,
        held_nll: Callable[[Params], float] | None,
        every: int,
        patience: int | None,
        on_step: Callable[[dict[str, float]], bool | None] | None,
        is_nll: bool = True,
    ) -> None:
        """Creates the record of a new fit.

        Args:
            flow: flow to train.
            params: initial parameters.
            steps: number of steps.
            batch_size: number of examples per step.
            held_nll: validation loss of trained parameters, see `likelihood.finished_nll`; or
                None.
            every: number of steps between validations; ignored if `held_nll` is None.
            patience: see `fit`.
            on_step: see `fit`.
            is_nll: True if the loss of the training is the NLL.
        """
        self.metrics: list[dict[str, float]] = []
        self.every = every if held_nll is not None else None
        self.best: Any = no_best(params) if held_nll is not None else None
        self._flow, self._held_nll, self._batch_size = flow, held_nll, batch_size
        self._steps, self._log_every = steps, max(1, steps // 100)
        self._patience, self.on_step = patience, on_step
        self._is_nll = is_nll
        self._since: list[dict[str, float]] = []

    @property
    def ended(self) -> bool:
        """True if the fit stopped early because `patience` was exceeded."""
        patience, best = self._patience, self.best
        return patience is not None and best is not None and int(best.waited) >= patience

    def chosen(self, last: Params) -> Params:
        """Returns the parameters of the best validation, or `last` if there was no validation."""
        return last if self.best is None or math.isinf(self.best.nll) else self.best.params

    def saved(self, state: TrainState) -> TrainState | Validated:
        """Returns the content of a checkpoint for a training state."""
        return state if self.best is None else Validated(*state, self.best)

    def restored(self, saved: TrainState | Validated) -> TrainState:
        """Restores the best validation from a checkpoint, and returns the training state."""
        if isinstance(saved, TrainState):
            return saved
        self.best = saved.best
        return TrainState(saved.step, saved.params, saved.opt_state)

    def on_chunk(self, chunk: Chunk, state: TrainState) -> bool:
        """Adds metrics and validates after a dispatch; returns True if the run must end.

        The steps with metrics do not depend on the lengths of the dispatches.
        """
        speed = (chunk.stop - chunk.start) * self._batch_size / chunk.seconds
        enough = False
        for i, step in enumerate(range(chunk.start + 1, chunk.stop + 1)):
            self._since.append({name: float(v[i]) for name, v in chunk.metrics.items()})
            validates = self.every and (step % self.every == 0 or step == self._steps)
            if step % self._log_every and step != self._steps and not validates:
                continue
            row = self._row(step, speed)
            if validates:  # dispatches end at these steps, so `state` is the state of this step
                held = self.validate(devices.to_host(state.params))
                bits = held / (math.log(2) * self._flow.dim)
                row |= {"validation_nll_nats": held, "validation_bits_per_dim": bits}
                enough |= self.ended
            self.metrics.append(row)
            enough |= bool(self.on_step(row)) if self.on_step else False
        if enough and "validation_nll_nats" not in self.metrics[-1]:
            self.validate(devices.to_host(state.params))  # the last parameters may be the best
        return enough

    def _row(self, step: int, speed: float) -> dict[str, float]:
        def mean(name: str) -> float:
            return float(np.mean([metrics[name] for metrics in self._since]))

        nll, last = mean("loss"), self._since[-1]
        row = {"step": step, "loss": nll}
        if self._is_nll:
            bits = nll / (math.log(2) * self._flow.dim)
            row = {"step": step, "nll_nats": nll, "bits_per_dim": bits}
        row |= {name: mean(name) for name in ("log_det", "log_base", "grad_norm") if name in last}
        if "learning_rate" in last:
            row["learning_rate"] = last["learning_rate"]
        self._since = []
        return row | {"rows_per_s": speed}

    def validate(self, params: Params) -> float:
        """Updates the best validation with these parameters and returns their validation NLL.

        Returns NaN without validation examples. The caller validates the initial parameters, so
        that the result of a fit is at least as good.
        """
        if self._held_nll is None:
            return math.nan
        nll = self._held_nll(params)
        self.best = judge(self.best, nll, params)
        return nll
