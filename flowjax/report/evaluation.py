"""Page of `flowjax evaluate --report`: results on tasks, and figures of the vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flowjax.evaluation import Lookup, verdict
from flowjax.report import figures
from flowjax.report.blocks import Column, Page, Plot, Section, Table
from flowjax.report.check import gain_plot
from flowjax.report.inputs import ReportedModel, RunVectors, TaskVectors
from flowjax.report.results import result_facts, result_tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Maximum number of vectors in the figures.
ROWS = 5_000


def evaluation_page(
    model: ReportedModel,
    results: Mapping[str, Any],
    tasks: Sequence[TaskVectors],
    *,
    command: str,
    curves: Figure | None = None,
) -> Page:
    """Returns the page with the results on tasks and figures before and after calibration.

    Args:
        model: model of the report.
        results: result of `flowjax.compare.compare` on the same tasks.
        tasks: tasks with vectors.
        command: command line of the user.
        curves: training curves of the run.
    """
    line = verdict(results, model.flow)
    text = (
        "Agreement of cosine similarity with gold scores, before and after calibration. All "
        f"calibrations were fitted on the same sentences. {line[0].upper()}{line[1:]}."
    )
    sections = [Section("results", "Results", text, result_tables(results))]
    sections += _selection(results.get("model", {}).get("selection", {}))
    for found in tasks:
        notes = " ".join(results["notes"].get(found.task.name, ()))
        blocks = figures.similarity(found, model)
        sections.append(Section(f"task-{found.slug}", found.task.name, notes, blocks))
    some = _pooled(tasks).take(ROWS)
    drawn = figures.geometry(model, model.calibrate(some.vectors), of=some.description)
    text = f"Vectors of {len(some.vectors):,} distinct sentences of the tasks."
    sections.append(Section("geometry", "Geometry", text, drawn))
    sections += figures.neighbours_section(model, some, tasks)
    if curves is not None:
        caption = (
            "Metrics of the fit against steps. Bits per dimension are negative for continuous "
            "vectors with a high density."
        )
        plot = Plot("curves", curves, "Metrics of the fit over steps.", caption)
        sections.append(Section("training", "Training", "", [plot]))
    title = f"Evaluation of {model.flow} on {model.encoder}"
    facts = result_facts(results, model.names)
    return Page(title, model.provenance, facts, sections, command, dict(results))


def _selection(found: Mapping[str, Any]) -> list[Section]:
    """Returns the section about the selection of the flow; none without a selection."""
    if "table" not in found:
        return []
    rows = [{"vectors": name, **row} for name, row in found["table"].items()]
    pairs = ", ".join(
        f"{count:,} {kind.replace('_', ' ')}" for kind, count in found["pairs"].items()
    )
    columns = [
        Column("vectors", "Vectors", left=True),
        Column("score", "Score", digits=1),
        *(Column(kind, kind.replace("_", " ").capitalize(), digits=1) for kind in found["pairs"]),
        Column("difference", "Gain of the odds", digits=1),
        Column("low", "from", digits=1),
        Column("high", "to", digits=1),
    ]
    notes = [
        "Percentages. Each kind of related texts has its own retrieval measure, and the score "
        "combines their log-odds. Candidates are ranked by copies with dropped words, if there "
        "are any."
    ]
    table = Table("selection", f"Retrieval of related texts, pairs: {pairs}", columns, rows, notes)
    text = f"Selected without labels on held-out sentences: {found['advice']}."
    return [Section("selection", "Selection", text, [gain_plot(rows), table])]


def _pooled(tasks: Sequence[TaskVectors]) -> RunVectors:
    """Returns the vectors of the distinct sentences of all tasks."""
    sentences = [s for found in tasks for s in found.sentences]
    texts = list(dict.fromkeys(sentences))
    lookup = Lookup(sentences, np.concatenate([found.plain for found in tasks]))
    return RunVectors(lookup[texts].astype(np.float32), texts, "the tasks' sentences")
