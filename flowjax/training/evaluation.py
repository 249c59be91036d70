"""Mean loss and metrics of all examples of a source."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from flowjax.training.dispatch import ExampleSource
from flowjax.training.step import Loss


def evaluate(
    loss: Loss,
    params: Any,
    source: ExampleSource,
    *,
    batch_size: int,
    seed: int = 0,
    batches: int = 0,
) -> dict[str, float]:
    """Returns the mean loss and metrics over a source, computed on the default device.

    Args:
        loss: loss function, see `Loss`.
        params: parameters.
        source: source of the examples, read in order; the last batch may be smaller than
            `batch_size`.
        batch_size: number of examples per batch.
        seed: integer seed of the keys passed to the loss.
        batches: number of batches to read; 0 means all batches.

    Returns:
        `{"loss": ..., **metrics}`, means weighted by the number of examples of each batch.

    Example:
        >>> from flowjax.data.arrays import ArraySource
        >>> source = ArraySource(np.array([[1.0], [2.0], [6.0]]), resident=False)
        >>> loss = lambda params, resident, batch, key: ((batch["x"] - params).mean(), {})
        >>> evaluate(loss, 1.0, source, batch_size=2)
        {'loss': 2.0}
    """
    call = jax.jit(loss)
    totals: dict[str, float] = {}
    size = min(source.size, batches * batch_size) if batches else source.size
    for k, start in enumerate(range(0, size, batch_size)):
        rows = np.arange(start, min(start + batch_size, size))
        key = jax.random.fold_in(jax.random.key(seed), k)
        value, aux = call(params, source.resident, {"rows": rows, **source.read(rows)}, key)
        for name, metric in {"loss": value, **aux}.items():
            totals[name] = totals.get(name, 0.0) + float(metric) * len(rows)
    return {name: total / size for name, total in totals.items()}
