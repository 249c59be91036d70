"""Verdict of an evaluation: the results on which other vectors are better than the flow."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any

from flowjax.evaluation.table import SINGLE, flat_rows

_PLACE = ("task", "split", "aggregation")


def verdict(results: Mapping[str, Any], flow: str) -> str:
    """Returns one line with the results on which other vectors are better than the flow.

    The best vectors are compared by Spearman, or by AUC if a task has no Spearman, rounded to two
    decimals as in the tables. The line does not state whether a difference is significant.

    Args:
        results: results in the layout of `flowjax.evaluation.table`.
        flow: name of the vectors of the flow.

    Returns:
        The sentence.

    Example:
        >>> scores = {"plain": {"spearman": 61.0}, "glow": {"spearman": 60.2}}
        >>> verdict({"stsb": {"test": scores}}, "glow")
        'verdict: glow is not the best on 1 of 1 results: stsb test: plain 61.00, glow 60.20'
    """
    rows = flat_rows(results, subsets=False)
    worse, count = [], 0
    for place, group in groupby(sorted(rows, key=itemgetter(*_PLACE)), key=itemgetter(*_PLACE)):
        values = {
            row["vectors"]: round(row["spearman" if "spearman" in row else "auc"], 2)
            for row in group
        }
        if flow not in values or len(values) == 1:
            continue
        count += 1
        others = {name: value for name, value in values.items() if name != flow}
        best = max(others, key=lambda name: others[name])
        if others[best] > values[flow]:
            where = " ".join(word for word in place if word != SINGLE)
            worse.append(f"{where}: {best} {others[best]:.2f}, {flow} {values[flow]:.2f}")
    if not count:
        return "verdict: no other vectors to compare with"
    if not worse:
        return f"verdict: no other vectors are better than {flow} on the {count} results"
    return (
        f"verdict: {flow} is not the best on {len(worse)} of {count} results: {'; '.join(worse)}"
    )
