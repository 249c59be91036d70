"""Page of `flowjax analyze`: isotropy, similarity baselines, edit distance and word frequency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flowjax.evaluation import Lookup
from flowjax.report import figures, measures
from flowjax.report.blocks import Block, Fact, Page, Section, Table
from flowjax.report.inputs import RankedWords, ReportedModel, RunVectors, TaskVectors

# Maximum number of vectors that the baselines are fitted on.
FIT_ROWS = 50_000
ISOTROPY_NOTES = [
    "Mean cosine of random pairs: 0 is isotropic. Isotropy score (Mu & Viswanath) of vectors of "
    "length 1, and IsoScore: 1 is isotropic. Uniformity (Wang & Isola): lower values are more "
    "uniform on the sphere.",
    "Whitening makes the vectors that it was fitted on isotropic by construction.",
]
ISOTROPY_TEXT = (
    "Vectors of a pretrained BERT lie in a narrow cone, so that the cosine of any two sentences "
    "is high. A calibration should spread them evenly."
)
SIMILARITY_TEXT = (
    "Agreement of cosine similarity with gold scores, for the methods in table 5 of the paper and "
    "the pooling of this run ({pooling})."
)
LEXICAL_TEXT = (
    "Dependence of similarity on spelling. A similarity depends on spelling if its correlation "
    "with edit distance is lower than the correlation of the gold scores (table 6 of the paper)."
)
WORDS_TEXT = (
    "In BERT, the embeddings of rare words are longer and further apart than the embeddings of "
    "frequent words, which affects sentence vectors (table 1 of the paper: norms from 0.95 to "
    "1.45 in BERT-base)."
)


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
        model: model of the report.
        run: plain vectors of the sentences that the model was fitted on.
        tasks: tasks with vectors; alignment is measured on pairs of the first task. Without
            tasks, the page has no similarities.
        words: word embeddings of the encoder.
        command: command line of the user.
        rows: maximum number of vectors for the isotropy measures and the figures.
    """
    some = run.take(rows)
    clouds = {name: map_(some.vectors) for name, map_ in model.maps.items()}
    caption = f"On {some.description}"
    notes = [*ISOTROPY_NOTES, *(["The next table is computed on other vectors."] if tasks else [])]
    isotropy = measures.isotropy_table("isotropy", caption, clouds, notes=notes)
    blocks: list[Block] = [isotropy, *(_task_isotropy(found, model) for found in tasks[:1])]
    before_after = [clouds[name] for name in model.names]
    blocks += figures.geometry(model, before_after, of=some.description)
    sections = [Section("isotropy", "Isotropy", ISOTROPY_TEXT, blocks)]

    if tasks:
        baselines = measures.baseline_table(run.take(FIT_ROWS).vectors, tasks, model)
        plots = (plot for found in tasks for plot in figures.similarity(found, model))
        text = SIMILARITY_TEXT.format(pooling=model.pooling)
        sections.append(Section("similarity", "Similarity", text, [baselines, *plots]))

    lexical = measures.lexical_table(tasks, model)
    if lexical is not None:
        graded = next(found for found in tasks if found.task.metric == "correlation")
        blocks = [lexical, figures.lexical(graded, model)]
        sections.append(Section("lexical", "Meaning or spelling", LEXICAL_TEXT, blocks))
    blocks = [measures.word_table(words)]
    sections.append(Section("words", "Word frequency", WORDS_TEXT, blocks))
    sections += figures.neighbours_section(model, some, tasks)

    facts = _isotropy_facts(isotropy.rows, model.names)
    for found in tasks[:1]:
        facts += _baseline_facts(baselines, found) + _lexical_facts(lexical, found, model.names)
    title = f"Analysis of {model.flow} on {model.encoder}"
    data = {"model": model.description}
    return Page(title, model.provenance, facts, sections, command, data)


def _task_isotropy(found: TaskVectors, model: ReportedModel) -> Table:
    """Returns the table of the isotropy of a task's sentences, with the alignment of its pairs."""
    gold = found.pairs.gold
    similar = np.flatnonzero(gold >= 0.8 * gold.max())
    clouds, positives = {}, {}
    sides = [[s[i] for i in similar] for s in (found.pairs.sentences1, found.pairs.sentences2)]
    for name, map_ in model.maps.items():
        clouds[name] = map_(found.plain)
        lookup = Lookup(found.sentences, clouds[name])
        positives[name] = (lookup[sides[0]], lookup[sides[1]])
    note = (
        f"Alignment (Wang & Isola): mean squared distance of the {len(similar):,} pairs of "
        f"{found.split} with a gold score of at least {0.8 * gold.max():g}, vectors of length 1. "
        "Alignment increases as vectors spread, so compare it together with uniformity."
    )
    if len(found.sentences) < found.plain.shape[1]:
        note += " IsoScore is low for any vectors if there are fewer sentences than dimensions."
    caption = f"On the {len(found.sentences):,} sentences of {found.task.name}"
    return measures.isotropy_table("isotropy_task", caption, clouds, positives, [note])


def _isotropy_facts(rows: Sequence[dict[str, Any]], names: tuple[str, str]) -> list[Fact]:
    before, after = (next(r for r in rows if r["vectors"] == name) for name in names)
    return [
        Fact(label, f"{before[key]:z.2f}", f"{after[key]:z.2f}", f"{best} is isotropic")
        for key, label, best in (
            ("mean_cosine", "Mean cosine, random pairs", 0),
            ("isoscore", "IsoScore", 1),
        )
    ]


def _baseline_facts(table: Table, found: TaskVectors) -> list[Fact]:
    """Returns the score of a task before and after calibration; `wmean` if it has subsets."""
    place = f"{found.task.name}_{found.split}"
    measure = "AUC" if found.task.metric == "auc" else "Spearman"
    facts = []
    for column in table.columns:
        if column.key in (place, f"{place}_wmean"):
            before, after = (f"{table.rows[i][column.key]:z.2f}" for i in (0, -1))
            facts.append(Fact(f"{measure}, {column.label}", before, after, "100 is best"))
    return facts


def _lexical_facts(table: Table | None, found: TaskVectors, names: tuple[str, str]) -> list[Fact]:
    place = (found.task.name, found.split)
    rows = [] if table is None else table.rows
    edit = {r["measure"]: r["edit"] for r in rows if (r["task"], r["split"]) == place}
    if not edit:
        return []
    before, after = (f"{edit[name]:z.1f}" for name in names)
    return [Fact("Spearman with edit distance", before, after, f"gold: {edit['gold']:z.1f}")]
