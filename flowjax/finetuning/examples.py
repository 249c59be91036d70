"""Training examples of each objective: labelled pairs, triplets, and single sentences."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from flowjax.data.sentences import checked, open_source
from flowjax.errors import FlowjaxError
from flowjax.finetuning.nli import CLASSES
from flowjax.finetuning.rows import LABELLED, NO_LABEL, TRIPLETS, label_of, read_rows


class Numbers:
    """Numbers of distinct texts, in the order of their first occurrence."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def of(self, text: str) -> int:
        """Returns the number of a text."""
        return self._numbers.setdefault(text, len(self._numbers))

    def texts(self) -> list[str]:
        """Returns the distinct texts in the order of their numbers."""
        return list(self._numbers)


class Examples(NamedTuple):
    """Examples of an objective.

    Attributes:
        texts: distinct sentences.
        sentences: index in `texts` of each sentence of each example, shape `(n, views)`.
        extra: other arrays of the examples by name, shape `(n,)`.
        left_out: number of rows of the files that are no examples, by reason.
    """

    texts: list[str]
    sentences: np.ndarray
    extra: dict[str, np.ndarray]
    left_out: dict[str, int]

    def without(self, held: np.ndarray) -> Examples:
        """Returns the examples that contain none of the held-out texts."""
        kept = ~np.isin(self.sentences, held).any(axis=1)
        count = int((~kept).sum())
        left_out = self.left_out | ({"held out": count} if count else {})
        extra = {name: values[kept] for name, values in self.extra.items()}
        return Examples(self.texts, self.sentences[kept], extra, left_out)


def nli_examples(source: str, **options: Any) -> Examples:
    """Returns premise, hypothesis and `label` of each labelled pair.

    Args:
        source: see `rows.read_rows`.
        **options: `columns` and `joined` of `rows.read_rows`.

    Raises:
        FlowjaxError: A file is damaged, a label is unknown, or fewer than two classes occur.
    """
    numbers, left_out = Numbers(), Counter[str]()
    pairs, labels = [], []
    for row in read_rows(source, (LABELLED,), left_out, **options):
        if (label := label_of(row.label, row.where)) is None:
            left_out["without a label"] += 1
        else:
            pairs.append([numbers.of(text) for text in row.texts])
            labels.append(label)
    _check(source, len(pairs), left_out)
    if len(found := sorted(set(labels))) < 2:
        raise FlowjaxError(
            f"{source}: expected at least two classes, got {CLASSES[found[0]]} only"
        )
    extra = {"label": np.array(labels, np.int32)}
    return Examples(numbers.texts(), np.array(pairs), extra, _nonzero(left_out))


def mnr_examples(source: str, **options: Any) -> Examples:
    """Returns anchor, positive and hard negative of each example, and `has_negative`.

    In labelled pairs, each entailment of a premise is a positive. Its hard negative is one of the
    contradictions of the premise. Files with the columns anchor, positive and negative
    are triplets; an empty negative, or no such column, means no hard negative.

    Args:
        source: see `rows.read_rows`.
        **options: `columns` and `joined` of `rows.read_rows`.

    Returns:
        Examples with three sentences, or two if no example has a hard negative.

    Raises:
        FlowjaxError: A file is damaged, a label is unknown, or there is no positive.
    """
    numbers, left_out = Numbers(), Counter[str]()
    found: list[list[int]] = []  # -1 stands for no hard negative
    premises: dict[int, tuple[list[int], list[int]]] = {}
    for row in read_rows(source, (TRIPLETS, LABELLED), left_out, **options):
        if row.label is NO_LABEL:
            found.append([*(numbers.of(text) if text else -1 for text in row.texts), -1][:3])
        elif (label := label_of(row.label, row.where)) is None:
            left_out["without a label"] += 1
        elif CLASSES[label] == "neutral":
            left_out["neutral"] += 1
        else:
            first, second = map(numbers.of, row.texts)
            premises.setdefault(first, ([], []))[CLASSES[label] == "contradiction"].append(second)
    for premise, (positives, negatives) in premises.items():
        unused = max(0, len(negatives) - len(positives))
        left_out["contradictions beyond one per entailment"] += unused
        found += [
            [premise, positive, negatives[i % len(negatives)] if negatives else -1]
            for i, positive in enumerate(positives)
        ]
    _check(source, len(found), left_out, "entailments or positives")
    sentences = np.array(found)
    has_negative = sentences[:, 2] >= 0
    if not has_negative.any():
        return Examples(numbers.texts(), sentences[:, :2], {}, _nonzero(left_out))
    sentences[:, 2] = np.where(has_negative, sentences[:, 2], sentences[:, 0])
    extra = {"has_negative": has_negative}
    return Examples(numbers.texts(), sentences, extra, _nonzero(left_out))


def simcse_examples(source: Any, column: str | None = None) -> Examples:
    """Returns each sentence of a source twice, as the two views of an example.

    Args:
        source: source of sentences, see `data.sentences.open_source`.
        column: name of the field with the sentence.

    Raises:
        FlowjaxError: The source cannot be read, or has no sentence.
    """
    opened = open_source(source, column)
    found = list(checked(opened))
    texts = [text for text in found if text.strip()]
    empty = len(found) - len(texts)
    _check(opened.name, len(texts), Counter(empty=empty), "sentences")
    views = np.repeat(np.arange(len(texts))[:, None], 2, axis=1)
    return Examples(texts, views, {}, {"empty": empty} if empty else {})


def _nonzero(counts: Counter[str]) -> dict[str, int]:
    return {reason: count for reason, count in counts.items() if count}


def _check(source: str, count: int, left_out: Counter[str], what: str = "labelled pairs") -> None:
    if not count:
        other = ", ".join(f"{n} {reason}" for reason, n in left_out.items() if n)
        raise FlowjaxError(f"{source}: expected {what}, got none{f' ({other})' if other else ''}")
