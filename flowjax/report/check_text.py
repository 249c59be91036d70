"""Text of a check for a terminal: the advice and a table of at most 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

WIDTH = 80
# Key, heading, width and format of each column after the name.
_RETRIEVAL = (("recall@1", "R@1", 5), ("recall@10", "R@10", 6), ("auc", "AUC", 6))
_CLOUD = (
    ("random_mean", "mean", 6, 2),
    ("random_sd", "sd", 5, 2),
    ("random_q99", "99 %", 5, 2),
    ("isoscore", "IsoScore", 9, 2),
)


def check_text(found: Mapping[str, Any], width: int = WIDTH) -> str:
    """Returns the advice, the table and its explanation.

    Args:
        found: result of `Check.to_dict`.
        width: largest number of columns.

    Example:
        >>> cloud = {"random_mean": 0.5, "random_sd": 0.1, "random_q99": 0.8, "isoscore": 0.1}
        >>> row = {"vectors": "plain", "log_prob_per_dim": -1.2, **cloud}
        >>> found = {"advice": "No recommendation.", "recommended": None, "table": [row],
        ...          "best": "centred", "pairs": {}, "gaussian": cloud, "about": {}}
        >>> print(check_text(found).splitlines()[0])
        No recommendation.
    """
    rows = shown_rows(found["table"], found["best"])
    retrieval = list(_RETRIEVAL) if "score" in rows[0] else []
    name = max(len(row["vectors"]) for row in rows) + 3
    name = max(name, len("  exact Gaussian"))
    interval = 21 if retrieval else 0
    if name + sum(c[2] for c in retrieval) + interval + sum(c[2] for c in _CLOUD) > width:
        retrieval = retrieval[1:]
    left = name + sum(c[2] for c in retrieval) + interval
    lines = [
        *textwrap.wrap(found["advice"], width),
        "",
        " " * left + "   random cosine",
        "  vectors".ljust(name)
        + "".join(label.rjust(size) for _, label, size in retrieval)
        + ("gain in odds, %".rjust(interval) if retrieval else "")
        + "".join(label.rjust(size) for _, label, size, _ in _CLOUD),
    ]
    for row in rows:
        mark = "* " if row["vectors"] == found["recommended"] else "  "
        line = (mark + row["vectors"]).ljust(name)
        line += "".join(f"{row[key]:z{size}.1f}" for key, _, size in retrieval)
        lines.append(line + (_gain(row) if retrieval else "").rjust(interval) + _cloud(row))
    lines.append("  exact Gaussian".ljust(left) + _cloud(found["gaussian"]))
    notes = [
        f"R@1, R@10: partner among the 1, 10 nearest (%); AUC: 50 is chance; gain: change of the "
        f"odds of the {found.get('score')}, with its 95 % interval. "
        * bool(retrieval)
        + "exact Gaussian: a sample of the same size."
        + " *: recommended." * bool(found["recommended"]),
        f"Held-out log-likelihood, nats per dimension: {likelihoods(found['table'])}.",
        found["about"].get("Data", ""),
    ]
    return "\n".join(
        [*lines, "", *(part for note in notes for part in textwrap.wrap(note, width))]
    )


def shown_rows(
    rows: Sequence[Mapping[str, Any]], best: str, powers: Sequence[str] = ("0", "0.5", "1")
) -> list[Mapping[str, Any]]:
    """Returns the rows without a power, of a few powers, and of the best calibration.

    Example:
        >>> rows = [{"vectors": name} for name in ("plain", "glow^0.1", "glow^0.5", "glow^0.6")]
        >>> [row["vectors"] for row in shown_rows(rows, "glow^0.6")]
        ['plain', 'glow^0.5', 'glow^0.6']
    """
    parts = [(row, row["vectors"].partition("^")[2]) for row in rows]
    return [row for row, p in parts if not p or p in powers or row["vectors"] == best]


def likelihoods(rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns the log-likelihood of each family of vectors; powers have the same likelihood.

    Example:
        >>> values = {"glow^0": 1.5, "glow^1": 1.5, "plain": -1.0}
        >>> likelihoods([{"vectors": k, "log_prob_per_dim": v} for k, v in values.items()])
        'glow 1.50, plain -1.00'
    """
    values = {row["vectors"].partition("^")[0]: row["log_prob_per_dim"] for row in rows}
    return ", ".join(f"{name} {value:z.2f}" for name, value in values.items())


def _gain(row: Mapping[str, Any]) -> str:
    if row["vectors"] == "plain":
        return ""
    values = [row[key] for key in ("difference", "low", "high")]
    digits = 1 if max(map(abs, values)) < 99.95 else 0
    gain, low, high = (f"{value:+z.{digits}f}" for value in values)
    return f"{gain} [{low}, {high}]"


def _cloud(row: Mapping[str, Any]) -> str:
    return "".join(f"{row[key]:z{size}.{digits}f}" for key, _, size, digits in _CLOUD)
