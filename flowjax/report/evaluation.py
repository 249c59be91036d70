"""Page of `flowjax evaluate --report`: results on tasks, and figures of the vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from flowjax import plots
from flowjax.evaluation import Lookup
from flowjax.plots._style import drawn
from flowjax.plots.training import panels_of
from flowjax.report import figures, sentences
from flowjax.report.blocks import Column, Page, Plot, Section, Table
from flowjax.report.check import gain_plot
from flowjax.report.inputs import ReportedModel, RunVectors, Seen, TaskVectors
from flowjax.report.results import main_scores, resample, result_facts, result_tables

# Maximum number of vectors in the figures.
ROWS = 5_000


def evaluation_page(
    model: ReportedModel,
    results: Mapping[str, Any],
    tasks: Sequence[TaskVectors],
    *,
    command: str,
    metrics: Sequence[Mapping[str, Any]] = (),
) -> Page:
    """Returns the page with the results on tasks and figures before and after calibration.

    Args:
        model: model of the report.
        results: result of `flowjax.compare.compare` on the same tasks.
        tasks: tasks with vectors.
        command: command line of the user.
        metrics: metrics of the fit, rows of `metrics.jsonl`.
    """
    resampled = resample(tasks, model)
    mains = list(main_scores(results, resampled, model.kinds))
    others = [kind for kind in model.kinds if kind != model.flow]
    lead = sentences.summary(
        model.flow,
        {o: [m.difference(model.flow, o)[1:] for m in mains if o in m.scores] for o in others},
    )
    some = _pooled(tasks).take(ROWS)
    clouds = model.clouds(some.vectors)
    before_after = {name: clouds[name] for name in model.before_after}
    of, where = f"vectors of {some.description}", sentences.seen(some.seen)
    text = (
        "Agreement of cosine similarity with gold scores. All calibrations were fitted on the "
        f"same sentences, without labels. {where}"
    )
    notes = " ".join(
        f"{name}: {note}." for name, found in results["notes"].items() for note in found
    )
    related = [figures.task_cosines(found, model) for found in tasks]
    tables = result_tables(results, resampled, model.flow)
    sections = [
        Section("cone", "Cone", where, [figures.cone(before_after, of, model.kinds)]),
        Section("cosines", "Cosines", notes, related),
        Section("spectrum", "Spectrum", where, [figures.spectrum(clouds, of)]),
        Section("results", "Results", text, [figures.forest(mains, model.kinds), *tables]),
        *figures.neighbours_section(model, some),
        *_selection(results.get("model", {}).get("selection", {})),
        *_training(metrics, model.flow, results.get("model", {})),
    ]
    title = f"Evaluation of {model.flow} on {model.encoder}"
    facts = result_facts(mains, model.flow)
    return Page(title, model.provenance, facts, sections, command, dict(results), lead=lead)


def _training(
    metrics: Sequence[Mapping[str, Any]], flow: str, fitted: Mapping[str, Any]
) -> list[Section]:
    """Returns the section with the metrics of the fit; none without metrics of a flow.

    Args:
        metrics: rows of `metrics.jsonl`.
        flow: name of the flow of the model.
        fitted: facts about the fit. If a selection chose a closed form, the metrics are those of
            the flow that was trained and not chosen.
    """
    if not any("bits_per_dim" in row for row in metrics):
        return []
    curves = [
        drawn(partial(plots.fit_curves, _only(metrics, ("step", *keys))), size=(4.2, 3.2))
        for keys in panels_of(metrics).values()
    ]
    caption = (
        "Metrics of the fit against steps. Bits per dimension are negative for continuous vectors "
        "with a high density."
    )
    plot = Plot("curves", curves, "Metrics of the fit over steps.", caption)
    text = ""
    if "selection" in fitted and not fitted.get("steps"):
        text = (
            f"The curves belong to a flow that was trained for the selection, which chose {flow}."
        )
    return [Section("training", "Training", text, [plot])]


def _only(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> list[dict[str, Any]]:
    return [{key: row[key] for key in keys if key in row} for row in rows]


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
    texts = [s for found in tasks for s in found.sentences]
    distinct = list(dict.fromkeys(texts))
    lookup = Lookup(texts, np.concatenate([found.plain for found in tasks]))
    sizes, seen = [len(found.sentences) for found in tasks], [found.seen for found in tasks]
    known = [part for part in seen if part is not None]
    part = None
    if len(known) == len(seen):
        part = Seen(*np.average(known, axis=0, weights=sizes).tolist())
    description = f"{len(distinct):,} distinct sentences of the tasks"
    return RunVectors(lookup[distinct].astype(np.float32), distinct, description, part)
