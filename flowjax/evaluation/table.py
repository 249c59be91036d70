"""Tables of results: flat rows, Markdown, rich.

All functions read the layout that `flowjax evaluate --json` writes:
`{"results": {TASK: {SPLIT: {VECTORS: scores}}}}`. The scores hold `pairs`, `spearman` and
`pearson` (QNLI: `pairs` and `auc`; labels 0 and 1: also `auc`, `accuracy` and `threshold`); a
grouped task has such scores under `all`, `mean`, `wmean` and `subsets`. Every row of a table
contains the name of its aggregation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

MEASURES = ("spearman", "pearson", "auc", "accuracy", "threshold")
AGGREGATIONS = ("all", "mean", "wmean")
# Measures of pairs with the labels 0 and 1, and their prefix in a cell.
_OF_LABELS = {"auc": "AUC ", "accuracy": "accuracy "}
SINGLE = "-"  # aggregation of a task without subsets
_KEYS = ("task", "split", "aggregation", "pairs")


def by_vectors(scores: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Converts `{VECTORS: {SPLIT: scores}}` to `{SPLIT: {VECTORS: scores}}`.

    Args:
        scores: result of `evaluate_task` for each kind of vectors.

    Returns:
        Dict from the names of the vectors to their scores.

    Example:
        >>> by_vectors({"plain": {"dev": {"pairs": 2}}, "glow": {"dev": {"pairs": 2}}})
        {'dev': {'plain': {'pairs': 2}, 'glow': {'pairs': 2}}}
    """
    result: dict[str, dict[str, Any]] = {}
    for name, splits in scores.items():
        for split, leaf in splits.items():
            result.setdefault(split, {})[name] = leaf
    return result


def flat_rows(results: Mapping[str, Any], *, subsets: bool = True) -> list[dict[str, Any]]:
    """Returns one flat dict per score, for example for `csv.DictWriter`.

    Args:
        results: results in the layout of this module, with or without the outer `"results"`.
        subsets: True to include single subsets, with the aggregation `"subset NAME"`.

    Returns:
        Dicts with the keys task, split, aggregation, vectors, pairs and the measures of the score.

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


def markdown_table(
    results: Mapping[str, Any], *, subsets: bool = False, measures: Sequence[str] = MEASURES[:2]
) -> str:
    """Returns the results as a Markdown table with one column per kind of vectors.

    Args:
        results: results in the layout of this module; cells of `summarize_seeds` have the form
            `mean ± std`.
        subsets: True to add one row per subset.
        measures: correlations in a cell, in this order.

    Returns:
        The table as text.

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
    texts = [[cell.replace("|", r"\|") for cell in cells] for cells in (header, rule, *rows)]
    lines = ["| " + " | ".join(cells) + " |" for cells in texts]
    return "\n".join([*lines, "", legend])


def rich_table(
    results: Mapping[str, Any],
    *,
    subsets: bool = False,
    measures: Sequence[str] = MEASURES[:2],
    title: str | None = None,
    width: int | None = None,
) -> Table:
    """Returns the results as a `rich.table.Table` for the terminal; see `markdown_table`.

    Args:
        results: results in the layout of this module.
        subsets: True to add one row per subset.
        measures: correlations in a cell, in this order.
        title: title of the table.
        width: width in characters; the width of the terminal if None. If the table is wider, each
            measure gets a separate row.

    Returns:
        A table of `rich`.

    Example:
        >>> scores = {"pairs": 1379, "spearman": 47.286, "pearson": 45.0}
        >>> rich_table({"stsb": {"test": {"plain": scores}}}).row_count
        1
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text  # unlike a string, it is not parsed for markup

    header, rows, legend = _grid(results, subsets, measures)
    tasks = [row[0] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    room = get_terminal_size().columns if width is None else width
    names = len(_KEYS) - 1  # columns of text
    if sum(widths) + 2 * len(widths) > room:
        header, rows, tasks = _narrow(header, rows, measures)
        legend, names = f"{legend} rho: Spearman, r: Pearson.", 1
    else:  # the name of a task is printed once
        repeated = [i > 0 and tasks[i - 1] == task for i, task in enumerate(tasks)]
        rows = [
            ["" if again else row[0], *row[1:]] for row, again in zip(rows, repeated, strict=True)
        ]
    heading = None if title is None else Text(title)
    table = Table(title=heading, caption=Text(legend), box=box.SIMPLE_HEAD, pad_edge=False)
    table.collapse_padding = True
    for position, (name, *column) in enumerate(zip(header, *rows, strict=True)):
        if position < names:  # rich folds the names rather than the numbers
            table.add_column(Text(name), overflow="fold")
        else:
            wide = max(map(len, column), default=0)
            table.add_column(Text(name), justify="right", overflow="fold", min_width=wide)
    for _, group in groupby(zip(tasks, rows, strict=True), key=itemgetter(0)):
        for _, row in group:
            table.add_row(*map(Text, row))
        table.add_section()  # a rule separates the tasks
    return table


def _narrow(
    header: list[str], rows: list[list[str]], measures: Sequence[str]
) -> tuple[list[str], list[list[str]], list[str]]:
    """Returns a grid with one column of names and one labelled row per measure.

    Args:
        header: names of the columns of `_grid`.
        rows: rows of `_grid`.
        measures: measures in a cell, in their order.

    Returns:
        The header, the rows, and the task of each row.
    """
    found, tasks = [], []
    for task, split, aggregation, pairs, *cells in rows:
        words = [word for word in (task, split, aggregation) if word != SINGLE]
        name = aggregation.replace("subset", " ") if "subset" in aggregation else " ".join(words)
        parts = [cell.split(" / ") for cell in cells]
        for i in range(max(map(len, parts))):
            values = [part[i] if i < len(part) else "" for part in parts]
            named = any(value[:1].isalpha() for value in values)  # such as AUC
            label = "" if named else {"spearman": "rho", "pearson": "r"}.get(measures[i], "")
            found.append([*((name, pairs) if i == 0 else ("", "")), label, *values])
            tasks.append(task)
    return ["result", "pairs", "", *header[len(_KEYS) :]], found, tasks


def _leaves(scores: Mapping[str, Any], subsets: bool) -> list[tuple[str, Any]]:
    leaves = [(name, scores[name]) for name in AGGREGATIONS if name in scores]
    if subsets:
        leaves += [(f"subset {name}", leaf) for name, leaf in scores.get("subsets", {}).items()]
    return leaves or [(SINGLE, scores)]


def _grid(
    results: Mapping[str, Any], subsets: bool, measures: Sequence[str]
) -> tuple[list[str], list[list[str]], str]:
    """Returns the header, the rows of cells, and the legend of the cells."""
    flat = flat_rows(results, subsets=subsets)
    kinds = list(dict.fromkeys(row["vectors"] for row in flat))
    places: dict[tuple[str, ...], dict[str, str]] = {}
    for row in flat:
        place = tuple(str(row[key]) for key in _KEYS)
        places.setdefault(place, {})[row["vectors"]] = _cell(row, measures)
    legend = " / ".join(measure.capitalize() for measure in measures) + ", x 100"
    if any("auc" in row for row in flat):
        legend += "; labels 0 and 1: area under the ROC curve (AUC), x 100"
    if any("accuracy" in row for row in flat):
        legend += "; accuracy x 100 at the threshold that is best for the same pairs"
    seeds = sorted({row["seeds"] for row in flat if "seeds" in row})
    if seeds:
        legend += f"; mean ± standard deviation over {', '.join(map(str, seeds))} seeds"
    cells = [[*place, *(found.get(kind, "") for kind in kinds)] for place, found in places.items()]
    return [*_KEYS, *kinds], cells, legend + "."


def _cell(row: Mapping[str, Any], measures: Sequence[str]) -> str:
    shown = []
    for measure in dict.fromkeys((*measures, *_OF_LABELS)):
        if measure in row:
            spread = f" ± {row[f'{measure}_std']:.2f}" if f"{measure}_std" in row else ""
            shown.append(f"{_OF_LABELS.get(measure, '')}{row[measure]:.2f}{spread}")
    return " / ".join(shown)
