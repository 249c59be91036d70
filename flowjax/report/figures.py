"""Figures of the HTML report, each with a caption and alt text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flowjax import plots
from flowjax.evaluation import cosine, edit_distances
from flowjax.report.blocks import Neighbours, Plot, Section
from flowjax.report.inputs import ReportedModel, RunVectors, TaskVectors

RANDOM_PAIRS = 10_000
QUERIES, NEAREST = 5, 3
# Lengths of query sentences in words.
QUERY_WORDS = range(5, 16)


def geometry(model: ReportedModel, clouds: Sequence[np.ndarray], *, of: str) -> list[Plot]:
    """Returns plots of the projection, the spectrum and the cosines of random pairs of vectors.

    Args:
        model: model of the report.
        clouds: plain vectors and calibrated vectors, shape `(n, d)` each.
        of: description of the sentences, for the caption.
    """
    names = model.names
    cosines = [_random_cosines(x) for x in clouds]
    return [
        Plot(
            "projection",
            plots.projection_2d(*clouds, names=names),
            f"Scatter plots of {names[0]} and {names[1]} on two principal components each.",
            f"Vectors on their first two principal components ({of}). The plain vectors lie in a "
            "narrow cone away from the origin, so that all cosines are high.",
        ),
        Plot(
            "random_cosines",
            plots.cosine_histogram(*cosines, names=names),
            f"Histogram of cosines of random pairs. Mean {cosines[0].mean():.2f} for {names[0]}, "
            f"{cosines[1].mean():.2f} for {names[1]}.",
            f"Cosine of {RANDOM_PAIRS:,} random pairs of sentences, most of them unrelated. In an "
            "isotropic space the cosines lie around 0.",
        ),
        Plot(
            "spectrum",
            plots.spectrum(*clouds, names=names),
            f"Eigenvalues of the covariance of {names[0]} and {names[1]}, on a log scale.",
            "Eigenvalues of the covariance divided by their mean. Isotropic vectors would give a "
            "flat line at 1.",
        ),
    ]


def similarity(found: TaskVectors, model: ReportedModel) -> list[Plot]:
    """Returns plots of a task: cosines against gold scores, and the histogram of cosines.

    A task without gold scores (QNLI) has only the histogram.
    """
    task, pairs, names = found.task.name, found.pairs, model.names
    cosines = found.cosines(model).values()
    where = f"{len(pairs):,} pairs of {task}, {found.split}"
    if found.task.grouped:
        where += ", all subsets pooled"
    notes = "".join(f" {note[:1].upper()}{note[1:]}." for note in found.task.notes)
    histogram = Plot(
        f"cosines_{found.slug}",
        plots.cosine_histogram(*cosines, names=names, of=f"{task} pairs"),
        f"Histogram of the cosines of {where}: {names[0]} and {names[1]}.",
        f"Cosines of {where}.",
    )
    if found.task.metric != "correlation":
        return [histogram]
    scatter = Plot(
        f"similarity_{found.slug}",
        plots.similarity_scatter(pairs.gold, *cosines, names=names),
        f"Cosine similarity against gold scores, {where}: {names[0]} and {names[1]}.",
        f"Cosine against gold scores, {where}. The line is the mean cosine in equal ranges of the "
        f"score. A steep line with points close to it is best.{notes}",
    )
    return [scatter, histogram]


def lexical(found: TaskVectors, model: ReportedModel) -> Plot:
    """Returns a plot of gold scores and similarities against edit distance.

    This is figure 2 of BERT-flow (arXiv 2011.05864).
    """
    pairs = found.pairs
    lowered = [[s.lower() for s in side] for side in (pairs.sentences1, pairs.sentences2)]
    distances = edit_distances(*lowered, unit="word")
    return Plot(
        "lexical",
        plots.lexical_scatter(distances, {"gold": pairs.gold, **found.cosines(model)}),
        "Scatter plots of gold scores and of each similarity against edit distance.",
        f"Gold scores and similarities against the edit distance in words, {found.task.name} "
        f"{found.split}. A similarity that decreases faster than the gold scores depends on "
        "spelling.",
    )


def neighbours_section(
    model: ReportedModel, some: RunVectors, tasks: Sequence[TaskVectors]
) -> list[Section]:
    """Returns the section with the nearest sentences of a few random queries.

    Args:
        model: model of the report.
        some: vectors and, if available, their sentences.
        tasks: tasks; the sentences of the first task are searched if `some` has no sentences.

    Returns:
        A list with one section, or an empty list if there are no sentences.
    """
    if some.sentences is not None:
        sentences, plain, of = some.sentences, some.vectors, "sentences"
    elif tasks:
        sentences, plain, of = tasks[0].sentences, tasks[0].plain, f"of {tasks[0].task.name}"
    else:
        return []
    fit = [i for i, s in enumerate(sentences) if len(s.split()) in QUERY_WORDS]
    pool = np.array(fit or range(len(sentences)))
    queries = np.random.default_rng(0).permutation(pool)[:QUERIES].tolist()
    clouds = model.calibrate(plain)
    rows = plots.nearest_neighbours(sentences, *clouds, queries, k=NEAREST, names=model.names)
    caption = f"Nearest among {len(sentences):,} {of} by cosine, for {len(rows)} random queries"
    block = Neighbours("neighbours", caption, rows, model.names)
    text = f"The {NEAREST} nearest sentences of each query, before and after calibration."
    return [Section("neighbours", "Nearest neighbours", text, [block])]


def _random_cosines(vectors: np.ndarray) -> np.ndarray:
    """Returns the cosines of the random pairs of rows that `evaluation.mean_cosine` uses."""
    rng, n = np.random.default_rng(0), len(vectors)
    first = rng.integers(0, n, size=RANDOM_PAIRS)
    second = (first + rng.integers(1, n, size=RANDOM_PAIRS)) % n
    return cosine(vectors[first], vectors[second])
