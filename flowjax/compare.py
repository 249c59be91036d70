"""Comparison of plain, standardized, whitened and calibrated vectors of a model on tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowjax import flows
from flowjax.evaluation import PairTask, by_vectors, evaluate_vectors
from flowjax.evaluation.baselines import Transform
from flowjax.model import BertFlow

NO_MOMENTS = (
    "standardize and whitening are omitted, because the model has no moments of its training "
    "vectors"
)


def calibrations(model: BertFlow) -> dict[str, Transform]:
    """Returns the transformations of uncalibrated sentence vectors that reports compare.

    Args:
        model: fitted model. Standardization and whitening use the mean and covariance of the
            vectors that the model was fitted on.

    Returns:
        Dict from name to function: `plain` (the identity), `standardize`, `whitening`, and
        `model.vectors_name`, the name of the fitted flow.
    """
    maps: dict[str, Transform] = {"plain": lambda x: x}
    if model.moments is not None:
        for name in ("standardize", "whitening"):
            maps[name] = _closed_form(name, model)
    maps[model.vectors_name] = model.transform
    return maps


def describe(model: BertFlow) -> dict[str, Any]:
    """Returns a JSON-serializable description of a model's encoder, flow and training data."""
    return {**model.encoder.describe(), "flow": model.vectors_name, **model.fitted_on}


def compare(
    model: BertFlow,
    tasks: Iterable[PairTask],
    *,
    extra: Mapping[str, Transform] | None = None,
    show_progress_bar: bool | None = None,
    keep: MutableMapping[str, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Evaluates plain, standardized, whitened and calibrated vectors on tasks.

    Plain vectors are the uncalibrated sentence vectors of the encoder.

    Args:
        model: fitted model; each distinct sentence of a task is encoded once.
        tasks: tasks from `evaluation.load_task` or `load_pairs`.
        extra: additional transformations of plain vectors, by name.
        show_progress_bar: True shows a progress bar; None shows the bar on a terminal only.
        keep: dict to which the plain vectors of each task's distinct sentences are added, under
            the name of the task.

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
        notes[task.name] = [*task.notes, *([NO_MOMENTS] if model.moments is None else [])]
    return {"results": results, "model": describe(model), "notes": notes}


def _closed_form(name: str, model: BertFlow) -> Transform:
    flow = flows.make(name, model.encoder.dim, moments=model.moments)
    params = flow.init(jax.random.key(0), jnp.zeros((2, model.encoder.dim)))

    def transform(x: np.ndarray) -> np.ndarray:
        return np.asarray(flow.forward(params, jnp.asarray(x))[0])

    return transform
