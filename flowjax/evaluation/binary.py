"""Measures of similarities as a classifier, for pairs with the labels 0 and 1."""

from __future__ import annotations

import numpy as np

from flowjax.errors import FlowjaxError
from flowjax.evaluation.qnli import roc_auc


def is_binary(gold: np.ndarray) -> bool:
    """Returns True if both 0 and 1, and no other value, occur among the gold scores.

    Example:
        >>> is_binary(np.array([0.0, 1.0, 1.0])), is_binary(np.array([0.0, 0.5, 1.0]))
        (True, False)
    """
    return np.array_equal(np.unique(gold), [0.0, 1.0])


def best_accuracy(scores: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Returns the largest accuracy of a threshold, and that threshold.

    A pair is positive if its score is at least the threshold. The threshold is chosen on the same
    pairs, so the accuracy is slightly optimistic. If several are best, the largest is returned.

    Args:
        scores: finite numbers, shape (n,).
        labels: 0 or 1, shape (n,).

    Returns:
        `(accuracy, threshold)`: the accuracy in [0, 1]; the threshold is a score, or a number
        above all scores if it is best to predict 0 for all pairs.

    Raises:
        FlowjaxError: The shapes differ, a score is not finite, or a label is neither 0 nor 1.

    Example:
        >>> best_accuracy([0.9, 0.8, 0.3, 0.1], [1, 1, 0, 1])
        (0.75, 0.8)
    """
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels, np.float64)
    if scores.ndim != 1 or scores.shape != labels.shape or not scores.size:
        raise FlowjaxError(f"labels: expected shape {scores.shape} (n,), got {labels.shape}")
    if not np.isfinite(scores).all() or not np.isin(labels, [0.0, 1.0]).all():
        raise FlowjaxError("scores, labels: expected finite scores and labels 0 or 1, got others")
    order = np.argsort(-scores, kind="stable")
    ranked, positive = scores[order], labels[order]
    # Correct pairs if the first i pairs are positive, for i = 0, ..., n.
    correct = np.concatenate([[0.0], np.cumsum(2 * positive - 1)]) + (1 - positive).sum()
    possible = np.concatenate([[True], ranked[1:] < ranked[:-1], [True]])  # equal scores together
    i = int(np.argmax(np.where(possible, correct, -1.0)))
    threshold = ranked[i - 1] if i else np.nextafter(ranked[0], np.inf)
    return float(correct[i] / scores.size), float(threshold)


def score_binary(similarities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Returns AUC and the best accuracy, both x 100, and its threshold.

    Args:
        similarities: finite numbers, shape (n,).
        labels: 0 or 1, shape (n,); both must occur.

    Returns:
        `{"auc", "accuracy", "threshold"}`.

    Example:
        >>> score_binary(np.array([0.9, 0.8, 0.3]), np.array([1, 1, 0]))
        {'auc': 100.0, 'accuracy': 100.0, 'threshold': 0.8}
    """
    accuracy, threshold = best_accuracy(similarities, labels)
    auc = 100.0 * roc_auc(similarities, labels)
    return {"auc": auc, "accuracy": 100.0 * accuracy, "threshold": threshold}
