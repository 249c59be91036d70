"""Paired bootstrap of scores over the pairs of a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from flowjax.evaluation.binary import is_binary
from flowjax.evaluation.sts import Lookup
from flowjax.evaluation.table import SINGLE
from flowjax.evaluation.tasks import PairTask

RESAMPLES = 1000
# Resamples in memory at a time.
_BLOCK = 100


class Place(NamedTuple):
    """Key of a score: split, aggregation over the subsets, and measure."""

    split: str
    aggregation: str
    measure: str


def resampled_scores(
    task: PairTask,
    lookups: Mapping[str, Lookup],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[Place, dict[str, np.ndarray]]:
    """Returns the scores of a task on bootstrap samples of its pairs.

    All kinds of vectors are scored on the same samples, so that the quantiles of a difference are
    a paired interval. The pairs of each subset are resampled within the subset.

    Args:
        task: task with labelled pairs.
        lookups: vectors of the sentences of the task, for each kind.
        resamples: number of bootstrap samples.
        seed: integer seed.

    Returns:
        Scores x 100, shape (resamples,), by place and kind: `spearman` of tasks with gold scores,
        and `auc` of tasks with labels. A sample without both labels has NaN.

    Example:
        >>> from flowjax.evaluation import Pairs
        >>> pairs = Pairs(("a", "b", "c"), ("b", "c", "d"), [1, 2, 3])
        >>> x = np.array([[1.0, 0], [0, 1.0], [1, 2.0], [1, 2.0]])
        >>> task = PairTask("t", {"dev": {"t": pairs}})
        >>> found = resampled_scores(task, {"plain": Lookup("abcd", x)}, resamples=20)
        >>> {place.measure: kinds["plain"].shape for place, kinds in found.items()}
        {'spearman': (20,)}
    """
    found: dict[Place, dict[str, np.ndarray]] = {}
    for split in task.splits:
        subsets = task.splits[split]
        rng = np.random.default_rng(seed)
        drawn = [_counts(rng, len(pairs), resamples) for pairs in subsets.values()]
        golds = [pairs.gold for pairs in subsets.values()]
        gold = np.concatenate(golds)
        measures = [] if task.metric == "auc" else ["spearman"]
        measures += ["auc"] if task.metric == "auc" or is_binary(gold) else []
        for kind, lookup in lookups.items():
            cosines = [lookup.cosines(pairs) for pairs in subsets.values()]
            pooled = np.concatenate(cosines), gold, np.concatenate(drawn, axis=1)
            for measure in measures:
                score = _spearman if measure == "spearman" else _auc
                together = _in_blocks(score, *pooled)
                if not task.grouped or measure == "auc":
                    scores = {"all" if task.grouped else SINGLE: together}
                else:
                    parts = zip(cosines, golds, drawn, strict=True)
                    each = np.stack([_in_blocks(score, *part) for part in parts])
                    sizes = [len(part) for part in golds]
                    scores = {
                        "all": together,
                        "mean": each.mean(axis=0),
                        "wmean": np.average(each, axis=0, weights=sizes),
                    }
                for aggregation, values in scores.items():
                    found.setdefault(Place(split, aggregation, measure), {})[kind] = values
    return found


def interval(resampled: np.ndarray) -> tuple[float, float]:
    """Returns the 2.5 % and 97.5 % quantiles of resampled scores or differences.

    Example:
        >>> interval(np.arange(1001.0))
        (25.0, 975.0)
    """
    low, high = np.nanquantile(resampled, (0.025, 0.975))
    return float(low), float(high)


def clear_best(resampled: Mapping[str, np.ndarray], scores: Mapping[str, float]) -> str | None:
    """Returns the kind whose score is larger than all others, or None if it is not clear.

    It is clear if the paired interval of each difference excludes 0.

    Args:
        resampled: resampled scores for each kind.
        scores: score of each kind.

    Example:
        >>> x = np.random.default_rng(0).normal(size=99)
        >>> clear_best({"plain": x, "glow": x + 1}, {"plain": 0.0, "glow": 1.0})
        'glow'
        >>> clear_best({"plain": x, "glow": x[::-1]}, {"plain": 0.0, "glow": 0.1}) is None
        True
    """
    best = max(scores, key=lambda kind: scores[kind])
    others = [kind for kind in scores if kind != best]
    clear = [interval(resampled[best] - resampled[kind])[0] > 0 for kind in others]
    return best if clear and all(clear) else None


def _counts(rng: np.random.Generator, n: int, resamples: int) -> np.ndarray:
    """Returns how often each pair is drawn in each bootstrap sample, shape (resamples, n)."""
    rows = (np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(resamples))
    return np.stack(list(rows)).astype(np.uint16)


def _in_blocks(score, x: np.ndarray, gold: np.ndarray, counts: np.ndarray) -> np.ndarray:  # type: ignore[no-untyped-def]
    blocks = (counts[i : i + _BLOCK] for i in range(0, len(counts), _BLOCK))
    return np.concatenate([score(x, gold, block.astype(np.float64)) for block in blocks])


def _spearman(x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> np.ndarray:
    centre = (counts.sum(axis=1, keepdims=True) + 1) / 2  # mean rank
    a, b = _ranks(x, counts) - centre, _ranks(y, counts) - centre
    with np.errstate(divide="ignore", invalid="ignore"):
        rho = (counts * a * b).sum(1) / np.sqrt(
            (counts * a**2).sum(axis=1) * (counts * b**2).sum(axis=1)
        )
    return np.asarray(100.0 * rho)


def _auc(x: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    positive = counts * (labels == 1)
    n, m = positive.sum(axis=1), counts.sum(axis=1)
    rank_sum = (positive * _ranks(x, counts)).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        auc = 100.0 * (rank_sum - n * (n + 1) / 2) / (n * (m - n))
    return np.asarray(auc)


def _ranks(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns the average rank of each value in samples with repeated values, like `counts`."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    group = np.empty(len(values), np.intp)
    group[order] = np.cumsum(np.isin(np.arange(len(values)), starts)) - 1
    weights = np.add.reduceat(counts[:, order], starts, axis=1)
    ranks = np.cumsum(weights, axis=1) - (weights - 1) / 2
    return np.asarray(ranks[:, group])
