"""The two reports: what `flowjax analyze` and `flowjax evaluate --report` put on their pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flowjax.compare import Calibration, calibrations
from flowjax.evaluation import Lookup
from flowjax.model import BertFlow
from flowjax.report import measures, pictures
from flowjax.report.blocks import Block, Fact, Page, Picture, Section, Table
from flowjax.report.inputs import RunVectors, TaskVectors
from flowjax.report.results import result_facts, result_tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Vectors that geometry is measured on (all pairs of them are visited), and fitted on.
GEOMETRY_ROWS, FIT_ROWS = 5_000, 50_000


def analysis_page(
    model: BertFlow,
    run: RunVectors,
    tasks: Sequence[TaskVectors],
    *,
    command: str,
    rows: int = GEOMETRY_ROWS,
) -> Page:
    """Isotropy, word frequency, lexical similarity and baselines of a run, with pictures.

    Args:
        model: Fitted.
        run: From `run_vectors`.
        tasks: From `task_vectors`; the first gives the positive pairs and the pictures.
        command: What the user typed.
        rows: Vectors that geometry is measured on.
    """
    maps, names = calibrations(model), ("plain", model.flow_name)
    some = run.take(rows)
    clouds = {name: map_(some.vectors) for name, map_ in maps.items()}
    ends = (clouds[names[0]], clouds[names[1]])
    drawn = pictures.geometry(ends, names, of=some.what)
    isotropy = measures.isotropy_table(
        "isotropy",
        f"On {some.what}",
        clouds,
        notes=[
            "Mean cosine of random pairs: 0 is isotropic. Isotropy score (Mu & Viswanath) of "
            "vectors of length 1, and IsoScore: 1 is isotropic. Uniformity (Wang & Isola): the "
            "lower, the more even on the sphere.",
            "Whitening is isotropic on the very vectors it was fitted on by construction; the "
            "next table has others.",
        ],
    )
    blocks: list[Block] = [isotropy, *(_unseen(found, maps) for found in tasks[:1]), *drawn]
    sections = [
        Section(
            "isotropy",
            "Isotropy",
            "Vectors of a pretrained BERT lie in a narrow cone, so that the cosine of any two "
            "sentences is high. A calibration should spread them out evenly.",
            blocks,
        )
    ]
    baselines = measures.baseline_table(
        run.take(FIT_ROWS).vectors, tasks, model.flow_name, model.transform
    )
    similar: list[Block] = [baselines]
    for found in tasks:
        similar += pictures.similarity(found, found.cosines(_pick(maps, names)), names)
    sections.append(
        Section(
            "similarity",
            "Similarity",
            "Does cosine similarity rank pairs as people do? The calibrations of the paper's "
            f"table 5, with this run's pooling ({model.encoder.pooling}).",
            similar,
        )
    )
    lexical = measures.lexical_table(tasks, maps)
    if lexical is not None:
        graded = next(found for found in tasks if found.task.metric == "correlation")
        picture = pictures.lexical(graded, graded.cosines(_pick(maps, names)))
        text = (
            "Does similarity follow spelling more than people do? Then its correlation with edit "
            "distance lies further down than that of the human scores, gold (the paper's table 6)."
        )
        sections.append(Section("lexical", "Meaning or spelling", text, [lexical, picture]))
    text = (
        "In BERT, rare words' embeddings are longer and more sparsely spread (the paper's table "
        "1: norms from 0.95 to 1.45 in BERT-base), which sentence vectors inherit."
    )
    words = measures.word_table(model.encoder, run.sentences)
    sections.append(Section("words", "Word frequency", text, [words]))
    sections += _neighbours(some, tasks, maps, names)
    facts = _isotropy_facts(isotropy.rows, names)
    if tasks:
        facts += _baseline_facts(baselines, tasks[0]) + _lexical_facts(lexical, tasks[0], names)
    title = f"Analysis of {model.flow_name} on {model.encoder.name}"
    return Page(title, _about(model), facts, sections, command, {"model": _describe(model)})


def evaluation_page(
    model: BertFlow,
    results: Mapping[str, Any],
    tasks: Sequence[TaskVectors],
    *,
    command: str,
    curves: Figure | None = None,
    rows: int = GEOMETRY_ROWS,
) -> Page:
    """Similarity before and after on tasks, with pictures.

    Args:
        model: Fitted.
        results: Of `flowjax.compare.compare` on the same tasks.
        tasks: From `task_vectors`.
        command: What the user typed.
        curves: The run's training curves.
        rows: Vectors that geometry is measured on.
    """
    maps, names = calibrations(model), ("plain", model.flow_name)
    ends = _pick(maps, names)
    text = (
        "How well the cosine of two sentences' vectors agrees with people, before and after. "
        "All calibrations were fitted on the same sentences."
    )
    sections = [Section("results", "Results", text, result_tables(results))]
    for found in tasks:
        blocks = pictures.similarity(found, found.cosines(ends), names)
        notes = " ".join(results["notes"].get(found.task.name, ()))
        sections.append(Section(f"task-{found.slug}", found.task.name, notes, blocks))
    texts = list(dict.fromkeys(s for found in tasks for s in found.sentences))
    lookup = Lookup(
        [s for found in tasks for s in found.sentences],
        np.concatenate([found.plain for found in tasks]),
    )
    pooled = RunVectors(lookup[texts].astype(np.float32), texts, "the tasks' sentences")
    some = pooled.take(rows)
    clouds = (some.vectors, model.transform(some.vectors))
    text = f"The clouds of vectors of {len(some.vectors):,} distinct sentences of the tasks."
    drawn = pictures.geometry(clouds, names, of=some.what)
    sections.append(Section("geometry", "Geometry", text, drawn))
    sections += _neighbours(some, tasks, maps, names)
    if curves is not None:
        picture = Picture(
            "curves",
            curves,
            "The loss of the fit by step.",
            "Bits per dimension of the density of continuous vectors: below 0 is normal.",
        )
        sections.append(Section("training", "Training", "", [picture]))
    title = f"Evaluation of {model.flow_name} on {model.encoder.name}"
    facts = result_facts(results, names)
    return Page(title, _about(model), facts, sections, command, dict(results))


def _unseen(found: TaskVectors, maps: Mapping[str, Calibration]) -> Block:
    """Isotropy on a task's sentences, with alignment of the pairs that mean the same."""
    gold = found.pairs.gold
    like = np.flatnonzero(gold >= 0.8 * gold.max())
    clouds, positives = {}, {}
    for name, map_ in maps.items():
        clouds[name] = map_(found.plain)
        lookup = Lookup(found.sentences, clouds[name])
        sides = (found.pairs.sentences1, found.pairs.sentences2)
        first, second = (lookup[[side[i] for i in like]] for side in sides)
        positives[name] = (first, second)
    note = (
        f"Alignment (Wang & Isola): mean squared distance of the {len(like):,} pairs of "
        f"{found.split} whose gold is at least {0.8 * gold.max():g}, vectors of length 1. It "
        "grows as vectors spread out; only beside uniformity does it say anything."
    )
    if len(found.sentences) < found.plain.shape[1]:
        note += " IsoScore is low by construction: fewer sentences than dimensions."
    caption = f"On the {len(found.sentences):,} sentences of {found.task.name}"
    return measures.isotropy_table("isotropy_task", caption, clouds, positives, [note])


def _neighbours(
    some: RunVectors,
    tasks: Sequence[TaskVectors],
    maps: Mapping[str, Calibration],
    names: tuple[str, str],
) -> list[Section]:
    """Among the given sentences, or the first task's where the run's cannot be had."""
    if some.sentences is not None:
        sentences, plain, of = some.sentences, some.vectors, "sentences"
    elif tasks:
        sentences, plain, of = tasks[0].sentences, tasks[0].plain, f"of {tasks[0].task.name}"
    else:
        return []
    clouds = (maps[names[0]](plain), maps[names[1]](plain))
    block = pictures.neighbours("neighbours", sentences, clouds, names, of=of)
    text = "The three sentences nearest to a few others, before and after."
    return [Section("neighbours", "Nearest neighbours", text, [block])]


def _pick(maps: Mapping[str, Calibration], names: tuple[str, str]) -> dict[str, Calibration]:
    return {name: maps[name] for name in names}


def _describe(model: BertFlow) -> dict[str, Any]:
    return {**model.encoder.describe(), "flow": model.flow_name, **model.fitted_on}


def _about(model: BertFlow) -> list[tuple[str, str]]:
    """What a number means nothing without."""
    encoder, fitted = model.encoder, model.fitted_on
    tokens = "included" if encoder.special_tokens else "left out"
    about = [
        ("Encoder", f"{encoder.name}, {encoder.dim} dimensions"),
        ("Pooling", f"{encoder.pooling}, special tokens {tokens}, {encoder.max_length} tokens"),
        ("Flow", model.flow_name + "".join(f", {k} {v}" for k, v in model.flow_options.items())),
    ]
    if fitted:
        about.append(("Fitted on", f"{fitted['data']}: {fitted['sentences']:,} sentences"))
    return about


def _isotropy_facts(rows: Sequence[dict[str, Any]], names: tuple[str, str]) -> list[Fact]:
    before, after = (next(r for r in rows if r["vectors"] == name) for name in names)
    shown = {"mean_cosine": "Mean cosine, random pairs", "isoscore": "IsoScore"}
    hints = {"mean_cosine": "0 is isotropic", "isoscore": "1 is isotropic"}
    return [
        Fact(label, f"{before[key]:z.2f}", f"{after[key]:z.2f}", hints[key])
        for key, label in shown.items()
    ]


def _baseline_facts(table: Table, found: TaskVectors) -> list[Fact]:
    """Before and after on the split of the pictures; wmean, as the paper has it."""
    place = f"{found.task.name}_{found.split}"
    columns = [c for c in table.columns if c.key in (place, f"{place}_wmean")]
    measure = "AUC" if found.task.metric == "auc" else "Spearman"
    facts = []
    for column in columns:
        before, after = table.rows[0][column.key], table.rows[-1][column.key]
        label = f"{measure}, {column.label}"
        facts.append(Fact(label, f"{before:z.2f}", f"{after:z.2f}", "100 is the most"))
    return facts


def _lexical_facts(table: Table | None, found: TaskVectors, names: tuple[str, str]) -> list[Fact]:
    place = (found.task.name, found.split)
    rows = [] if table is None else table.rows
    edit = {r["measure"]: r["edit"] for r in rows if (r["task"], r["split"]) == place}
    if not edit:
        return []
    before, after = (f"{edit[name]:z.1f}" for name in names)
    return [Fact("Spearman with edit distance", before, after, f"gold has {edit['gold']:z.1f}")]
