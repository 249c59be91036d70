"""Tables of `flowjax evaluate`: correlations, AUC, accuracy, and subsets of STS12 to STS16."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from flowjax.evaluation import flat_rows
from flowjax.evaluation.intervals import Place, clear_best, interval, resampled_scores
from flowjax.report import sentences
from flowjax.report.blocks import Column, Fact, Table
from flowjax.report.inputs import ReportedModel, TaskVectors

# Resampled scores by task, place and kind of vectors.
Resampled = Mapping[str, Mapping[Place, Mapping[str, np.ndarray]]]
# Keys of a score that identify a row of a table.
_KEYS = ("task", "split", "aggregation", "pairs")
# Measure, caption, True for a table of subsets, and `Table.folded` of each table.
_TABLES = (
    ("spearman", "Spearman x 100", False, False),
    ("auc", "Area under the ROC curve x 100 (labels 0 and 1)", False, False),
    ("accuracy", "Accuracy x 100 at the threshold that is best for the same pairs", False, True),
    ("pearson", "Pearson x 100", False, True),
    ("spearman", "Spearman x 100 of each subset", True, True),
)
INTERVALS = (
    "In brackets: 95 % intervals of a bootstrap over the pairs. Bold: the paired differences to "
    "all other vectors have intervals above 0."
)


def resample(tasks: Sequence[TaskVectors], model: ReportedModel) -> Resampled:
    """Returns the bootstrap of the scores of all kinds of vectors on all tasks."""
    return {
        found.task.name: resampled_scores(found.task, found.lookups(model, model.maps))
        for found in tasks
    }


def result_tables(results: Mapping[str, Any], resampled: Resampled, flow: str) -> list[Table]:
    """Returns the non-empty tables of results, with one column per kind of vectors.

    Args:
        results: result of `flowjax.compare.compare`.
        resampled: result of `resample`.
        flow: name of the calibrated vectors, whose difference to plain vectors is a column.
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
        if not places:
            continue
        rows, marks = list(places.values()), []
        for i, row in enumerate(rows):
            drawn = resampled.get(row["task"], {}).get(
                Place(row["split"], row["aggregation"], measure), {}
            )
            row |= _with_intervals(row, drawn, flow)
            best = clear_best(drawn, {kind: row[kind] for kind in drawn}) if drawn else None
            marks += [(i, best)] if best else []
        columns = [Column("where", "task", left=True), *(Column(kind, kind, 2) for kind in kinds)]
        if any("gain" in row for row in rows):
            columns.append(Column("gain", f"{flow} \N{MINUS SIGN} plain", 2))
        columns.append(Column("pairs", "pairs"))
        notes = [INTERVALS] if any("gain" in row for row in rows) else []
        if any(row["aggregation"] == "wmean" for row in rows):
            notes.append(
                "all: pairs of all subsets pooled. mean, wmean: mean over the subsets, "
                "unweighted and weighted by their pairs (the BERT-flow paper reports wmean)."
            )
        name = f"{measure}_subsets" if subsets else measure
        tables.append(Table(name, caption, columns, rows, notes, marks, folded))
    return tables


def _with_intervals(
    row: Mapping[str, Any], drawn: Mapping[str, np.ndarray], flow: str
) -> dict[str, float]:
    found = {}
    for kind, values in drawn.items():
        found[f"{kind}_low"], found[f"{kind}_high"] = interval(values)
    if flow in drawn and flow != "plain":
        found["gain"] = row[flow] - row["plain"]
        found["gain_low"], found["gain_high"] = interval(drawn[flow] - drawn["plain"])
    return found


class Main(NamedTuple):
    """Main score of a task.

    Attributes:
        label: task, split and aggregation.
        measure: `"spearman"` or `"auc"`.
        pairs: number of pairs.
        scores: score of each kind of vectors.
        drawn: resampled scores of each kind of vectors.
    """

    label: str
    measure: str
    pairs: int
    scores: Mapping[str, float]
    drawn: Mapping[str, np.ndarray]

    def difference(self, name: str, other: str) -> tuple[float, float, float]:
        """Returns the difference of two kinds of vectors with its paired interval."""
        low, high = interval(self.drawn[name] - self.drawn[other])
        return self.scores[name] - self.scores[other], low, high

    def interval(self, name: str) -> tuple[float, float, float]:
        """Returns the score of a kind of vectors with its interval."""
        low, high = interval(self.drawn[name])
        value = self.scores[name]
        return value, min(low, value), max(high, value)


def main_scores(
    results: Mapping[str, Any], resampled: Resampled, kinds: Sequence[str]
) -> Iterator[Main]:
    """Yields the main score of each task, which tiles and the forest plot show.

    The main score belongs to the test split, or to the last split if there is no test split. For a
    task with subsets, it is `wmean`, or `all` if there is no `wmean`.

    Args:
        results: result of `flowjax.compare.compare`.
        resampled: result of `resample`.
        kinds: kinds of vectors.
    """
    for task, splits in results["results"].items():
        split = "test" if "test" in splits else list(splits)[-1]
        scores = {kind: splits[split][kind] for kind in kinds if kind in splits[split]}
        aggregation, label = "-", f"{task} {split}"
        if "wmean" in scores["plain"]:
            aggregation, label = "wmean", f"{label} wmean"
            scores = {kind: each["wmean"] for kind, each in scores.items()}
        measure = "spearman" if "spearman" in scores["plain"] else "auc"
        drawn = resampled[task][Place(split, aggregation, measure)]
        values = {kind: each[measure] for kind, each in scores.items()}
        yield Main(label, measure, scores["plain"]["pairs"], values, drawn)


def result_facts(mains: Sequence[Main], flow: str) -> list[Fact]:
    """Returns the main score of each task for each kind of vectors."""
    facts = []
    for main in mains:
        name = {"spearman": "Spearman x 100", "auc": "AUC x 100"}[main.measure]
        values = [(kind, f"{value:z.2f}") for kind, value in main.scores.items()]
        hint = f"{main.pairs:,} pairs"
        if flow != "plain":
            hint += f"; {sentences.difference(flow, 'plain', *main.difference(flow, 'plain'))}"
        facts.append(Fact(f"{name}, {main.label}", values, hint))
    return facts
