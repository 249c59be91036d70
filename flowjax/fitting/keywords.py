"""Types of the keyword arguments that other functions pass on to `fit`.

A test compares them with the signature of `fit`, which has the defaults and their description.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import optax

from flowjax.fitting.losses import UserLoss
from flowjax.literals import Mapping, Precision
from flowjax.types import Params


class RunOptions(TypedDict, total=False):
    """Keyword arguments of `fit` that a sentence model passes on."""

    optimizer: optax.GradientTransformation | optax.ScalarOrSchedule | None
    loss: UserLoss | None
    params: Params | None
    weights: Any
    validation: Any
    validation_context: Any
    validation_weights: Any
    validate_every: int | None
    patience: int | None
    devices: Any
    mapping: Mapping
    accumulate: int
    precision: Precision
    checkpoint_dir: str | Path | None
    checkpoint_every: int
    keep: int
    resume: bool
    measured: bool
    on_step: Callable[[dict[str, float]], bool | None] | None
    stop: Callable[[], bool]


class FitOptions(RunOptions, total=False):
    """Keyword arguments of `fit` except `key` and `context`."""

    batch_size: int | None
    steps: int | None
    epochs: float | None
    show_progress_bar: bool | None


class SentenceFitOptions(FitOptions, total=False):
    """Keyword arguments of `BertFlow.fit`."""

    column: str | None
    name: str | None
    out: str | Path | None
    context: Any
    learning_rate: float | None
    weight_decay: float | None
    clip_norm: float | None
    select: bool | None
