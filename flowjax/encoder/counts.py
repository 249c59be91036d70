"""Counts of embedded sentences and tokens, and the warning about unknown tokens."""

from __future__ import annotations

import dataclasses

from flowjax.errors import warn

# Fraction of unknown tokens above which text is reported as unsuitable for the encoder.
UNKNOWN = 0.03


@dataclasses.dataclass
class EncodeReport:
    """Counts of a call of `encode`.

    Attributes:
        sentences: number of embedded sentences.
        empty: number of sentences without words.
        cut: number of sentences longer than `max_length`.
        tokens: number of tokens, without special tokens, before truncation.
        unknown: number of tokens that are not in the vocabulary.
    """

    sentences: int = 0
    empty: int = 0
    cut: int = 0
    tokens: int = 0
    unknown: int = 0

    def __str__(self) -> str:
        parts = [f"{self.sentences} sentences"]
        if self.empty:
            parts.append(f"{self.empty} empty (encoded as special tokens only)")
        if self.cut:
            parts.append(f"{self.cut} truncated to max_length")
        if self.unknown:
            parts.append(f"{self.unknown} of {self.tokens} tokens unknown")
        return ", ".join(parts)


def warn_unknown(unknown: int, tokens: int, encoder: str) -> None:
    """Warns if more than a few percent of the tokens are unknown to an encoder.

    Args:
        unknown: number of unknown tokens.
        tokens: number of all tokens.
        encoder: name of the encoder.
    """
    if unknown > UNKNOWN * tokens:
        warn(
            f"{100 * unknown / tokens:.0f} % of the tokens are unknown to the encoder "
            f"{encoder} ({unknown} of {tokens}): different sentences may get equal vectors; use "
            "an encoder for the language of the text",
        )
