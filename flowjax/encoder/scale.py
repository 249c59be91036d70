"""Scores with a meaning: cosines as percentiles among random pairs, and thresholds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from flowjax.data.sentences import checked, open_source
from flowjax.errors import FlowjaxError
from flowjax.evaluation.null import Null, null_of
from flowjax.literals import Scale

MOST_SENTENCES = 16_384
"""Largest number of sentences from which a null distribution is computed."""


class ScoreScale:
    """Part of a sentence model: the null distribution of its cosines.

    The null distribution is the distribution of the cosine of two random sentences. `BertFlow.fit`
    computes it; `recalibrate` computes it from other sentences, for any sentence model.
    """

    _null: Null | None = None

    @property
    def null(self) -> Null:
        """Null distribution of the cosines, see `flowjax.evaluation.null.Null`.

        Raises:
            FlowjaxError: The model has no null distribution.
        """
        if self._null is None:
            raise FlowjaxError(
                "null distribution: expected a model with one, got a model without; compute it "
                "with model.recalibrate(sentences) from a few hundred sentences like yours"
            )
        return self._null

    def threshold(self, false_positive_rate: float) -> float:
        """Returns the cosine that a fraction of the random pairs of sentences exceeds.

        Args:
            false_positive_rate: fraction of random pairs, between 0 and 1, both excluded.

        Raises:
            FlowjaxError: The rate is out of range, or the model has no null distribution.

        Example:
            >>> import flowjax
            >>> encoder = flowjax.SentenceEncoder.from_pretrained("minibert")
            >>> texts = [f"Sentence {i} is about {i % 9} cats." for i in range(90)]
            >>> _ = encoder.recalibrate(texts)
            >>> encoder.threshold(0.01) > encoder.threshold(0.1)
            True
        """
        return self.null.threshold(false_positive_rate)

    def recalibrate(
        self,
        sentences: str | Path | Iterable[str],
        *,
        column: str | None = None,
        seed: int = 0,
        show_progress_bar: bool | None = False,
    ) -> Null:
        """Replaces the null distribution by the cosines of random pairs of these sentences.

        A threshold is valid for sentences of the source of the null distribution. For another
        source, a few hundred unlabelled sentences of it are sufficient; the vectors stay the same.

        Args:
            sentences: sentences in any form that `BertFlow.fit` reads, at least 30 distinct ones.
                At most `MOST_SENTENCES` of them are used.
            column: name of the column with the sentences.
            seed: integer seed of the sample and of the pairs.
            show_progress_bar: True shows a progress bar; None shows the bar on a terminal only.

        Returns:
            The new null distribution.

        Raises:
            FlowjaxError: There are too few distinct sentences, or a file cannot be read.
        """
        texts = distinct_sentences(sentences, column, seed)
        vectors = self.embed(texts, None, show_progress_bar)  # type: ignore[attr-defined]
        self._null = null_of(vectors, seed=seed)
        return self._null

    def _scaled(self, cosines: np.ndarray, scale: Scale) -> np.ndarray:
        return cosines if scale == "cosine" else self.null.percentile(cosines)


def distinct_sentences(
    sentences: str | Path | Iterable[str], column: str | None, seed: int
) -> list[str]:
    """Returns the distinct non-empty sentences, or `MOST_SENTENCES` of them at random.

    Example:
        >>> distinct_sentences(["b", "", "a", "b"], None, 0)
        ['b', 'a']
    """
    source = open_source(sentences, column)
    texts = list(dict.fromkeys(text for text in checked(source) if text.strip()))
    if len(texts) <= MOST_SENTENCES:
        return texts
    rows = np.random.default_rng(seed).permutation(len(texts))[:MOST_SENTENCES]
    return [texts[row] for row in np.sort(rows).tolist()]
