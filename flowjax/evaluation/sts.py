"""Spearman and Pearson correlation of cosine similarity with gold scores, per split and subset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from flowjax.errors import FlowjaxError
from flowjax.evaluation.binary import is_binary, score_binary
from flowjax.evaluation.correlation import check_vectors, cosine, pearson, spearman
from flowjax.evaluation.qnli import score_auc
from flowjax.evaluation.tasks import Pairs, PairTask

Scores = dict[str, float]
Encode = Callable[[list[str]], np.ndarray]


def score_similarities(similarities: np.ndarray, gold: np.ndarray) -> Scores:
    """Returns the correlations x 100 of similarities with gold scores.

    Args:
        similarities: numbers, shape (n,).
        gold: gold scores, shape (n,).

    Returns:
        `{"pairs", "spearman", "pearson"}`.

    Example:
        >>> score_similarities([0.1, 0.5, 0.6], [0.0, 3.0, 5.0])["spearman"]
        100.0
    """
    names = ("similarity", "gold")
    return {
        "pairs": len(gold),
        "spearman": 100.0 * spearman(similarities, gold, names),
        "pearson": 100.0 * pearson(similarities, gold, names),
    }


def score_pairs(vectors1: np.ndarray, vectors2: np.ndarray, gold: np.ndarray) -> Scores:
    """Returns the correlations x 100 of cosine similarity with gold scores.

    Args:
        vectors1: vectors of the first sentences, shape (n, d).
        vectors2: vectors of the second sentences, shape (n, d).
        gold: gold scores on any scale, shape (n,).

    Returns:
        `{"pairs", "spearman", "pearson"}`.

    Raises:
        FlowjaxError: The correlation is undefined because of a row of zeros, NaN or infinity,
            fewer than two pairs, or similarities or scores that are all equal.

    Example:
        >>> x = [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]
        >>> y = [[1.0, 0.1], [1.0, 1.0], [0.0, 1.0]]
        >>> round(score_pairs(x, y, [5.0, 3.0, 0.0])["spearman"], 6)
        100.0
    """
    return score_similarities(cosine(vectors1, vectors2), gold)


def evaluate_task(
    task: PairTask, encode: Encode, *, splits: Iterable[str] | None = None
) -> dict[str, dict[str, Any]]:
    """Encodes each distinct sentence of a task once and returns the scores of every split.

    Args:
        task: task to evaluate.
        encode: function from a list of n sentences to vectors, shape (n, d).
        splits: names of the splits; all splits if None.

    Returns:
        `{split: {"pairs", "spearman", "pearson"}}`; for a grouped task (STS12 to STS16)
        `{split: {"all", "mean", "wmean", "subsets": {name: ...}}}`, each with these three values;
        for QNLI `{split: {"pairs", "auc"}}`. Pairs with the labels 0 and 1 also get the values of
        `score_binary`. All values except `pairs` and `threshold` are multiplied by 100.

    Example:
        >>> pairs = Pairs(("a", "b", "c"), ("b", "c", "d"), [1, 2, 3])
        >>> table = {"a": [1, 0], "b": [0, 1], "c": [1, 2], "d": [1, 2]}
        >>> encode = lambda sentences: np.array([table[s] for s in sentences])
        >>> evaluate_task(PairTask("t", {"dev": {"t": pairs}}), encode)["dev"]["spearman"]
        100.0
    """
    sentences = task.sentences(splits, unique=True)
    return evaluate_vectors(task, sentences, encode(sentences), splits=splits)


def evaluate_vectors(
    task: PairTask,
    sentences: Sequence[str],
    vectors: np.ndarray,
    *,
    splits: Iterable[str] | None = None,
) -> dict[str, dict[str, Any]]:
    """Returns the scores of every split, given the vectors of the sentences.

    Args:
        task: task to evaluate.
        sentences: n sentences, such as `task.sentences(unique=True)`.
        vectors: vectors of the sentences, shape (n, d).
        splits: names of the splits; all splits if None.

    Returns:
        Scores as in `evaluate_task`.

    Raises:
        FlowjaxError: A sentence of the task has no vector, or a correlation is undefined.
    """
    lookup = Lookup(sentences, vectors)
    results = {}
    for split in task.check_splits(splits):
        subsets = task.splits[split]
        try:
            if task.grouped:
                each = {name: lookup.cosines(pairs) for name, pairs in subsets.items()}
                results[split] = _grouped(each, subsets)
            else:
                pairs = task.pairs(split)
                cosines = lookup.cosines(pairs)
                if task.metric == "auc":
                    results[split] = score_auc(cosines, pairs.gold)
                    continue
                results[split] = score_similarities(cosines, pairs.gold)
                if is_binary(pairs.gold):
                    results[split] |= score_binary(cosines, pairs.gold)
        except FlowjaxError as error:
            raise FlowjaxError(f"{task.name} {split}: {error}") from error
    return results


class Lookup:
    """Mapping from sentences to vectors.

    Args:
        sentences: n sentences; equal sentences get the vector of the first.
        vectors: finite vectors, shape (n, d).

    Raises:
        FlowjaxError: The vectors are not finite, or their number is not that of the sentences.

    Example:
        >>> lookup = Lookup(["a", "b"], np.array([[1.0, 0.0], [1.0, 1.0]]))
        >>> lookup.cosines(Pairs(("a", "b"), ("b", "b"), [1.0, 5.0])).round(4)
        array([0.7071, 1.    ])
    """

    def __init__(self, sentences: Sequence[str], vectors: np.ndarray) -> None:
        self.vectors = check_vectors("vectors", vectors)
        n = len(self.vectors)
        if n != len(sentences):
            raise FlowjaxError(f"vectors: expected {len(sentences)} rows like sentences, got {n}")
        self.rows = {s: i for i, s in reversed(list(enumerate(sentences)))}

    def __getitem__(self, sentences: Sequence[str]) -> np.ndarray:
        missing = [s for s in sentences if s not in self.rows]
        if missing:
            raise FlowjaxError(
                f"vectors: expected a vector per sentence, got none for {missing[0]!r}"
            )
        return self.vectors[np.array([self.rows[s] for s in sentences], dtype=np.intp)]

    def cosines(self, pairs: Pairs) -> np.ndarray:
        """Returns the cosine similarity of each scored pair, shape (n,), float64."""
        return cosine(self[pairs.sentences1], self[pairs.sentences2])


def _grouped(
    similarities: Mapping[str, np.ndarray], subsets: Mapping[str, Pairs]
) -> dict[str, Any]:
    each = {}
    for name, pairs in subsets.items():
        try:
            each[name] = score_similarities(similarities[name], pairs.gold)
        except FlowjaxError as error:
            raise FlowjaxError(f"subset {name}: {error}") from error
    sizes = [scores["pairs"] for scores in each.values()]

    def averaged(weights: list[float] | None) -> Scores:
        return {"pairs": sum(sizes)} | {
            key: float(np.average([scores[key] for scores in each.values()], weights=weights))
            for key in ("spearman", "pearson")
        }

    pooled = np.concatenate(list(similarities.values()))
    gold = np.concatenate([pairs.gold for pairs in subsets.values()])
    return {
        "all": score_similarities(pooled, gold),
        "mean": averaged(None),
        "wmean": averaged(sizes),
        "subsets": each,
    }
