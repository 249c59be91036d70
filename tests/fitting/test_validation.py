"""Metrics and best validation of a fit, without a fit."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
import pytest

from flowjax import flows
from flowjax.fitting.validation import Record, judge, no_best
from flowjax.training import Chunk, TrainState

FLOW = flows.identity(2)


def record(steps, *, nll=None, on_step=None, every=4, patience=None):
    return Record(
        FLOW, {"w": np.zeros(1)}, steps=steps, batch_size=10, held_nll=nll, every=every,
        patience=patience, on_step=on_step,
    )  # fmt: skip


def dispatch(of, start, stop, value=0.0):
    """Passes a dispatch to a record, whose loss at step i is i."""
    metrics = {name: np.arange(start + 1.0, stop + 1) for name in ("loss", "grad_norm")}
    state = TrainState(jnp.int32(stop), {"w": jnp.full(1, value)}, ())
    return of.on_chunk(Chunk(start, stop, metrics, 2.0), state)


@pytest.mark.parametrize("cuts", [[0, 10], [0, 1, 3, 4, 9, 10]])
def test_metrics_are_means_since_the_last_row(cuts):
    """They do not depend on the lengths of the dispatches."""
    of = record(10, nll=lambda params: 1.0, every=5)
    of._log_every = 2
    for start, stop in zip(cuts, [*cuts[1:], None], strict=False):
        if stop:
            assert not dispatch(of, start, stop)
    assert [row["step"] for row in of.metrics] == [2, 4, 5, 6, 8, 10]
    assert [row["nll_nats"] for row in of.metrics] == [1.5, 3.5, 5, 6, 7.5, 9.5]
    assert [row["grad_norm"] for row in of.metrics] == [1.5, 3.5, 5, 6, 7.5, 9.5]
    assert of.metrics[0]["bits_per_dim"] == pytest.approx(1.5 / (2 * math.log(2)))
    validated = [row["step"] for row in of.metrics if "validation_nll_nats" in row]
    assert validated == [5, 10]


def test_about_a_hundred_rows():
    of = record(1000)
    dispatch(of, 0, 1000)
    assert len(of.metrics) == 100 and of.metrics[-1]["rows_per_s"] == 5000


def test_on_step_ends_the_run_and_the_last_parameters_are_validated():
    seen = []
    scores = iter([3.0, 2.0])
    of = record(50, nll=lambda params: next(scores), every=20, on_step=lambda row: len(seen) == 2)
    dispatch(of, 0, 20, value=1.0)
    assert float(of.best.nll) == 3 and not of.ended
    seen += [1, 2]
    assert dispatch(of, 20, 22, value=2.0)
    assert float(of.best.nll) == 2 and of.best.params["w"] == 2
    assert "validation_nll_nats" not in of.metrics[-1]


def test_patience_counts_validations_without_improvement():
    """An equal validation is no improvement, and the first parameters stay."""
    scores = iter([2.0, 2.0, 1.0, 1.5, 1.0, 9.0])
    of = record(100, nll=lambda params: next(scores), patience=3)
    ended = [dispatch(of, at, at + 4, value=at) for at in range(0, 24, 4)]
    assert ended == [False] * 5 + [True]
    assert of.chosen(None)["w"] == 8 and float(of.best.nll) == 1


def test_a_tie_keeps_the_first_parameters():
    best = judge(judge(no_best("start"), 1.0, "first"), 1.0, "second")
    assert best.params == "first" and int(best.waited) == 1
    assert judge(best, float("nan"), "third").params == "first"
