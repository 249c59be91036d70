"""QNLI without training: how well cosine tells answers from non-answers (the paper's table 4)."""

from __future__ import annotations

import numpy as np

from flowjax.evaluation.correlation import average_ranks, cosine


def roc_auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative.

    The Mann-Whitney statistic over average ranks, so a tie counts one half.

    Args:
        scores: ``(n,)`` finite numbers.
        labels: ``(n,)`` of 0 and 1, both present.

    Returns:
        The area, in [0, 1].

    Raises:
        ValueError: For other labels, one class only, or scores that are not finite.

    Example:
        >>> roc_auc([0.9, 0.8, 0.8, 0.1], [1, 1, 0, 0])
        0.875
    """
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels, np.float64)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise ValueError(f"labels: expected shape {scores.shape} (n,), got {labels.shape}")
    if not np.isfinite(scores).all():
        raise ValueError("scores: expected finite numbers, got NaN or infinity")
    found = np.unique(labels)
    if not np.array_equal(found, [0.0, 1.0]):
        raise ValueError(f"labels: expected both 0 and 1, and nothing else, got {found.tolist()}")
    positive = labels == 1.0
    n_pos, n_neg = int(positive.sum()), int((~positive).sum())
    rank_sum = average_ranks(scores)[positive].sum()
    return float((rank_sum - n_pos * (n_pos + 1) / 2) / (n_pos * n_neg))


def score_auc(similarities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """``{"pairs", "auc"}``, auc x 100, of given similarities ``(n,)``; see `roc_auc`."""
    return {"pairs": len(labels), "auc": 100.0 * roc_auc(similarities, labels)}


def score_qnli(
    questions: np.ndarray, sentences: np.ndarray, labels: np.ndarray
) -> dict[str, float]:
    """AUC x 100 of the cosine of question and sentence (arXiv 2011.05864, table 4).

    Args:
        questions: ``(n, d)`` vectors.
        sentences: ``(n, d)`` vectors.
        labels: ``(n,)``, 1 where the sentence answers the question (entailment).

    Returns:
        ``{"pairs", "auc"}``.

    Example:
        >>> score_qnli([[1, 0], [1, 0]], [[1, 1], [0, 1]], [1, 0])
        {'pairs': 2, 'auc': 100.0}
    """
    return score_auc(cosine(questions, sentences), labels)
