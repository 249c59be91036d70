"""Page of `flowjax analyze`: isotropy, similarity baselines, edit distance and word frequency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flowjax.evaluation import Lookup
from flowjax.report import figures, measures
from flowjax.report.blocks import Block, Fact, Page, Section, Table
from flowjax.report.inputs import RankedWords, ReportedModel, RunVectors, TaskVectors

# Vectors that the baselines are fitted on.
FIT_ROWS = 50_000


def analysis_page(
    model: ReportedModel,
    run: RunVectors,
    tasks: Sequence[TaskVectors],
    words: RankedWords,
    *,
    command: str,
    rows: int,
) -> Page:
    """Returns the page with isotropy, baselines, edit distance and word frequency of a model.

    Args:
        model: calibrations of the model.
        run: plain vectors of the sentences that the model was fitted on.
        tasks: tasks with vectors; the first gives the pairs for alignment.
        words: word embeddings of the encoder.
        command: command that the user typed.
        rows: largest number of vectors for isotropy and the figures.
    """
    some = run.take(rows)
    clouds = {name: map_(some.vectors) for name, map_ in model.maps.items()}
    isotropy = _isotropy_table(clouds, some)
    fitted = run.take(FIT_ROWS).vectors
    baselines = measures.baseline_table(fitted, tasks, model.flow, model.maps[model.flow])
    lexical = measures.lexical_table(tasks, model)
    facts = _isotropy_facts(isotropy.rows, model.names)
    if tasks:
        facts += _baseline_facts(baselines, tasks[0])
        facts += _lexical_facts(lexical, tasks[0], model.names)
    sections = [
        _isotropy_section(isotropy, clouds, some, tasks, model),
        _similarity_section(baselines, tasks, model),
        *_lexical_sections(lexical, tasks, model),
        _words_section(words),
        *figures.neighbours_section(model, some, tasks),
    ]
    title = f"Analysis of {model.flow} on {model.encoder}"
    data = {"model": model.description}
    return Page(title, model.provenance, facts, sections, command, data)


def _isotropy_table(clouds: Mapping[str, np.ndarray], some: RunVectors) -> Table:
    notes = [
        "Mean cosine of random pairs: 0 is isotropic. Isotropy score (Mu & Viswanath) of vectors "
        "of length 1, and IsoScore: 1 is isotropic. Uniformity (Wang & Isola): lower values are "
        "more uniform on the sphere.",
        "Whitening makes the vectors that it was fitted on isotropic by construction. The next "
        "table has other vectors.",
    ]
    return measures.isotropy_table("isotropy", f"On {some.description}", clouds, notes=notes)


def _isotropy_section(
    isotropy: Table,
    clouds: Mapping[str, np.ndarray],
    some: RunVectors,
    tasks: Sequence[TaskVectors],
    model: ReportedModel,
) -> Section:
    before, after = (clouds[name] for name in model.names)
    blocks: list[Block] = [
        isotropy,
        *(_task_isotropy(found, model) for found in tasks[:1]),
        *figures.geometry((before, after), model.names, of=some.description),
    ]
    text = (
        "Vectors of a pretrained BERT lie in a narrow cone, so that the cosine of any two "
        "sentences is high. A calibration should spread them evenly."
    )
    return Section("isotropy", "Isotropy", text, blocks)


def _task_isotropy(found: TaskVectors, model: ReportedModel) -> Table:
    """Returns the isotropy of a task's sentences, with the alignment of similar pairs."""
    gold = found.pairs.gold
    similar = np.flatnonzero(gold >= 0.8 * gold.max())
    clouds, positives = {}, {}
    for name, map_ in model.maps.items():
        clouds[name] = map_(found.plain)
        lookup = Lookup(found.sentences, clouds[name])
        sides = (found.pairs.sentences1, found.pairs.sentences2)
        first, second = (lookup[[side[i] for i in similar]] for side in sides)
        positives[name] = (first, second)
    note = (
        f"Alignment (Wang & Isola): mean squared distance of the {len(similar):,} pairs of "
        f"{found.split} with a gold score of at least {0.8 * gold.max():g}, vectors of length 1. "
        "It increases as vectors spread, so compare it together with uniformity."
    )
    if len(found.sentences) < found.plain.shape[1]:
        note += " IsoScore is low by construction: there are fewer sentences than dimensions."
    caption = f"On the {len(found.sentences):,} sentences of {found.task.name}"
    return measures.isotropy_table("isotropy_task", caption, clouds, positives, [note])


def _similarity_section(
    baselines: Table, tasks: Sequence[TaskVectors], model: ReportedModel
) -> Section:
    drawn = [plot for found in tasks for plot in figures.similarity(found, model)]
    text = (
        "Agreement of cosine similarity with gold scores, for the calibrations in table 5 of the "
        f"paper and the pooling of this run ({model.pooling})."
    )
    return Section("similarity", "Similarity", text, [baselines, *drawn])


def _lexical_sections(
    lexical: Table | None, tasks: Sequence[TaskVectors], model: ReportedModel
) -> list[Section]:
    if lexical is None:
        return []
    graded = next(found for found in tasks if found.task.metric == "correlation")
    text = (
        "Dependence of similarity on spelling. A similarity depends on spelling if its "
        "correlation with edit distance is lower than that of the gold scores (table 6 of the "
        "paper)."
    )
    blocks: list[Block] = [lexical, figures.lexical(graded, model)]
    return [Section("lexical", "Meaning or spelling", text, blocks)]


def _words_section(words: RankedWords) -> Section:
    text = (
        "In BERT, the embeddings of rare words are longer and further apart than those of "
        "frequent words, which affects sentence vectors (table 1 of the paper: norms from 0.95 to "
        "1.45 in BERT-base)."
    )
    return Section("words", "Word frequency", text, [measures.word_table(words)])


def _isotropy_facts(rows: Sequence[dict[str, Any]], names: tuple[str, str]) -> list[Fact]:
    before, after = (next(r for r in rows if r["vectors"] == name) for name in names)
    shown = [
        ("mean_cosine", "Mean cosine, random pairs", "0 is isotropic"),
        ("isoscore", "IsoScore", "1 is isotropic"),
    ]
    return [
        Fact(label, f"{before[key]:z.2f}", f"{after[key]:z.2f}", hint)
        for key, label, hint in shown
    ]


def _baseline_facts(table: Table, found: TaskVectors) -> list[Fact]:
    """Returns the scores of a task before and after calibration; `wmean` if it has subsets."""
    place = f"{found.task.name}_{found.split}"
    columns = [c for c in table.columns if c.key in (place, f"{place}_wmean")]
    measure = "AUC" if found.task.metric == "auc" else "Spearman"
    facts = []
    for column in columns:
        before, after = table.rows[0][column.key], table.rows[-1][column.key]
        label = f"{measure}, {column.label}"
        facts.append(Fact(label, f"{before:z.2f}", f"{after:z.2f}", "100 is best"))
    return facts


def _lexical_facts(table: Table | None, found: TaskVectors, names: tuple[str, str]) -> list[Fact]:
    place = (found.task.name, found.split)
    rows = [] if table is None else table.rows
    edit = {r["measure"]: r["edit"] for r in rows if (r["task"], r["split"]) == place}
    if not edit:
        return []
    before, after = (f"{edit[name]:z.1f}" for name in names)
    return [Fact("Spearman with edit distance", before, after, f"gold: {edit['gold']:z.1f}")]
