"""Results as tables: rows, Markdown, rich, averages over tasks, mean and spread over seeds.

All functions read the layout that ``flowjax evaluate --json`` writes:
``{"results": {TASK: {SPLIT: {VECTORS: scores}}}}``, where scores hold pairs, spearman and pearson
(QNLI: pairs and auc), or for grouped tasks such scores under all, mean, wmean and subsets.
A result without the name of its aggregation is meaningless, so every row carries it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rich.table import Table

MEASURES = ("spearman", "pearson", "auc")
AGGREGATIONS = ("all", "mean", "wmean")
SINGLE = "-"  # the aggregation of a task without subsets
_KEYS = ("task", "split", "aggregation", "pairs")


def by_vectors(scores: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Turns ``{VECTORS: {SPLIT: scores}}`` (one `evaluate_task` each) into the results' order.

    Example:
        >>> by_vectors({"plain": {"dev": {"pairs": 2}}, "glow": {"dev": {"pairs": 2}}})
        {'dev': {'plain': {'pairs': 2}, 'glow': {'pairs': 2}}}
    """
    splits = dict.fromkeys(split for each in scores.values() for split in each)
    return {
        split: {name: each[split] for name, each in scores.items() if split in each}
        for split in splits
    }


def flat_rows(results: Mapping[str, Any], *, subsets: bool = True) -> list[dict[str, Any]]:
    """One flat row for each number pair, fit for ``csv.DictWriter``.

    Args:
        results: The layout above, with or without its outer ``"results"``.
        subsets: Also the rows of single subsets (aggregation ``"subset NAME"``).

    Returns:
        Rows with the keys task, split, aggregation, vectors, pairs and the measures there are.

    Example:
        >>> scores = {"pairs": 3, "spearman": 50.0, "pearson": 40.0}
        >>> flat_rows({"stsb": {"test": {"plain": scores}}})[0]["aggregation"]
        '-'
    """
    rows = []
    for task, splits in results.get("results", results).items():
        for split, kinds in splits.items():
            for vectors, scores in kinds.items():
                for aggregation, leaf in _leaves(scores, subsets):
                    place = {"task": task, "split": split, "aggregation": aggregation}
                    rows.append(place | {"vectors": vectors} | leaf)
    return rows


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
        results: The layout above.
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
        runs: Results of equal layout, at least one.

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


def markdown_table(
    results: Mapping[str, Any], *, subsets: bool = False, measures: Sequence[str] = MEASURES[:2]
) -> str:
    """The results as a Markdown table, one column for each kind of vectors.

    Args:
        results: The layout above; from `summarize_seeds` cells read ``mean ± std``.
        subsets: Also a row for each subset.
        measures: Which correlations a cell shows, in this order.

    Example:
        >>> scores = {"pairs": 1379, "spearman": 47.286, "pearson": 45.0}
        >>> print(markdown_table({"stsb": {"test": {"plain": scores}}}))
        | task | split | aggregation | pairs | plain |
        | --- | --- | --- | ---: | ---: |
        | stsb | test | - | 1379 | 47.29 / 45.00 |
        <BLANKLINE>
        Spearman / Pearson, x 100.
    """
    header, rows, legend = _grid(results, subsets, measures)
    rule = ["---"] * 3 + ["---:"] * (len(header) - 3)
    lines = ["| " + " | ".join(cells) + " |" for cells in (header, rule, *rows)]
    return "\n".join([*lines, "", legend])


def rich_table(
    results: Mapping[str, Any],
    *,
    subsets: bool = False,
    measures: Sequence[str] = MEASURES[:2],
    title: str | None = None,
) -> Table:
    """The same as `markdown_table`, as a ``rich.table.Table`` for the terminal.

    Example:
        >>> scores = {"pairs": 1379, "spearman": 47.286, "pearson": 45.0}
        >>> rich_table({"stsb": {"test": {"plain": scores}}}).row_count
        1
    """
    from rich import box
    from rich.table import Table

    header, rows, legend = _grid(results, subsets, measures)
    table = Table(title=title, caption=legend, box=box.SIMPLE_HEAD)
    for position, name in enumerate(header):
        table.add_column(name, justify="left" if position < 3 else "right", no_wrap=True)
    previous = None
    for row in rows:
        # The name of a task is printed once, and a rule parts it from the next.
        if previous is not None and row[0] != previous:
            table.add_section()
        table.add_row(row[0] if row[0] != previous else "", *row[1:])
        previous = row[0]
    return table


def _leaves(scores: Mapping[str, Any], subsets: bool) -> list[tuple[str, dict[str, Any]]]:
    if "subsets" not in scores and not any(name in scores for name in AGGREGATIONS):
        return [(SINGLE, dict(scores))]
    leaves = [(name, dict(scores[name])) for name in AGGREGATIONS if name in scores]
    if subsets:
        leaves += [(f"subset {name}", dict(s)) for name, s in scores.get("subsets", {}).items()]
    return leaves


def _grid(
    results: Mapping[str, Any], subsets: bool, measures: Sequence[str]
) -> tuple[list[str], list[list[str]], str]:
    """Header, rows of cells, and the legend that says what a cell holds."""
    flat = flat_rows(results, subsets=subsets)
    kinds = list(dict.fromkeys(row["vectors"] for row in flat))
    places: dict[tuple[str, ...], dict[str, str]] = {}
    for row in flat:
        place = tuple(str(row[key]) for key in _KEYS)
        places.setdefault(place, {})[row["vectors"]] = _cell(row, measures)
    legend = " / ".join(measure.capitalize() for measure in measures) + ", x 100"
    if any("auc" in row for row in flat):
        legend += "; QNLI: area under the ROC curve (AUC), x 100"
    seeds = sorted({row["seeds"] for row in flat if "seeds" in row})
    if seeds:
        legend += f"; mean ± standard deviation over {', '.join(map(str, seeds))} seeds"
    cells = [[*place, *(found.get(kind, "") for kind in kinds)] for place, found in places.items()]
    return [*_KEYS, *kinds], cells, legend + "."


def _cell(row: Mapping[str, Any], measures: Sequence[str]) -> str:
    shown = []
    for measure in ("auc",) if "auc" in row else measures:
        spread = f" ± {row[f'{measure}_std']:.2f}" if f"{measure}_std" in row else ""
        shown.append(f"{'AUC ' if measure == 'auc' else ''}{row[measure]:.2f}{spread}")
    return " / ".join(shown)
