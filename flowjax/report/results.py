"""The tables of `flowjax evaluate`: Spearman, Pearson, subsets, and AUC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowjax.evaluation import flat_rows
from flowjax.report.blocks import Column, Fact, Table

_KEYS = ("task", "split", "aggregation", "pairs")
_TABLES = (
    ("spearman", "Spearman x 100", False, False),
    ("auc", "QNLI: area under the ROC curve x 100", False, False),
    ("pearson", "Pearson x 100", False, True),
    ("spearman", "Spearman x 100 of each subset", True, True),
)


def result_tables(results: Mapping[str, Any]) -> list[Table]:
    """Results as tables with a column for each kind of vectors; those without a row left out.

    Args:
        results: Of `flowjax.compare.compare`.
    """
    tables: list[Table] = []
    for measure, caption, subsets, folded in _TABLES:
        places: dict[tuple[str, ...], dict[str, Any]] = {}
        kinds: dict[str, None] = {}
        for row in flat_rows(results):
            if measure in row and row["aggregation"].startswith("subset ") == subsets:
                where = tuple(str(row[key]) for key in _KEYS)
                label = " ".join(part for part in where[:3] if part != "-")
                place = places.setdefault(where, {key: row[key] for key in _KEYS})
                place["where"] = label.replace("subset ", "")
                place[row["vectors"]] = row[measure]
                kinds[row["vectors"]] = None
        if places:
            name = f"{measure}_subsets" if subsets else measure
            rows = list(places.values())
            numbers = [Column(kind, kind, 2) for kind in kinds]
            columns = [Column("where", "task", left=True), *numbers, Column("pairs", "pairs")]
            notes = ["In bold: the best of a row."] if not tables else []
            if any(row["aggregation"] == "wmean" for row in rows):
                notes.append(
                    "all: the subsets' pairs pooled; mean and wmean: over subsets, plain and "
                    "weighted by pairs (wmean is the BERT-flow paper's)."
                )
            tables.append(Table(name, caption, columns, rows, notes, "max", folded))
    return tables


def result_facts(results: Mapping[str, Any], names: tuple[str, str]) -> list[Fact]:
    """Before and after on each task: its test split (or last), wmean where it has subsets."""
    facts = []
    for task, splits in results["results"].items():
        split = "test" if "test" in splits else list(splits)[-1]
        before, after = (splits[split][name] for name in names)
        parts = [task, split]
        if "wmean" in before:
            before, after = before["wmean"], after["wmean"]
            parts.append("wmean")
        measure = "auc" if "auc" in before else "spearman"
        label = f"{'AUC' if measure == 'auc' else 'Spearman'}, {' '.join(parts)}"
        hint = f"{before['pairs']:,} pairs"
        facts.append(Fact(label, f"{before[measure]:z.2f}", f"{after[measure]:z.2f}", hint))
    return facts
