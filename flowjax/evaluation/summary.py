"""Results summed up: the average over tasks, mean and spread over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from flowjax.evaluation.table import AGGREGATIONS, MEASURES, SINGLE, flat_rows


def average(
    results: Mapping[str, Any],
    *,
    aggregation: str = "wmean",
    split: str = "test",
    measure: str = "spearman",
    tasks: Iterable[str] | None = None,
) -> dict[str, float]:
    """Plain mean of a measure over tasks, as in the "Avg" column of the field's tables.

    Args:
        results: The layout of `flowjax.evaluation.table`.
        aggregation: ``all``, ``mean`` or ``wmean``, for the tasks that have subsets.
        split: Tasks without this split do not count.
        measure: ``spearman`` or ``pearson``.
        tasks: Which tasks; None for all that have the measure.

    Returns:
        ``{VECTORS: mean}``, for the vectors that every counted task has.

    Raises:
        ValueError: For an unknown aggregation, or a task asked for that is not there.

    Example:
        >>> a, b = ({"plain": {"pairs": 9, "spearman": s, "pearson": s}} for s in (40.0, 60.0))
        >>> average({"stsb": {"test": a}, "sickr": {"test": b}})
        {'plain': 50.0}
    """
    if aggregation not in AGGREGATIONS:
        raise ValueError(f"aggregation: expected one of {AGGREGATIONS}, got {aggregation!r}")
    table: dict[str, dict[str, float]] = {}
    for row in flat_rows(results, subsets=False):
        counted = row["split"] == split and row["aggregation"] in (aggregation, SINGLE)
        if counted and measure in row:
            table.setdefault(row["task"], {})[row["vectors"]] = row[measure]
    wanted = list(table) if tasks is None else list(tasks)
    missing = [task for task in wanted if task not in table]
    if missing:
        raise ValueError(f"average: expected {measure} on {split} for {missing}, got none")
    kinds = dict.fromkeys(kind for task in wanted for kind in table[task])
    return {
        kind: float(np.mean([table[task][kind] for task in wanted]))
        for kind in kinds
        if all(kind in table[task] for task in wanted)
    }


def summarize_seeds(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation over runs with different seeds.

    Args:
        runs: Results of equal layout, at least one. What stands beside an outer ``"results"``
            (the model, the notes) is left out: it may differ from seed to seed.

    Returns:
        The same layout; each measure is its mean, beside ``<measure>_std`` (sample standard
        deviation, n - 1; 0 for one run) and ``seeds`` (how many runs).

    Raises:
        ValueError: Where the runs' layouts or numbers of pairs differ.

    Example:
        >>> runs = [{"spearman": s, "pairs": 7} for s in (70.0, 72.0)]
        >>> summarize_seeds(runs)
        {'spearman': 71.0, 'spearman_std': 1.4142135623730951, 'pairs': 7, 'seeds': 2}
    """
    if not runs:
        raise ValueError("runs: expected at least one result, got none")
    if all("results" in run for run in runs):
        return {"results": summarize_seeds([run["results"] for run in runs])}
    first = runs[0]
    if any(set(run) != set(first) for run in runs):
        raise ValueError(f"runs: expected the keys {sorted(first)} in every run, got others")
    summary: dict[str, Any] = {}
    for key, value in first.items():
        values = [run[key] for run in runs]
        if isinstance(value, Mapping):
            summary[key] = summarize_seeds(values)
        elif key in MEASURES:
            summary[key] = float(np.mean(values))
            summary[f"{key}_std"] = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        elif any(other != value for other in values):
            raise ValueError(f"runs: expected equal {key}, got {values}")
        else:
            summary[key] = value
    if any(key in first for key in MEASURES):
        summary["seeds"] = len(runs)
    return summary
