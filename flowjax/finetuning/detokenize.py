"""Inverse of the Penn Treebank tokenization, for files such as SentEval's SNLI."""

from __future__ import annotations

import re
from collections.abc import Sequence

_BRACKETS = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}"}
_BRACKET = re.compile("-[LR][RSC]B-", re.IGNORECASE)
_QUOTES = re.compile(r"``|''")
_QUOTED = re.compile(r'"\s+([^"]*?)\s+"')
_BEFORE = re.compile(r"\s+([.,;:?!%)\]}]|\.\.\.)(?=\s|[.,;:?!)\]}\"']|$)")
_AFTER = re.compile(r"([(\[{$#])\s+")
_CLITIC = re.compile(r"(?<=\w)\s+(n't|'(?:s|re|ve|ll|m|d))(?!\w)", re.IGNORECASE)
_PLURAL = re.compile(r"(?<=s)\s+'(?=\s)")
_SPLIT = re.compile(r"\b(gon|wan|got) (na|ta)\b", re.IGNORECASE)
# End of a tokenized sentence, and of any sentence.
_TOKENIZED, _ENDED = re.compile(r"\s[.?!]\s*$"), re.compile(r"[.?!]\s*$")
_LEAST = 0.5


def detokenize(text: str) -> str:
    r"""Joins the tokens of a Penn Treebank tokenization.

    Args:
        text: tokens, separated by spaces.

    Example:
        >>> detokenize("They do n't say `` hi '' ( or \" bye \" ) , the dogs ' owner 's here .")
        'They don\'t say "hi" (or "bye"), the dogs\' owner\'s here.'
    """
    text = _BRACKET.sub(lambda found: _BRACKETS[found[0].upper()], text)
    text = _QUOTED.sub(r'"\1"', _QUOTES.sub('"', text))
    text = _SPLIT.sub(r"\1\2", _PLURAL.sub("'", _CLITIC.sub(r"\1", text)))
    return " ".join(_AFTER.sub(r"\1", _BEFORE.sub(r"\1", text)).split())


def is_tokenized(sentences: Sequence[str]) -> bool:
    """Returns True if most sentences with a full stop have a space before it.

    Example:
        >>> is_tokenized(["A man sleeps .", "A dog runs ."]), is_tokenized(["A man sleeps."])
        (True, False)
    """
    ended = [text for text in sentences if _ENDED.search(text)]
    return bool(ended) and sum(bool(_TOKENIZED.search(t)) for t in ended) >= _LEAST * len(ended)
