"""Page of `flowjax analyze`: isotropy, similarity baselines, and word frequency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flowjax.evaluation import evaluate_vectors
from flowjax.evaluation.table import by_vectors
from flowjax.report import figures, measures, sentences
from flowjax.report.blocks import Block, Fact, Page, Section, Table
from flowjax.report.inputs import RankedWords, ReportedModel, RunVectors, Seen, TaskVectors
from flowjax.report.results import main_scores, resample, result_facts

# Maximum number of vectors that the baselines are fitted on.
FIT_ROWS = 50_000
ISOTROPY_NOTE = (
    "Mean cosine of random pairs: 0 is isotropic. Isotropy score (Mu & Viswanath) of vectors of "
    "length 1, and IsoScore: larger is more isotropic. Uniformity (Wang & Isola): lower is more "
    "uniform on the sphere. The last row is an exact Gaussian sample of the same size: vectors "
    "are more isotropic only by chance."
)
SIMILARITY_TEXT = (
    "Agreement of cosine similarity with gold scores, for the methods in table 5 of the paper and "
    "the pooling of this run ({pooling})."
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
    """Returns the page with isotropy, baselines and word frequency of a model.

    Args:
        model: model of the report.
        run: plain vectors of the sentences that the model was fitted on.
        tasks: tasks with vectors. The figures show the sentences of the first task, or those of
            the run if there are no tasks.
        words: word embeddings of the encoder.
        command: command line of the user.
        rows: maximum number of vectors for the isotropy measures and the figures.
    """
    shown = (tasks[0].run() if tasks else run).take(rows)
    clouds = model.clouds(shown.vectors)
    before_after = {name: clouds[name] for name in model.before_after}
    of, where = f"vectors of {shown.description}", sentences.seen(shown.seen)
    tables = [_task_isotropy(found, model) for found in tasks[:1]]
    tables.append(_run_isotropy(run.take(rows), model))
    related = (
        figures.task_cosines(tasks[0], model)
        if tasks
        else figures.cosines("random_cosines", clouds, of=shown.description)
    )
    sections = [
        Section("cone", "Cone", where, [figures.cone(before_after, of, model.kinds)]),
        Section("cosines", "Cosines", "", [related]),
        Section("isotropy", "Isotropy", where, [figures.spectrum(clouds, of), *tables]),
    ]
    facts = _isotropy_facts(tables[0].rows, model.kinds, shown.seen)
    if tasks:
        results = {found.task.name: _results(found, model) for found in tasks}
        mains = list(main_scores({"results": results}, resample(tasks, model), model.kinds))
        facts += result_facts(mains, model.flow)
        text = SIMILARITY_TEXT.format(pooling=model.pooling)
        baselines = measures.baseline_table(run.take(FIT_ROWS).vectors, tasks, model)
        blocks: list[Block] = [figures.forest(mains, model.kinds), baselines]
        lexical = measures.lexical_table(tasks, model)
        blocks += [lexical] if lexical is not None else []
        sections.append(Section("similarity", "Similarity", text, blocks))
    sections += figures.neighbours_section(model, shown)
    sections.append(Section("words", "Word frequency", WORDS_TEXT, [measures.word_table(words)]))
    title = f"Analysis of {model.flow} on {model.encoder}"
    data = {"model": model.description}
    return Page(title, model.provenance, facts, sections, command, data)


def _results(found: TaskVectors, model: ReportedModel) -> dict[str, Any]:
    return by_vectors(
        {
            name: evaluate_vectors(found.task, found.sentences, model.maps[name](found.plain))
            for name in model.kinds
        }
    )


def _run_isotropy(some: RunVectors, model: ReportedModel) -> Table:
    clouds = {name: map_(some.vectors) for name, map_ in model.maps.items()}
    notes = [ISOTROPY_NOTE]
    if some.seen and some.seen.fitted:
        notes.append(
            "Whitening makes the vectors that it was fitted on isotropic by construction."
        )
    return measures.isotropy_table("isotropy", f"On {some.description}", clouds, notes=notes)


def _task_isotropy(found: TaskVectors, model: ReportedModel) -> Table:
    """Returns the table of the isotropy of a task's sentences, with the alignment of its pairs."""
    related = found.related
    lookups = found.lookups(model, model.maps)
    positives = {
        name: (lookup[related.sentences1], lookup[related.sentences2])
        for name, lookup in lookups.items()
    }
    note = (
        f"Alignment (Wang & Isola): mean squared distance of the {len(related):,} pairs of "
        f"{found.split} with a gold score of at least {found.least_related:g}, vectors of length "
        "1. Alignment increases as vectors spread, so compare it together with uniformity."
    )
    if len(found.sentences) < found.plain.shape[1]:
        note += " IsoScore is low for any vectors if there are fewer sentences than dimensions."
    caption = f"On the {len(found.sentences):,} sentences of {found.task.name}"
    clouds = {name: lookup.vectors for name, lookup in lookups.items()}
    return measures.isotropy_table(
        "isotropy_task", caption, clouds, positives, [sentences.seen(found.seen), note]
    )


def _isotropy_facts(
    rows: Sequence[Mapping[str, Any]], kinds: Sequence[str], seen: Seen | None
) -> list[Fact]:
    """Returns the isotropy of each kind of vectors; the last row has the exact Gaussian sample."""
    return isotropy_facts(rows, kinds, sentences.short_seen(seen))


def isotropy_facts(
    rows: Sequence[Mapping[str, Any]], kinds: Sequence[str], about: str
) -> list[Fact]:
    """Returns the mean cosine and the IsoScore of each kind of vectors.

    Args:
        rows: rows of an isotropy table.
        kinds: kinds of vectors.
        about: words about the vectors, such as "in-sample".
    """
    values = {row["vectors"]: row for row in rows}
    exact = values[measures.EXACT]
    return [
        Fact(
            label,
            [(kind, f"{values[kind][key]:z.2f}") for kind in kinds],
            f"{about}; exact Gaussian sample: {exact[key]:z.2f}",
        )
        for key, label in (("mean_cosine", "Mean cosine, random pairs"), ("isoscore", "IsoScore"))
    ]
