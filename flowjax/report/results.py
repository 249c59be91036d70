"""Tables of `flowjax evaluate`: correlations, AUC, accuracy, and subsets of STS12 to STS16."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowjax.evaluation import flat_rows
from flowjax.report.blocks import Column, Fact, Table

# Keys of a score that identify a row of a table.
_KEYS = ("task", "split", "aggregation", "pairs")
# Measure, caption, True for a table of subsets, and `Table.folded` of each table.
_TABLES = (
    ("spearman", "Spearman x 100", False, False),
    ("auc", "Area under the ROC curve x 100 (labels 0 and 1)", False, False),
    ("accuracy", "Accuracy x 100 at the threshold that is best for the same pairs", False, False),
    ("pearson", "Pearson x 100", False, True),
    ("spearman", "Spearman x 100 of each subset", True, True),
)


def result_tables(results: Mapping[str, Any]) -> list[Table]:
    """Returns the non-empty tables of results, with one column per kind of vectors.

    Args:
        results: result of `flowjax.compare.compare`.
    """
    tables: list[Table] = []
    for measure, caption, subsets, folded in _TABLES:
        places: dict[str, dict[str, Any]] = {}
        kinds: dict[str, None] = {}
        for row in flat_rows(results):
            if measure in row and row["aggregation"].startswith("subset ") == subsets:
                place = {key: row[key] for key in _KEYS}
                label = " ".join(place[key] for key in _KEYS[:3] if place[key] != "-")
                place["where"] = label.replace("subset ", "")
                places.setdefault(str(place), place)[row["vectors"]] = row[measure]
                kinds[row["vectors"]] = None
        if places:
            name = f"{measure}_subsets" if subsets else measure
            rows = list(places.values())
            numbers = [Column(kind, kind, 2) for kind in kinds]
            columns = [Column("where", "task", left=True), *numbers, Column("pairs", "pairs")]
            notes = ["Bold: the largest value of a row."] if not tables else []
            if any(row["aggregation"] == "wmean" for row in rows):
                notes.append(
                    "all: pairs of all subsets pooled. mean, wmean: mean over the subsets, "
                    "unweighted and weighted by their pairs (the BERT-flow paper reports wmean)."
                )
            tables.append(Table(name, caption, columns, rows, notes, "max", folded))
    return tables


def result_facts(results: Mapping[str, Any], names: tuple[str, str]) -> list[Fact]:
    """Returns the main score of each task before and after calibration.

    The main score belongs to the test split, or to the last split if there is no test split. For a
    task with subsets, it is `wmean`.
    """
    facts = []
    for task, splits in results["results"].items():
        split = "test" if "test" in splits else list(splits)[-1]
        scores = [splits[split][name] for name in names]
        where = f"{task} {split}"
        if "wmean" in scores[0]:
            scores, where = [each["wmean"] for each in scores], f"{where} wmean"
        both = {"spearman": "Spearman", "auc": "AUC"}
        measure, label = next((m, label) for m, label in both.items() if m in scores[0])
        before, after = (f"{each[measure]:z.2f}" for each in scores)
        facts.append(Fact(f"{label}, {where}", before, after, f"{scores[0]['pairs']:,} pairs"))
    return facts
