"""Tables of `flowjax analyze`: isotropy, word frequency, lexical similarity, baselines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from flowjax.errors import FlowjaxError
from flowjax.evaluation import (
    Lookup,
    alignment,
    evaluate_vectors,
    flat_rows,
    frequency_table,
    isotropy_report,
    lexical_correlations,
    null_top_singular_vectors,
    spearman,
    standardize,
    standardize_then_null,
    whiten,
)
from flowjax.evaluation.baselines import Transform
from flowjax.evaluation.gaussian import gaussian_report
from flowjax.evaluation.intervals import Place, clear_best, resampled_scores
from flowjax.report.blocks import Column, Table
from flowjax.report.inputs import RankedWords, ReportedModel, TaskVectors

# Numbers of nulled singular vectors in table 5 of the paper, without and after standardization.
NATSV, SN_NATSV = (1, 10), (1, 6)
NEIGHBOURS = (3, 5, 7)
# Name of the reference row of the isotropy tables.
EXACT = "exact Gaussian sample"


def isotropy_table(
    name: str,
    caption: str,
    clouds: Mapping[str, np.ndarray],
    positives: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
    notes: Sequence[str] = (),
) -> Table:
    """Returns a table of isotropy measures, with those of an exact Gaussian sample of this size.

    Args:
        name: name of the table.
        caption: caption of the table.
        clouds: dict from name to vectors, shape `(n, d)`.
        positives: dict from the same names to `(vectors1, vectors2)` of pairs with the same
            meaning, for alignment; None omits alignment.
        notes: notes of the table.
    """
    rows = []
    for kind, vectors in clouds.items():
        row: dict[str, Any] = {"vectors": kind, "n": len(vectors), **isotropy_report(vectors)}
        if positives is not None and len(positives[kind][0]):
            row["alignment"] = alignment(*positives[kind])
        rows.append(row)
    shape = next(iter(clouds.values())).shape
    rows.append({"vectors": EXACT, "n": shape[0], **gaussian_report(*shape)})
    columns = [
        Column("vectors", "vectors", left=True),
        Column("mean_cosine", "mean cosine", 3),
        Column("isotropy_score", "isotropy score", 3),
        Column("isoscore", "IsoScore", 3),
        Column("uniformity", "uniformity", 2),
        Column("top_variance", "variance of first PC", 3),
        Column("mean_norm", "mean norm", 2),
    ]
    if positives is not None:
        columns.insert(5, Column("alignment", "alignment", 3))
    return Table(name, caption, columns, rows, notes)


def word_table(words: RankedWords) -> Table:
    """Returns table 1 of the paper for the word embeddings of an encoder."""
    rows = frequency_table(words.embeddings, neighbours=NEIGHBOURS)
    for row in rows:
        row["ranks"] = f"{row['low']:,} to {row['high']:,}"
    columns = [
        Column("ranks", "frequency rank", left=True),
        Column("words", "tokens"),
        Column("norm", "mean norm", 2),
        *(Column(f"l2_{k}", f"L2, k = {k}", 2) for k in NEIGHBOURS),
        *(Column(f"dot_{k}", f"dot, k = {k}", 2) for k in NEIGHBOURS),
    ]
    notes = [
        words.note,
        "L2, dot: mean distance and mean dot product of a token and its k nearest tokens.",
    ]
    return Table("words", "Word embeddings by frequency rank", columns, rows, notes)


def lexical_table(tasks: Sequence[TaskVectors], model: ReportedModel) -> Table | None:
    """Returns table 6 of the paper, or None if no task has gold scores.

    The table contains the correlations of similarities with edit distance and with gold scores.
    """
    rows = []
    for found in tasks:
        if found.task.metric != "correlation":
            continue
        lookups = found.lookups(model, model.maps)
        for split in found.task.splits:
            pairs = found.task.pairs(split)
            measures = {"gold": pairs.gold, **{n: x.cosines(pairs) for n, x in lookups.items()}}
            edits = lexical_correlations(pairs.sentences1, pairs.sentences2, measures)
            place = {"task": found.task.name, "split": split, "pairs": len(pairs)}
            for name, values in measures.items():
                rho = 100.0 * spearman(values, pairs.gold, (name, "gold"))
                rows.append({"measure": name, **place, "edit": edits[name], "gold": rho})
    if not rows:
        return None
    columns = [
        Column("measure", "similarity", left=True),
        Column("edit", "with edit distance", 2),
        Column("gold", "with gold", 2),
        Column("task", "task", left=True),
        Column("split", "split", left=True),
        Column("pairs", "pairs"),
    ]
    notes = ["Spearman x 100, over all pairs of a split. Edit distance in words, lower-cased."]
    caption = "Correlation with edit distance and with gold scores (table 6 of the paper)"
    return Table("lexical", caption, columns, rows, notes, folded=True)


def baseline_table(
    fitted: np.ndarray, tasks: Sequence[TaskVectors], model: ReportedModel
) -> Table:
    """Returns table 5 of the paper: closed-form baselines and the fitted flow.

    Args:
        fitted: plain vectors on which the baselines are fitted, shape `(n, d)`.
        tasks: tasks on which the baselines and the flow are evaluated.
        model: model of the report. Its standardization and whitening are used if it has them, so
            that all pages have the same values.
    """
    k, maps = max(1, fitted.shape[1] // 3), model.maps
    makers: dict[str, Any] = {
        "plain": lambda: lambda x: x,
        "standardize (SN)": lambda: maps.get("standardize") or standardize(fitted),
        **{f"NATSV k={k}": lambda k=k: null_top_singular_vectors(fitted, k) for k in NATSV},
        **{f"SN + NATSV k={k}": lambda k=k: standardize_then_null(fitted, k) for k in SN_NATSV},
        "whitening": lambda: maps.get("whitening") or whiten(fitted),
        f"whitening-{k}": lambda: whiten(fitted, k),
        f"{model.flow} (fitted flow)": lambda: maps[model.flow],
    }
    notes = [
        "Spearman x 100 (QNLI: AUC x 100). NATSV k: top k singular vectors nulled. whitening-"
        f"{k}: first {k} components only. All are fitted on the same {len(fitted):,} vectors, "
        "without labels. Bold: the differences to all other rows have 95 % intervals above 0."
    ]
    rows: list[dict[str, Any]] = []
    resampled: dict[str, dict[str, Any]] = {}
    labels: dict[str, str] = {}
    for method, make in makers.items():
        row: dict[str, Any] = {"method": method}
        rows.append(row)
        try:
            map_ = make()
        except FlowjaxError as error:  # for example too few vectors
            notes.append(f"{method}: not defined for these vectors ({error}).")
        else:
            for place, label, value, drawn in _scores(tasks, map_):
                row[place], labels[place] = value, label
                resampled.setdefault(place, {})[method] = drawn
    marks = []
    for place, methods in resampled.items():
        best = clear_best(methods, {row["method"]: row[place] for row in rows if place in row})
        marks += [(i, place) for i, row in enumerate(rows) if row["method"] == best]
    shown = [Column(place, label, 2) for place, label in labels.items()]
    head = Column("method", "vectors", left=True)
    return Table("baselines", "Calibration baselines", [head, *shown], rows, notes, marks)


def _scores(
    tasks: Sequence[TaskVectors], map_: Transform
) -> Iterable[tuple[str, str, float, np.ndarray]]:
    """Yields the key, label, main score and resampled scores of each split and aggregation."""
    for found in tasks:
        vectors = map_(found.plain)
        scores = evaluate_vectors(found.task, found.sentences, vectors)
        results = {found.task.name: {split: {"": each} for split, each in scores.items()}}
        drawn = resampled_scores(found.task, {"": Lookup(found.sentences, vectors)})
        for row in flat_rows(results, subsets=False):
            parts = [row[key] for key in ("task", "split", "aggregation") if row[key] != "-"]
            main = "spearman" if "spearman" in row else "auc"
            resampled = drawn[Place(row["split"], row["aggregation"], main)][""]
            yield "_".join(parts), " ".join(parts), row[main], resampled
