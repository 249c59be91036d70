"""Null distribution of a fitted model, and a test whether sentences are of the fitted source."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from flowjax.bijectors.moments import Moments, moments_of
from flowjax.bijectors.whitening import whitening_from_moments
from flowjax.data.arrays import ArraySource
from flowjax.encoder.adapter import EncoderAdapter
from flowjax.encoder.embed import SentenceEncoder
from flowjax.encoder.scale import MOST_SENTENCES, ScoreScale, distinct_sentences
from flowjax.encoder.similarity import texts_or_vectors, unit
from flowjax.errors import FlowjaxError, warn
from flowjax.evaluation.null import LEAST_SENTENCES, Null, null_of
from flowjax.fitting.outliers import EXAMPLES, Range, robust_range
from flowjax.flows.arrays import ArrayCalls
from flowjax.literals import Scale
from flowjax.types import FROZEN, Flow, Params, trainable_mask

# With more vectors per dimension, the fitted vectors are as good as unseen ones.
MANY = 200
# Number of folds, and of more of them for few vectors per dimension, where the size of the part
# on which a fold is fitted matters.
FOLDS, MORE_FOLDS, FEW = 5, 10, 20
# Vectors per block of a pass.
BLOCK = 8192
# Levels of the quantiles of the log-densities.
LEVELS = np.linspace(0, 1, 1001)
# See `is_other_source`.
DISTANCE, FALSE_ALARM = 0.05, 1e-3


class Scores(NamedTuple):
    """Facts about a fit that give the scores of a model a meaning.

    Attributes:
        null: null distribution of the cosines.
        log_prob: quantiles of the log-densities of sentences at `LEVELS`, in nats.
    """

    null: Null
    log_prob: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns the content as arrays for a file, which `from_arrays` reads."""
        return {**self.null.arrays(), "log_prob": np.asarray(self.log_prob, np.float64)}

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray], name: str) -> Scores:
        """Returns the scores in the arrays of a file.

        Raises:
            FlowjaxError: The arrays are not those of `arrays`.
        """
        log_prob = np.asarray(arrays.get("log_prob", np.nan))
        if log_prob.shape != LEVELS.shape or not np.isfinite(log_prob).all():
            raise FlowjaxError(
                f"{name}: expected {len(LEVELS)} finite numbers log_prob, got {log_prob.shape}"
            )
        return Scores(Null.from_arrays(arrays, name), log_prob)


class SourceScores(ScoreScale):
    """Part of `BertFlow`: its null distribution, and a warning about sentences of other sources.

    A percentile is valid for sentences like those of the null distribution. If the similarity of
    strings is asked for as a percentile, their log-densities are compared with the stored ones.
    """

    encoder: SentenceEncoder | EncoderAdapter
    _log_prob: np.ndarray | None = None

    @property
    def scores(self) -> Scores | None:
        """Null distribution and log-densities; None if the model has none."""
        if self._null is None or self._log_prob is None:
            return None
        return Scores(self._null, self._log_prob)

    @scores.setter
    def scores(self, scores: Scores | None) -> None:
        self._null, self._log_prob = (None, None) if scores is None else scores

    def recalibrate(
        self,
        sentences: str | Path | Iterable[str],
        *,
        column: str | None = None,
        seed: int = 0,
        show_progress_bar: bool | None = False,
    ) -> Null:
        """Replaces the null distribution by the cosines of random pairs of these sentences.

        Thresholds and percentiles of the model are then those of the new source. The flow and the
        vectors stay the same. `save` writes the new null distribution.

        Args:
            sentences: unlabelled sentences in any form that `fit` reads, which were not fitted:
                a few hundred, at least 30 distinct ones. At most 16,384 of them are used.
            column: name of the column with the sentences.
            seed: integer seed of the sample and of the pairs.
            show_progress_bar: True shows a progress bar; None shows the bar on a terminal only.

        Returns:
            The new null distribution.

        Raises:
            FlowjaxError: The model is not fitted, there are too few distinct sentences, or a file
                cannot be read.
        """
        self._fitted()
        texts = distinct_sentences(sentences, column, seed)
        plain = self.encoder.embed(texts, None, show_progress_bar)
        vectors, log_prob = self.transform(plain), self._arrays.log_prob(self._fitted(), plain)
        null = null_of(vectors, plain=plain, seed=seed)
        self.scores = Scores(null, np.quantile(log_prob, LEVELS))
        return null

    def _units(self, one: Any, other: Any, scale: Scale) -> tuple[np.ndarray, np.ndarray]:
        if scale != "percentile" or self.scores is None:
            units: tuple[np.ndarray, np.ndarray]
            units = super()._units(one, other, scale)  # type: ignore[misc]
            return units
        found, log_prob = [], [np.zeros(0)]
        for values in (texts_or_vectors(one), texts_or_vectors(other)):
            if isinstance(values, list):
                plain = self.encoder.encode(values)
                log_prob.append(self._arrays.log_prob(self._fitted(), plain))
                values = self.transform(plain)
            found.append(unit(values))
        warn_of_other_source(self.scores, np.concatenate(log_prob))
        return found[0], found[1]

    @abc.abstractmethod
    def _fitted(self) -> Params:
        """Returns the params of the fitted flow."""

    @abc.abstractmethod
    def transform(self, vectors: np.ndarray) -> np.ndarray:
        """Returns the calibrated vectors of plain vectors."""

    @property
    @abc.abstractmethod
    def _arrays(self) -> ArrayCalls:
        """Functions of the flow on arrays."""


def source_distance(scores: Scores, log_prob: np.ndarray) -> tuple[float, float]:
    """Returns the distance of the log-densities of sentences from the stored ones.

    Args:
        scores: stored scores.
        log_prob: log-densities of sentences, shape (n,); repeated values count once.

    Returns:
        The Kolmogorov-Smirnov distance, in [0, 1], and its margin of error: for independent
        sentences of the stored source, the distance exceeds the margin with a probability of
        `FALSE_ALARM` at most.

    References:
        Wei and Dudley, "Two-sample Dvoretzky-Kiefer-Wolfowitz inequalities",
        https://arxiv.org/abs/1107.5356.
    """
    x = _distinct(log_prob)
    if not len(x):
        return 0.0, 1.0
    ranks = np.arange(len(x) + 1) / len(x)
    stored = np.interp(x, *_increasing(scores.log_prob), left=0, right=1)
    distance = max((ranks[1:] - stored).max(), (stored - ranks[:-1]).max())
    sizes = len(x) * scores.null.sentences / (len(x) + scores.null.sentences)
    return float(distance), float(np.sqrt(np.log(np.e / FALSE_ALARM) / (2 * sizes)))


def is_other_source(scores: Scores, log_prob: np.ndarray) -> bool:
    """Returns True if the log-densities of sentences show another source than the stored one.

    The Kolmogorov-Smirnov distance is larger than `DISTANCE`, or the mean of the ranks among the
    stored log-densities differs from 1/2 by more than `DISTANCE` / 2. The margins of error of both
    are subtracted first. For independent sentences of the stored source, the probability of True
    is at most about `FALSE_ALARM`, for any number of sentences.

    Args:
        scores: stored scores.
        log_prob: log-densities of sentences, shape (n,); repeated values count once.
    """
    distance, margin = source_distance(scores, log_prob)
    x = _distinct(log_prob)
    if not len(x):
        return False
    ranks = np.interp(x, *_increasing(scores.log_prob), left=0, right=1)
    shift = abs(float(ranks.mean()) - 0.5)
    # The tails of a mean of uniform numbers are lighter than those of a normal distribution.
    wide = 3.5 * np.sqrt((1 / len(x) + 1 / scores.null.sentences) / 12)
    return distance - margin > DISTANCE or shift - wide > DISTANCE / 2


def warn_of_other_source(scores: Scores, log_prob: np.ndarray) -> None:
    """Warns if the log-densities of sentences show another source than the stored one."""
    if is_other_source(scores, log_prob):
        warn(
            "similarity: expected sentences like those of the null distribution, got another "
            "source (Kolmogorov-Smirnov distance of the log-densities "
            f"{source_distance(scores, log_prob)[0]:.2f}), so the percentiles can be wrong; call "
            "model.recalibrate(sentences) with a few hundred sentences of the new source",
        )


def scores_of_fit(
    flow: Flow,
    params: Params,
    vectors: Any,
    *,
    held: np.ndarray | None = None,
    weighted: bool = False,
    calls: ArrayCalls | None = None,
    seed: int = 0,
) -> Scores | None:
    """Returns the scores of a flow fitted on plain vectors, as they are on unseen vectors.

    Random pairs of fitted sentences have smaller cosines than pairs of unseen ones, above all if a
    whitening was computed from them. The function computes the closed form of the flow, such as
    the whitening of the latents, again without each fold, and applies it to the fold. The trained
    layers stay the same. Held-out vectors are a fold that needs no new closed form.

    Args:
        flow: fitted flow.
        params: its params.
        vectors: plain vectors that the flow was fitted on, shape (n, dim).
        held: plain vectors that it was not fitted on, shape (m, dim), or None.
        weighted: True if the vectors have weights; the closed form is then not computed again.
        calls: compiled functions of the flow, or None.
        seed: integer seed of the sample, the folds and the pairs.

    Returns:
        The scores; None if there are too few distinct vectors, or if their cosines are all equal.
    """
    source, rng = (
        ArraySource(vectors, resident=False, name="embeddings"),
        np.random.default_rng(seed),
    )
    rows = np.sort(rng.permutation(source.size)[:MOST_SENTENCES])
    x = np.asarray(source.take(rows)["x"])
    within = robust_range(source.take(np.arange(0, source.size, -(-source.size // EXAMPLES)))["x"])
    x = x[~within.outside(x).any(axis=1)]
    if len(x) + (0 if held is None else len(held)) < LEAST_SENTENCES:
        return None
    evaluate = _Own(flow, params, calls or ArrayCalls(flow))
    refit: Any = None if weighted else _refit(evaluate, source, within)
    count = MORE_FOLDS if source.size < FEW * source.dim else FOLDS
    folds = rng.permutation(len(x)) % (1 if refit is None else count)
    parts = [(refit or evaluate)(x[folds == fold]) for fold in range(folds.max(initial=0) + 1)]
    x = np.concatenate([x[folds == fold] for fold in range(len(parts))])
    folds = np.sort(folds)
    if held is not None and len(held):
        some = np.asarray(held)[rng.permutation(len(held))[:MOST_SENTENCES]]
        x, folds = np.concatenate([x, some]), np.append(folds, np.full(len(some), len(parts)))
        parts.append(evaluate(some))
    z, log_prob = (np.concatenate(side) for side in zip(*parts, strict=True))
    try:
        null = null_of(z, folds=folds, plain=x, seed=seed)
    except FlowjaxError:
        return None
    if not np.isfinite(log_prob).all():
        return None
    return Scores(null, np.quantile(log_prob, LEVELS))


class _Own(NamedTuple):
    """Function from plain vectors to latents and log-densities."""

    flow: Flow
    params: Params
    calls: ArrayCalls

    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.calls.forward(self.params, x), self.calls.log_prob(self.params, x)


def _refit(
    own: _Own, source: ArraySource, within: Range
) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] | None:
    """Returns a function like `own` whose closed form is computed without the given vectors.

    Trained layers depend on a closed form in front of them. A whitening of the latents then stands
    for it: computed from all vectors, it is nearly the identity.
    """
    flow, params, calls = own
    closed = flow.closed_form
    if closed is None or source.size > MANY * source.dim:
        return None
    in_front = closed.inner is None
    virtual = in_front and _trains(params)
    start = params if closed.take is None else closed.take(params)
    inner = None if closed.inner is None else ArrayCalls(closed.inner)

    def latents(x: np.ndarray) -> np.ndarray:
        if virtual:
            return calls.forward(params, x)
        return x if inner is None else inner.forward(start, x)

    def all_latents() -> Iterator[np.ndarray]:
        for block in source.blocks(BLOCK, (0, 1)):
            yield latents(block[~within.outside(block).any(axis=1)])

    dim = flow.dim if in_front and not virtual else flow.latent_dim or flow.dim
    whole = moments_of(all_latents(), dim)

    def without(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rest = difference(whole, moments_of([latents(x)], dim))
        if not virtual:
            return _Own(flow, closed.set(start, rest), calls)(x)
        z, log_prob = own(x)
        white = whitening_from_moments(rest)[FROZEN]
        again = (z - np.asarray(white["mean"])) @ np.asarray(white["matrix"])
        change = 0.5 * ((z**2).sum(1) - (again**2).sum(1)) + float(white["log_det"])
        return again, log_prob + change

    return without


def _trains(params: Params) -> bool:
    return any(jax.tree.leaves(trainable_mask(params)))


def difference(whole: Moments, part: Moments) -> Moments:
    """Returns the moments of a set of examples without a part of it, the inverse of `merge`.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(9, 2))
        >>> found = difference(moments_of([x], 2), moments_of([x[:4]], 2))
        >>> wanted = moments_of([x[4:]], 2)
        >>> found.count, np.allclose(found.mean, wanted.mean), np.allclose(found.m2, wanted.m2)
        (5, True, True)
    """
    count = whole.count - part.count
    mean = (whole.count * whole.mean - part.count * part.mean) / count
    gap = part.mean - mean
    between = np.outer(gap, gap) * (count * part.count / whole.count)
    return Moments(count, mean, whole.m2 - part.m2 - between)


def _distinct(log_prob: np.ndarray) -> np.ndarray:
    return np.unique(np.asarray(log_prob, np.float64).round(4))


def _increasing(quantiles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns distinct quantiles and their largest levels."""
    values, first = np.unique(quantiles[::-1], return_index=True)
    return values, LEVELS[::-1][first]
