"""Sentences of reports as functions of the values that they state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flowjax.report.inputs import Seen

# Mean cosines of random pairs above these values are called high and raised.
HIGH, RAISED = 0.3, 0.1
# Differences of IsoScore that are called equal.
EQUAL = 0.02


def difference(name: str, other: str, value: float, low: float, high: float) -> str:
    """Returns a comparison of two kinds of vectors; it is clear if the interval excludes 0.

    Args:
        name: first kind of vectors.
        other: second kind of vectors.
        value: score of the first minus score of the second.
        low: lower end of the paired interval.
        high: upper end of the paired interval.

    Example:
        >>> difference("glow", "plain", 2.34, 1.0, 3.5)
        'glow is better than plain: +2.3 [+1.0, +3.5]'
        >>> difference("glow", "plain", -0.3, -1.0, 0.5)
        'no clear difference between glow and plain: -0.3 [-1.0, +0.5]'
    """
    numbers = f"{value:+z.1f} [{low:+z.1f}, {high:+z.1f}]"
    if low > 0:
        return f"{name} is better than {other}: {numbers}"
    if high < 0:
        return f"{name} is worse than {other}: {numbers}"
    return f"no clear difference between {name} and {other}: {numbers}"


def summary(name: str, intervals: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Returns how often a kind of vectors is clearly better or worse than others.

    Args:
        name: kind of vectors.
        intervals: for each other kind, the intervals of the differences on all results.

    Example:
        >>> summary("glow", {"plain": [(1.0, 3.0), (-1.0, 2.0)], "whitening": [(-3.0, -1.0)]})
        'glow against plain on 2 results: 1 better, 1 no clear difference. glow against whitening on 1 result: 1 worse.'
    """  # noqa: E501
    parts = []
    for other, found in intervals.items():
        better = sum(low > 0 for low, _ in found)
        worse = sum(high < 0 for _, high in found)
        counts = {"better": better, "worse": worse, "no clear difference": 0}
        counts["no clear difference"] = len(found) - better - worse
        text = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
        results = f"{len(found)} result{'s' * (len(found) != 1)}"
        parts.append(f"{name} against {other} on {results}: {text or 'none'}.")
    return " ".join(parts)


def cone(cosines: Mapping[str, float]) -> str:
    """Returns a sentence about the mean cosine of random pairs of each kind of vectors.

    Example:
        >>> cone({"plain": 0.47, "glow": 0.01})
        'Mean cosine of random pairs: plain 0.47 (high: the vectors lie in a narrow cone); glow 0.01 (near 0, as for isotropic vectors).'
    """  # noqa: E501
    parts = [f"{name} {value:z.2f} ({_level(value)})" for name, value in cosines.items()]
    return f"Mean cosine of random pairs: {'; '.join(parts)}."


def _level(value: float) -> str:
    if value >= HIGH:
        return "high: the vectors lie in a narrow cone"
    if value >= RAISED:
        return "above 0: the vectors lie in a wide cone"
    if value > -RAISED:
        return "near 0, as for isotropic vectors"
    return "below 0"


def isoscores(scores: Mapping[str, float], exact: float) -> str:
    """Returns a sentence about the IsoScores and that of an exact Gaussian sample.

    Args:
        scores: IsoScore of each kind of vectors, plain vectors first and calibrated vectors last.
        exact: IsoScore of a Gaussian sample of the same size.

    Example:
        >>> isoscores({"plain": 0.08, "glow": 0.5}, 0.95)
        'IsoScore: plain 0.08, glow 0.50; an exact Gaussian sample of this size has 0.95. glow is more isotropic than plain.'
    """  # noqa: E501
    values = ", ".join(f"{name} {value:z.2f}" for name, value in scores.items())
    text = f"IsoScore: {values}; an exact Gaussian sample of this size has {exact:.2f}."
    (before, first), (after, last) = next(iter(scores.items())), list(scores.items())[-1]
    if before == after:
        return text
    if abs(last - first) < EQUAL:
        return f"{text} {after} and {before} are about equally isotropic."
    more = "more" if last > first else "less"
    return f"{text} {after} is {more} isotropic than {before}."


def aucs(values: Mapping[str, float], related: str, random: str = "a random pair") -> str:
    """Returns a sentence about how well cosines tell related pairs from random pairs.

    Example:
        >>> aucs({"plain": 95.04, "glow": 97.0}, "a paraphrase")
        'Probability that a paraphrase has a higher cosine than a random pair: plain 95.0 %, glow 97.0 %.'
    """  # noqa: E501
    text = ", ".join(f"{name} {value:.1f} %" for name, value in values.items())
    return f"Probability that {related} has a higher cosine than {random}: {text}."


def seen(part: Seen | None) -> str:
    """Returns a sentence about the overlap of sentences with the sentences of the fit.

    Args:
        part: part of the sentences in the fit; None if unknown.

    Example:
        >>> seen(Seen(0.0))
        'The calibrations were fitted on other sentences.'
        >>> seen(Seen(0.75, 0.25))
        'The calibrations were fitted on 75 % of these sentences, and the flow was selected on 25 % that were held out from the fit; no labels were used.'
    """  # noqa: E501
    if part is None:
        return "It is not known whether the calibrations were fitted on these sentences."
    chosen = ""
    if part.selected:
        chosen = f"the flow was selected on {_percent(part.selected)} that were held out from the"
        chosen = f", and {chosen} fit; no labels were used."
    if part.fitted == 0:
        return f"The calibrations were fitted on other sentences{chosen or '.'}"
    if part.fitted == 1:
        return "In-sample: the calibrations were fitted on these sentences, without labels."
    text = f"The calibrations were fitted on {_percent(part.fitted)} of these sentences"
    return text + (chosen or ", without labels.")


def short_seen(part: Seen | None) -> str:
    """Returns the words of `seen` for a tile.

    Example:
        >>> short_seen(Seen(1.0)), short_seen(Seen(0.75, 0.25)), short_seen(None)
        ('in-sample', '75 % in-sample', 'may be in-sample')
    """
    if part is None:
        return "may be in-sample"
    if part.fitted == 0:
        return "selected on them" if part.selected else "held-out sentences"
    return "in-sample" if part.fitted == 1 else f"{_percent(part.fitted)} in-sample"


def _percent(fraction: float) -> str:
    """Returns a fraction in percent, which is 0 or 100 only if the fraction is 0 or 1."""
    if fraction in (0, 1):
        return f"{100 * fraction:.0f} %"
    return f"{max(1, min(99, round(100 * fraction)))} %"


def neighbours(changed: int, count: int, name: str) -> str:
    """Returns a sentence about the sentences whose nearest sentence changes.

    Args:
        changed: number of sentences whose nearest sentence differs from that of plain vectors.
        count: number of sentences.
        name: calibrated vectors.

    Example:
        >>> neighbours(30, 100, "glow")
        'Under glow, 30 % of 100 sentences have another nearest sentence than under plain vectors.'
    """
    if not changed:
        return f"Under {name}, all of {count:,} sentences keep their nearest sentence."
    percent = 100 * changed / count
    text = f"{percent:.0f} %" if 1 <= percent <= 99 or changed == count else f"{percent:.1f} %"
    return (
        f"Under {name}, {text} of {count:,} sentences have another nearest sentence than under "
        "plain vectors."
    )
