"""Related pairs of texts that need no labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from flowjax.errors import FlowjaxError, check_integer, check_number

KINDS = ("neighbours", "halves", "dropped_words")


class Pairs(NamedTuple):
    """Pairs of related texts.

    Attributes:
        kind: how the pairs were made, one of `KINDS`.
        left: first texts.
        right: second texts; `right[i]` is the partner of `left[i]`.
    """

    kind: str
    left: list[str]
    right: list[str]


def neighbours(documents: Iterable[Sequence[str]]) -> Pairs:
    """Returns pairs of sentences that follow each other in a document.

    A sentence is in one pair at most: sentences 1 and 2, 3 and 4, and so on. Two equal sentences
    are no pair, and a sentence that occurs in an earlier pair is left out, so the text of a header
    or footer that many documents repeat does not count as related.

    Args:
        documents: sentences of each document, in order.

    Returns:
        Pairs of the kind "neighbours"; none if every document has fewer than two sentences.

    Example:
        >>> neighbours([["One.", "Two.", "Three."], ["Alone."], ["Four.", "Five."]])
        Pairs(kind='neighbours', left=['One.', 'Four.'], right=['Two.', 'Five.'])
    """
    adjacent = (
        (sentences[i], sentences[i + 1])
        for sentences in documents
        for i in range(0, len(sentences) - 1, 2)
    )
    return _distinct("neighbours", adjacent)


def halves(sentences: Iterable[str], least_words: int = 8) -> Pairs:
    """Returns the first and the second half of each long sentence, split at the middle word.

    Words are separated by white space. In a script without spaces between words (such as Chinese),
    a sentence of at least `3 * least_words` characters is split at the middle character.

    Args:
        sentences: sentences. Short and repeated sentences are left out.
        least_words: smallest number of words of a sentence, at least 2.

    Returns:
        Pairs of the kind "halves".

    Raises:
        FlowjaxError: `least_words` is not an integer of at least 2.

    Example:
        >>> halves(["a man is playing a large red flute", "too short"]).left
        ['a man is playing']
    """
    check_integer("least_words", least_words, least=2)

    def split(sentence: str) -> Iterator[tuple[str, str]]:
        words, join = _units(sentence, least_words)
        if len(words) >= least_words:
            middle = len(words) // 2
            yield join.join(words[:middle]), join.join(words[middle:])

    return _distinct("halves", (pair for sentence in sentences for pair in split(sentence)))


def dropped_words(
    sentences: Iterable[str], seed: int = 0, rate: float = 0.5, least_words: int = 8
) -> Pairs:
    """Returns each long sentence and a copy of it from which random words are dropped.

    Args:
        sentences: sentences. Short and repeated sentences are left out.
        seed: integer seed of the dropped words.
        rate: fraction of the words to drop, in (0, 1).
        least_words: smallest number of words of a sentence, at least 2.

    Returns:
        Pairs of the kind "dropped_words".

    Raises:
        FlowjaxError: An argument is out of range.

    Example:
        >>> dropped_words(["a man is playing a large red flute"], seed=0).right
        ['is playing a red']
    """
    check_integer("seed", seed)
    check_number("rate", rate, above=0.0, below=1.0)
    check_integer("least_words", least_words, least=2)
    rng = np.random.default_rng(seed)

    def drop(sentence: str) -> Iterator[tuple[str, str]]:
        words, join = _units(sentence, least_words)
        if len(words) >= least_words:
            count = min(max(1, round(len(words) * (1 - rate))), len(words) - 1)
            kept = np.sort(rng.choice(len(words), count, replace=False))
            yield sentence, join.join(words[i] for i in kept)

    return _distinct("dropped_words", (pair for sentence in sentences for pair in drop(sentence)))


def _units(sentence: str, least_words: int) -> tuple[list[str], str]:
    """Returns the words and their separator; the characters in a script without spaces."""
    words = sentence.split()
    if len(words) < least_words and len(sentence) >= 3 * least_words * max(1, len(words)):
        return list(sentence.strip()), ""
    return words, " "


def _distinct(kind: str, pairs: Iterable[tuple[str, str]]) -> Pairs:
    seen: set[str] = set()
    left, right = [], []
    for pair in pairs:
        for text in pair:
            if not isinstance(text, str):
                raise FlowjaxError(f"{kind}: expected texts, got {text!r}")
        first, second = pair
        if first != second and first.strip() and second.strip() and seen.isdisjoint(pair):
            seen.update(pair)
            left.append(first)
            right.append(second)
    return Pairs(kind, left, right)
