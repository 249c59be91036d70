"""Plain, standardized, whitened and calibrated vectors of one model, side by side on tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowjax import flows
from flowjax.evaluation import PairTask, by_vectors, evaluate_vectors
from flowjax.model import BertFlow

Calibration = Callable[[np.ndarray], np.ndarray]


def calibrations(model: BertFlow) -> dict[str, Calibration]:
    """The maps from plain vectors `(n, dim)` that a report compares.

    Args:
        model: fitted. Standardizing and whitening use the mean and covariance of the vectors it
            was fitted on, so all see the same sentences.

    Returns:
        `plain`, `standardize`, `whitening`, and the fitted flow under its own name.
    """
    maps: dict[str, Calibration] = {"plain": lambda x: x}
    if model.moments is not None:
        for name in ("standardize", "whitening"):
            maps[name] = _closed_form(name, model)
    maps[model.flow_name] = model.transform
    return maps


def compare(
    model: BertFlow,
    tasks: Iterable[PairTask],
    *,
    extra: Mapping[str, Calibration] | None = None,
    show_progress_bar: bool | None = None,
    keep: MutableMapping[str, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Evaluates a model's calibrations on tasks, each sentence encoded once.

    Args:
        model: fitted.
        tasks: from `evaluation.load_task` or `load_pairs`.
        extra: more maps from plain vectors, by name.
        show_progress_bar: None shows it on a terminal.
        keep: filled with the plain vectors of each task's distinct sentences, by its name.

    Returns:
        `{"results": {TASK: {SPLIT: {VECTORS: scores}}}, "model": {...}, "notes": {TASK: [...]}}`.
    """
    maps = {**calibrations(model), **(extra or {})}
    results, notes = {}, {}
    for task in tasks:
        sentences = task.sentences(unique=True)
        plain = model.encoder.encode(sentences, show_progress_bar=show_progress_bar)
        if keep is not None:
            keep[task.name] = plain
        results[task.name] = by_vectors(
            {name: evaluate_vectors(task, sentences, map_(plain)) for name, map_ in maps.items()}
        )
        notes[task.name] = list(task.notes)
    return {
        "results": results,
        "model": {**model.encoder.describe(), "flow": model.flow_name, **model.fitted_on},
        "notes": notes,
    }


def _closed_form(name: str, model: BertFlow) -> Calibration:
    flow = flows.make(name, model.encoder.dim, moments=model.moments)
    params = flow.init(jax.random.key(0), jnp.zeros((2, model.encoder.dim)))

    def transform(x: np.ndarray) -> np.ndarray:
        return np.asarray(flow.forward(params, jnp.asarray(x))[0])

    return transform
