"""Figures of the HTML report, each with a caption and alt text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from flowjax import plots
from flowjax.evaluation.gaussian import gaussian_band, relative_eigenvalues
from flowjax.evaluation.isotropy import isoscore_of_variances
from flowjax.evaluation.qnli import roc_auc
from flowjax.evaluation.retrieval import random_cosines
from flowjax.plots._style import drawn
from flowjax.plots.cone import mean_cosine
from flowjax.report import sentences
from flowjax.report.blocks import Neighbours, Plot, Section
from flowjax.report.inputs import ReportedModel, RunVectors, TaskVectors
from flowjax.report.results import Main

RANDOM_PAIRS = 10_000
QUERIES, NEAREST = 5, 3
# Lengths of query sentences in words.
QUERY_WORDS = range(5, 16)
# Sentences among which nearest neighbours are searched for the count of changes.
_SEARCHED = 5000


def cone(clouds: Mapping[str, np.ndarray], of: str, kinds: Sequence[str]) -> Plot:
    """Returns the plot of vectors along their mean, with the origin.

    Args:
        clouds: plain and calibrated vectors, shape (n, d), by name.
        of: description of the vectors, for the caption.
        kinds: all kinds of vectors of the page, for their colours.
    """
    cosines = {name: mean_cosine(np.asarray(x, np.float64)) for name, x in clouds.items()}
    figures = [
        drawn(partial(plots.cone, {name: x}, kinds=kinds), size=(4.2, 3.6))
        for name, x in clouds.items()
    ]
    text = sentences.cone(cosines)
    return Plot(
        "cone",
        figures,
        f"Scatter plots of vectors in the plane of their mean, with the origin. {text}",
        f"{_upper(of)}, along their mean vector and the widest direction orthogonal to it; the "
        f"mean is not subtracted. {text}",
    )


def cosines(
    name: str,
    clouds: Mapping[str, np.ndarray],
    *,
    of: str,
    related: Mapping[str, np.ndarray] | None = None,
    label: str = "related pairs",
) -> Plot:
    """Returns the plot of the cosines of random pairs and of related pairs.

    Args:
        name: name of the plot.
        clouds: vectors, shape (n, d), by name.
        of: description of the vectors, for the caption.
        related: cosines of related pairs for each kind of vectors, or None.
        label: name of the related pairs.
    """
    random = {kind: random_cosines(x, RANDOM_PAIRS) for kind, x in clouds.items()}
    dim = next(iter(clouds.values())).shape[1]
    pairs = {
        kind: (values, None if related is None else related[kind])
        for kind, values in random.items()
    }
    size = (4.6, 1.5 + 0.62 * len(clouds))
    figure = drawn(partial(plots.pair_cosines, pairs, related=label, dim=dim), size=size)
    if related is None:
        text = sentences.cone({kind: float(values.mean()) for kind, values in random.items()})
    else:
        text = sentences.aucs(
            {kind: _auc(related[kind], values) for kind, values in random.items()},
            "a related pair",
        )
    caption = (
        f"Cosines of {RANDOM_PAIRS:,} random pairs of {of}. Band: 95 % of random pairs of exactly "
        f"isotropic vectors of dimension {dim}. {text}"
    )
    return Plot(name, figure, f"Distributions of cosines of random pairs. {text}", caption)


def task_cosines(found: TaskVectors, model: ReportedModel) -> Plot:
    """Returns the plot of the cosines of random and of related pairs of a task."""
    lookups = found.lookups(model, model.kinds)
    pairs, gold = found.related, found.least_related
    name = "label 1" if set(found.pairs.gold) == {0.0, 1.0} else f"gold score ≥ {gold:g}"
    return cosines(
        f"cosines_{found.slug}",
        {kind: lookup.vectors for kind, lookup in lookups.items()},
        of=f"sentences of {found.task.name}, and {len(pairs):,} related pairs",
        related={kind: lookup.cosines(pairs) for kind, lookup in lookups.items()},
        label=f"related pairs: {name}",
    )


def spectrum(clouds: Mapping[str, np.ndarray], of: str) -> Plot:
    """Returns the plot of the eigenvalues of covariances, with those of Gaussian samples.

    Args:
        clouds: vectors, shape (n, d), by name.
        of: description of the vectors, for the caption.
    """
    values = {name: relative_eigenvalues(x, name) for name, x in clouds.items()}
    shape = next(iter(clouds.values())).shape
    low, high = gaussian_band(shape)
    figure = drawn(partial(plots.spectra, values, (low, high)), size=(4.6, 3.6))
    scores = {name: isoscore_of_variances(v) for name, v in values.items()}
    text = sentences.isoscores(scores, isoscore_of_variances((low + high) / 2))
    return Plot(
        "spectrum",
        figure,
        f"Eigenvalues of the covariance on a log scale. {text}",
        f"Variance of {of} along each principal axis, divided by the mean variance. Exact "
        f"Gaussian samples of {shape[0]:,} x {shape[1]} have values from {low[-1]:.2f} to "
        f"{high[0]:.2f}. {text}",
    )


def forest(mains: Sequence[Main], kinds: Sequence[str]) -> Plot:
    """Returns the forest plot of the main scores.

    Args:
        mains: main score of each task.
        kinds: kinds of vectors.
    """
    mixed = len({main.measure for main in mains}) > 1
    names = {"spearman": "Spearman", "auc": "AUC"}
    labels = [f"{main.label} ({names[main.measure]})" if mixed else main.label for main in mains]
    scores = {
        kind: {
            label: main.interval(kind)
            for label, main in zip(labels, mains, strict=True)
            if kind in main.scores
        }
        for kind in kinds
    }
    axis = "score" if mixed else names[mains[0].measure]
    size = (4.6, 1.5 + 0.22 * len(kinds) * len(mains))
    figure = drawn(
        partial(plots.forest, scores, xlabel=f"{axis} x 100 with 95 % interval"),
        size=size,
    )
    other = kinds[-1]
    text = " ".join(
        f"{main.label}: {sentences.difference(other, 'plain', *main.difference(other, 'plain'))}."
        for main in mains
        if other != "plain"
    )
    return Plot(
        "forest",
        figure,
        f"Scores with intervals. {text}",
        "Scores with 95 % intervals of a bootstrap over the pairs. Intervals of single scores can "
        f"overlap although the paired difference is clear. {text}",
    )


def neighbours_section(model: ReportedModel, some: RunVectors) -> list[Section]:
    """Returns the section with the nearest sentences of a few random queries.

    Args:
        model: model of the report.
        some: vectors and, if available, their sentences.

    Returns:
        A list with one section, or an empty list if there are no sentences.
    """
    some = some.take(_SEARCHED)
    if some.sentences is None:
        return []
    return neighbours_of(some.sentences, model.clouds(some.vectors), some.description)


def neighbours_of(
    texts: Sequence[str], clouds: Mapping[str, np.ndarray], of: str
) -> list[Section]:
    """Returns the section with the nearest sentences; none if a vector is zero.

    The queries are random ones whose nearest sentences differ between plain and calibrated
    vectors.

    Args:
        texts: n sentences.
        clouds: vectors, shape (n, d), of each kind; plain vectors first, calibrated ones last.
        of: description of the sentences.
    """
    if len(texts) < 2 or not all(x.any(axis=1).all() for x in clouds.values()):
        return []
    names = list(clouds)
    first = {name: _nearest(clouds[name]) for name in (names[0], names[-1])}
    differ = np.array(
        [texts[i] != texts[j] for i, j in zip(first[names[0]], first[names[-1]], strict=True)]
    )
    short = np.array([len(text.split()) in QUERY_WORDS for text in texts])
    pool = np.flatnonzero(differ & short)
    pool = pool if len(pool) else np.flatnonzero(differ)
    pool = pool if len(pool) else np.arange(len(texts))
    queries = np.random.default_rng(0).permutation(pool)[:QUERIES].tolist()
    rows: list[dict[str, Any]] = plots.nearest_neighbours(texts, clouds, queries, k=NEAREST)
    text = sentences.neighbours(int(differ.sum()), len(texts), names[-1])
    chosen = "whose nearest sentences differ" if differ.any() else "drawn at random"
    caption = f"Nearest by cosine among {of}, for {len(rows)} random sentences {chosen}"
    if not differ.any():
        caption = f"Nearest by cosine among {of}, for {len(rows)} random sentences"
    block = Neighbours("neighbours", caption, rows, names)
    return [Section("neighbours", "Nearest sentences", text, [block])]


def _nearest(vectors: np.ndarray) -> np.ndarray:
    """Returns the row of the nearest other vector by cosine, shape (n,)."""
    unit = np.asarray(vectors, np.float32)
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    found = []
    for start in range(0, len(unit), 1000):
        block = unit[start : start + 1000] @ unit.T
        rows = np.arange(len(block))
        block[rows, start + rows] = -np.inf
        found.append(block.argmax(axis=1))
    return np.concatenate(found)


def _auc(related: np.ndarray, random: np.ndarray) -> float:
    labels = np.repeat([1.0, 0.0], [len(related), len(random)])
    return 100.0 * roc_auc(np.concatenate([related, random]), labels)


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
