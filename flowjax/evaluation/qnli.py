"""QNLI without training: area under the ROC curve of cosine similarity (the paper's table 4)."""

from __future__ import annotations

import numpy as np

from flowjax.errors import FlowjaxError
from flowjax.evaluation.correlation import average_ranks, cosine


def roc_auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Returns the area under the ROC curve, in [0, 1].

    The area is the probability that a positive example has a higher score than a negative example;
    equal scores count one half (Mann-Whitney statistic).

    Args:
        scores: finite numbers, shape (n,).
        labels: 0 or 1, shape (n,); both must occur.

    Returns:
        Area under the ROC curve in [0, 1].

    Raises:
        FlowjaxError: A label is neither 0 nor 1, only one class occurs, or a score is not finite.

    Example:
        >>> roc_auc([0.9, 0.8, 0.8, 0.1], [1, 1, 0, 0])
        0.875
    """
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels, np.float64)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise FlowjaxError(f"labels: expected shape {scores.shape} (n,), got {labels.shape}")
    if not np.isfinite(scores).all():
        raise FlowjaxError("scores: expected finite numbers, got NaN or infinity")
    found = np.unique(labels)
    if not np.array_equal(found, [0.0, 1.0]):
        raise FlowjaxError(f"labels: expected both 0 and 1 and no others, got {found.tolist()}")
    positive = labels == 1.0
    n_pos, n_neg = int(positive.sum()), int((~positive).sum())
    rank_sum = average_ranks(scores)[positive].sum()
    return float((rank_sum - n_pos * (n_pos + 1) / 2) / (n_pos * n_neg))


def score_auc(similarities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Returns the number of pairs and the area under the ROC curve x 100: `{"pairs", "auc"}`."""
    return {"pairs": len(labels), "auc": 100.0 * roc_auc(similarities, labels)}


def score_qnli(
    questions: np.ndarray, sentences: np.ndarray, labels: np.ndarray
) -> dict[str, float]:
    """Returns the area under the ROC curve x 100 for cosine similarity as the score.

    Args:
        questions: vectors of the questions, shape (n, d).
        sentences: vectors of the sentences, shape (n, d).
        labels: 1 if the sentence answers the question (entailment) and 0 otherwise, shape (n,).

    Returns:
        `{"pairs", "auc"}`.

    Example:
        >>> score_qnli([[1, 0], [1, 0]], [[1, 1], [0, 1]], [1, 0])
        {'pairs': 2, 'auc': 100.0}
    """
    return score_auc(cosine(questions, sentences), labels)
