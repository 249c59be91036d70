"""Summaries of results: averages over tasks, means and standard deviations over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from flowjax.errors import FlowjaxError
from flowjax.evaluation.table import AGGREGATIONS, MEASURES, SINGLE, flat_rows


def average(
    results: Mapping[str, Any],
    *,
    aggregation: str = "wmean",
    split: str = "test",
    measure: str = "spearman",
    tasks: Iterable[str] | None = None,
) -> dict[str, float]:
    """Returns the unweighted mean of a measure over tasks, the usual "Avg" column of papers.

    Args:
        results: results in the layout of `flowjax.evaluation.table`.
        aggregation: `all`, `mean` or `wmean`, for tasks with subsets.
        split: name of the split; tasks without this split are ignored.
        measure: `spearman` or `pearson`.
        tasks: names of the tasks; all tasks with the measure if None.

    Returns:
        `{VECTORS: mean}` for each kind of vectors that all of these tasks have.

    Raises:
        FlowjaxError: The aggregation is unknown, or one of `tasks` lacks the measure.

    Example:
        >>> a, b = ({"plain": {"pairs": 9, "spearman": s, "pearson": s}} for s in (40.0, 60.0))
        >>> average({"stsb": {"test": a}, "sickr": {"test": b}})
        {'plain': 50.0}
    """
    if aggregation not in AGGREGATIONS:
        raise FlowjaxError(f"aggregation: expected one of {AGGREGATIONS}, got {aggregation!r}")
    table: dict[str, dict[str, float]] = {}
    for row in flat_rows(results, subsets=False):
        counted = row["split"] == split and row["aggregation"] in (aggregation, SINGLE)
        if counted and measure in row:
            table.setdefault(row["task"], {})[row["vectors"]] = row[measure]
    wanted = list(table) if tasks is None else list(tasks)
    missing = [task for task in wanted if task not in table]
    if missing:
        raise FlowjaxError(f"average: expected {measure} on {split} for {missing}, got none")
    kinds = dict.fromkeys(kind for task in wanted for kind in table[task])
    return {
        kind: float(np.mean([table[task][kind] for task in wanted]))
        for kind in kinds
        if all(kind in table[task] for task in wanted)
    }


def summarize_seeds(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the mean and the standard deviation over runs with different seeds.

    Args:
        runs: results with equal layouts, at least one. Keys next to an outer `"results"`, such as
            the model and the notes, are omitted because they may differ.

    Returns:
        The same layout. Each measure is replaced by its mean; `<measure>_std` is the sample
        standard deviation (n - 1; 0 for one run) and `seeds` the number of runs.

    Raises:
        FlowjaxError: The layouts or the numbers of pairs differ.

    Example:
        >>> runs = [{"spearman": s, "pairs": 7} for s in (70.0, 72.0)]
        >>> summarize_seeds(runs)
        {'spearman': 71.0, 'spearman_std': 1.4142135623730951, 'pairs': 7, 'seeds': 2}
    """
    if not runs:
        raise FlowjaxError("runs: expected at least one result, got none")
    if all("results" in run for run in runs):
        return {"results": summarize_seeds([run["results"] for run in runs])}
    first = runs[0]
    if any(set(run) != set(first) for run in runs):
        raise FlowjaxError(f"runs: expected the keys {sorted(first)} in every run, got other keys")
    summary: dict[str, Any] = {}
    for key, value in first.items():
        values = [run[key] for run in runs]
        if isinstance(value, Mapping):
            summary[key] = summarize_seeds(values)
        elif key in MEASURES:
            summary[key] = float(np.mean(values))
            summary[f"{key}_std"] = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        elif any(other != value for other in values):
            raise FlowjaxError(f"runs: expected equal {key}, got {values}")
        else:
            summary[key] = value
    if any(key in first for key in MEASURES):
        summary["seeds"] = len(runs)
    return summary
