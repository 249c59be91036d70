"""Rules that split paragraphs into sentences, and find lines of a fixed width."""

# Quotation marks and full stops of several scripts.
# ruff: noqa: RUF001
from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from statistics import quantiles

# Ends of sentences. Chinese and Japanese write no space after a full stop.
_END = re.compile(r"[.!?…؟۔।]+[\"'”’»)\]]*\s+|[。！？]+[」』”’）]*\s*")
_OPENING = "\"'“‘«„([{¿¡-—– "
# Abbreviations that are followed by a name, a number or an example: they never end a sentence.
_NEVER = set(
    "mr mrs ms mx dr prof rev hon gen col maj capt cmdr lt sgt adm sen rep gov pres st mt ft "
    "messrs mme mlle fr hr sra srta dra vs cf fig figs eq eqs sec ch vol pp ed eds al approx ca "
    "jan feb mar apr jun jul aug sep sept oct nov dec e.g i.e z.b d.h bzw nr str viz".split()
)
# Abbreviations that also occur at the end of a sentence.
_SOMETIMES = set("etc inc ltd co corp bros jr sr no dept univ est ave blvd usw".split())
_STARTERS = set(
    "a an the this that these those he she it they we you i there here in on at for from after "
    "before when while as if but and so however his her its their our my most many some all one "
    "two no not what who why how both since during although".split()
)
_LINE_END = re.compile(r"[.!?…。！？][\"'”’)\]]*$")
# Fractions of full lines, and of lines that do not end a sentence, from which lines are wrapped.
_FULL, _INSIDE, _LEAST_LINES = 0.9, 0.5, 10
# Usual widths in characters.
_WIDTHS = (40, 120)


def split_sentences(paragraph: str) -> list[str]:
    """Splits a paragraph into sentences by rules.

    A sentence ends at a full stop, a question mark or an exclamation mark, unless a lower-case
    letter follows. Common abbreviations, initials and list numbers do not end a sentence.

    Args:
        paragraph: text of one paragraph. Line ends count as spaces.

    Returns:
        The sentences without surrounding spaces. They contain all words of the paragraph.

    Example:
        >>> split_sentences("Dr. J. K. Rowe lives in the U.S. She writes, e.g. books. Does he?")
        ['Dr. J. K. Rowe lives in the U.S.', 'She writes, e.g. books.', 'Does he?']
        >>> split_sentences('"Is it 3.5 km?" he asked. "No." It cost $1.20, etc. on Nov. 6.')
        ['"Is it 3.5 km?" he asked.', '"No."', 'It cost $1.20, etc. on Nov. 6.']
        >>> split_sentences("1. Wash the rice.  Acme Inc. makes 2. Wait... what?! Yes")
        ['1. Wash the rice.', 'Acme Inc. makes 2.', 'Wait... what?!', 'Yes']
        >>> split_sentences("今天下雨。我们走吧！")
        ['今天下雨。', '我们走吧！']
    """
    text = " ".join(paragraph.split())
    found, start = [], 0
    for match in _END.finditer(text):
        if _ends(text, start, match):
            found.append(text[start : match.end()].strip())
            start = match.end()
    return [sentence for sentence in [*found, text[start:].strip()] if sentence]


def _ends(text: str, start: int, match: re.Match[str]) -> bool:
    """Returns True if the match of `_END` ends the sentence that begins at `start`."""
    rest = text[match.end() : match.end() + 40].lstrip(_OPENING)
    if rest[:1].islower():
        return False
    if not match[0].startswith(".") or match[0].startswith(".."):
        return True
    words = text[start : match.start()].split()
    word = words[-1].lstrip(_OPENING) if words else ""
    if len(words) == 1 and (word.isdigit() or len(word) == 1):  # number of a list item
        return False
    lower, following = word.lower(), re.match(r"\w*", rest)
    starts = following is not None and following[0].lower() in _STARTERS
    if lower in _NEVER or (len(word) == 1 and word.isalpha() and word != "I"):
        return False
    if lower in _SOMETIMES or re.fullmatch(r"(?:\w{1,2}\.)+\w{1,2}", word):
        return starts
    return True


def is_wrapped(lines: Sequence[str]) -> bool:
    """Returns True if an editor broke the lines of paragraphs at a fixed width.

    The first word of a line then has no room at the end of the line before it, and most lines do
    not end a sentence. Lines before a blank line do not count.

    Args:
        lines: lines of a text.

    Example:
        >>> is_wrapped(["It was a dark night; the rain fell in torrents, except at",
        ...             "occasional intervals, when it was checked by violent winds"] * 9)
        True
        >>> is_wrapped(["a man plays", "a dog runs"] * 9)
        False
    """
    followed = [
        (line.rstrip(), after.split()[0])
        for line, after in pairwise(lines)
        if line.strip() and after.strip()
    ]
    if len(followed) < _LEAST_LINES:
        return False
    width = quantiles([len(line) for line, _ in followed], n=50)[-1]
    full = sum(len(line) + 1 + len(word) > width for line, word in followed)
    inside = sum(not _LINE_END.search(line) for line, _ in followed)
    return (
        _WIDTHS[0] <= width <= _WIDTHS[1]
        and full >= _FULL * len(followed)
        and inside >= _INSIDE * len(followed)
    )
