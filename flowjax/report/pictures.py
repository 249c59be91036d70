"""The pictures of a report, each with its caption and its words for who cannot see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from flowjax import plots
from flowjax.evaluation import cosine, edit_distances
from flowjax.report.blocks import Neighbours, Picture
from flowjax.report.inputs import TaskVectors

RANDOM_PAIRS = 10_000
QUERIES, NEAREST = 5, 3
# A query of two words, or of forty, says little about neighbours.
QUERY_WORDS = range(5, 16)


def geometry(
    clouds: tuple[np.ndarray, np.ndarray],
    names: tuple[str, str],
    *,
    of: str,
) -> list[Picture]:
    """Projection, spectrum and cosines of random pairs of one set of sentences.

    Args:
        clouds: `(n, d)` plain and calibrated vectors.
        names: What these are called.
        of: What the vectors are of.
    """
    before, after = clouds
    cosines = [_random_cosines(x) for x in clouds]
    return [
        Picture(
            "projection",
            plots.projection_2d(before, after, names=names),
            f"Two scatter plots on two principal components each: {names[0]} and {names[1]}.",
            f"Each cloud on the plane of its two largest principal components ({of}). A plain "
            "cloud lies off the origin, in a narrow cone: all cosines are high.",
        ),
        Picture(
            "random_cosines",
            plots.cosine_histogram(*cosines, names=names),
            f"Histogram of cosines of random pairs. Mean {cosines[0].mean():.2f} for {names[0]}, "
            f"{cosines[1].mean():.2f} for {names[1]}.",
            f"Cosine of {RANDOM_PAIRS:,} random pairs of sentences, which mean different things: "
            "in an isotropic space these lie around 0.",
        ),
        Picture(
            "spectrum",
            plots.spectrum(before, after, names=names),
            f"Eigenvalues of the covariance by size, {names[0]} and {names[1]}, on a log scale.",
            "Eigenvalues of the covariance over their mean; a flat line at 1 would be isotropic.",
        ),
    ]


def similarity(
    found: TaskVectors, cosines: Mapping[str, np.ndarray], names: tuple[str, str]
) -> list[Picture]:
    """Gold against cosine, and the histogram of cosines, on one task's pairs."""
    task, pairs = found.task.name, found.pairs
    before, after = (cosines[name] for name in names)
    where = f"{len(pairs):,} pairs of {task}, {found.split}"
    if found.task.grouped:
        where += ", subsets pooled (all)"
    drawn = []
    if found.task.metric == "correlation":
        drawn.append(
            Picture(
                f"similarity_{found.slug}",
                plots.similarity_scatter(pairs.gold, before, after, names=names),
                f"Human score against cosine similarity, {where}: {names[0]} and {names[1]}.",
                f"Human score against cosine, {where}. The line is the mean cosine in equal "
                "ranges of the score: the steeper and tighter, the better.",
            )
        )
    drawn.append(
        Picture(
            f"cosines_{found.slug}",
            plots.cosine_histogram(before, after, names=names, of=f"{task} pairs"),
            f"Histogram of the cosines of {where}: {names[0]} and {names[1]}.",
            f"Cosines of {where}.",
        )
    )
    return drawn


def lexical(found: TaskVectors, cosines: Mapping[str, np.ndarray]) -> Picture:
    """Edit distance against gold and each similarity (the paper's figure 2)."""
    pairs = found.pairs
    lowered = [[s.lower() for s in side] for side in (pairs.sentences1, pairs.sentences2)]
    distances = edit_distances(*lowered, unit="word")
    return Picture(
        "lexical",
        plots.lexical_scatter(distances, {"gold": pairs.gold, **cosines}),
        "Scatter plots of edit distance against gold and against each similarity.",
        f"Edit distance in words against gold and similarity, {found.task.name} {found.split}. "
        "What sinks faster than gold does follows spelling.",
    )


def neighbours(
    name: str,
    sentences: Sequence[str],
    clouds: tuple[np.ndarray, np.ndarray],
    names: tuple[str, str],
    *,
    of: str,
    seed: int = 0,
) -> Neighbours:
    """Nearest sentences before and after of a few queries drawn at random."""
    fit = [i for i, s in enumerate(sentences) if len(s.split()) in QUERY_WORDS]
    pool = np.array(fit or range(len(sentences)))
    queries = np.random.default_rng(seed).permutation(pool)[:QUERIES]
    rows = plots.nearest_neighbours(sentences, *clouds, queries.tolist(), k=NEAREST, names=names)
    caption = f"Nearest by cosine among {len(sentences):,} {of}, for {len(rows)} drawn at random"
    return Neighbours(name, caption, rows, names)


def _random_cosines(vectors: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Cosines of random pairs of different rows: the pairs of `evaluation.mean_cosine`."""
    rng, n = np.random.default_rng(seed), len(vectors)
    first = rng.integers(0, n, size=RANDOM_PAIRS)
    second = (first + rng.integers(1, n, size=RANDOM_PAIRS)) % n
    return cosine(vectors[first], vectors[second])
