"""Page of `flowjax check`: recommendation, measures of all calibrations, figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from flowjax import plots
from flowjax.plots._style import drawn
from flowjax.report import figures
from flowjax.report.blocks import Block, Column, Fact, Page, Plot, Section, Table
from flowjax.report.check_text import likelihoods

TITLE = "Does calibration help on these {}?"
_PARTNER = {"neighbours": "neighbouring sentence", "pairs": "partner"}
_PAIRS = {"neighbours": "neighbouring sentences", "pairs": "given pairs"}


def check_page(
    found: Mapping[str, Any],
    clouds: Mapping[str, Any],
    *,
    texts: Sequence[str] | None,
    before: np.ndarray,
    after: np.ndarray,
    command: str,
) -> Page:
    """Returns the page of a check.

    Args:
        found: result of `Check.to_dict`.
        clouds: `cosines`, `spectra` and `band` of `Measured`.
        texts: held-out sentences, or None.
        before: held-out plain vectors, shape (n, d).
        after: held-out vectors of the best calibration, shape (n, k).
        command: command that made the page.
    """
    rows, best = found["table"], found["best"]
    shown = shown_vectors(rows, best)
    related = " and ".join(
        _PAIRS.get(kind, kind.replace("_", " ")) for kind in map(str, found["pairs"])
    )
    size = f"{before.shape[0]:,} x {before.shape[1]}"
    dim = before.shape[1]
    measures: list[Block] = [gain_plot(rows)] if found["pairs"] else []
    measures.append(_table(found, size))
    both = {"plain": before, best: after}
    sections = [
        Section("cone", "Cone", "", [figures.cone(both, f"{size} held-out vectors", shown)]),
        Section(
            "cosines",
            "Cosines",
            "",
            [_cosine_plot(clouds, rows, shown, related if found["pairs"] else "", dim)],
        ),
        Section(
            "spectrum",
            "Spectrum",
            _spectrum_text(rows, best, found["gaussian"]),
            [_spectrum_plot(clouds, shown, size)],
        ),
        Section("measures", "Measures", _measures_text(found, related), measures),
    ]
    if texts is not None:
        of = f"the {len(texts):,} held-out sentences"
        sections += figures.neighbours_of(texts, both, of)
    return Page(
        TITLE.format("vectors" if "Vectors" in found["about"] else "sentences"),
        list(found["about"].items()),
        _facts(found, best),
        sections,
        command,
        {key: value for key, value in found.items() if key not in ("table", "about")},
        lead=found["advice"],
    )


def shown_vectors(rows: Sequence[Mapping[str, Any]], best: str) -> list[str]:
    """Returns the names of the vectors in the figures: one power of each recipe."""
    families: dict[str, str] = {}
    for row in rows:
        family = row["vectors"].partition("^")[0]
        value = row.get("choose", row["isoscore"])
        if family not in families or row["vectors"] == best:
            families[family] = row["vectors"]
        elif families[family] != best:
            other = next(r for r in rows if r["vectors"] == families[family])
            if value > other.get("choose", other["isoscore"]):
                families[family] = row["vectors"]
    return list(families.values())


def _measures_text(found: Mapping[str, Any], related: str) -> str:
    if not found["pairs"]:
        return (
            "There are no related pairs, so only the distribution of the vectors is measured. "
            "Whether a calibration helps a search cannot be decided from it."
        )
    chosen = " and ".join(
        _PAIRS.get(kind, kind.replace("_", " ")) for kind in map(str, found["chosen_by"])
    )
    return (
        f"Related pairs are {related}. The score is the {found['score']} of their retrieval among "
        "all partners. One part of the data fits the calibrations, a second part chooses one of "
        f"them (pairs: {chosen}), and a third part gives the measures in the table."
    )


def _table(found: Mapping[str, Any], size: str) -> Table:
    retrieval = [
        Column("recall@1", "recall@1", 1),
        Column("recall@10", "recall@10", 1),
        Column("auc", "AUC", 1),
        Column("mrr", "MRR", 1),
        Column("gain", "gain in odds, %"),
    ]
    columns = [
        Column("vectors", "vectors", left=True),
        *(retrieval if found["pairs"] else []),
        Column("random_mean", "cosine: mean", 3),
        Column("random_sd", "sd", 3),
        Column("random_q99", "99 %", 3),
        Column("isoscore", "IsoScore", 3),
        Column("log_prob_per_dim", "log-lik.", 3),
    ]
    rows = [dict(row) for row in found["table"]]
    for row in rows:
        if row["vectors"] == found["recommended"]:
            row["vectors"] += " (use)"
        if "difference" in row and not row["vectors"].startswith("plain"):
            row["gain"] = f"{row['difference']:+z.1f} [{row['low']:+z.1f}, {row['high']:+z.1f}]"
        elif "difference" in row:
            row["gain"] = "0"
    rows.append({"vectors": "exact Gaussian", **found["gaussian"]})
    notes = [
        "Recall, AUC and mean reciprocal rank (MRR) in percent; an AUC of 50 is chance. Gain: "
        f"change of the odds v / (1 - v) of the score v ({found['score']}) in percent, with its "
        "paired 95 % bootstrap interval. A calibration is recommended if its gain is at least "
        f"{found['least_gain']:.0f} % and its interval is above 0."
        if found["pairs"]
        else "Retrieval is not measured without related pairs.",
        f"Random cosines and IsoScore: {size} held-out vectors. The last row is a sample of an "
        "exact Gaussian of this size; vectors are more isotropic only by chance.",
        "Log-likelihood: mean log-density of the held-out vectors in nats per dimension. Plain "
        "and centred vectors have the density of a Gaussian with equal variances. The power does "
        "not change the density.",
    ]
    return Table("check", "All calibrations on held-out vectors", columns, rows, notes)


def _facts(found: Mapping[str, Any], best: str) -> list[Fact]:
    """Returns held-out values of plain vectors and of the best calibration."""
    rows = {row["vectors"]: row for row in found["table"]}
    before, after, exact = rows["plain"], rows[best], found["gaussian"]

    def fact(label: str, key: str, digits: int, unit: str, hint: str) -> Fact:
        values = [f"{row[key]:z.{digits}f}{unit}" for row in (before, after)]
        return Fact(label, list(zip(("plain", best), values, strict=True)), hint)

    facts = []
    if found["pairs"]:
        partner = " or ".join(_PARTNER.get(kind, "partner") for kind in found["pairs"])
        interval = f"[{after['low']:+z.1f}, {after['high']:+z.1f}]"
        label = f"{partner.capitalize()} among the 10 nearest"
        facts = [
            fact(label, "recall@10", 1, " %", f"odds {after['difference']:+z.1f} % {interval}"),
            fact("AUC of related against random pairs", "auc", 1, "", "50 is chance"),
        ]
    mean, score = (f"exact Gaussian: {exact[key]:z.2f}" for key in ("random_mean", "isoscore"))
    facts.append(fact("Mean cosine of random pairs", "random_mean", 2, "", mean))
    return [*facts, fact("IsoScore", "isoscore", 2, "", score)]


def gain_plot(rows: Sequence[Mapping[str, Any]]) -> Plot:
    """Returns the figure of the gains of all candidates; the first row has the plain vectors."""
    powers: dict[str, list[float]] = {}
    gains: dict[str, list[list[float]]] = {}
    fixed: dict[str, list[float]] = {}
    for row in rows[1:]:
        family, _, power = row["vectors"].partition("^")
        values = [row[key] for key in ("difference", "low", "high")]
        if power:
            powers.setdefault(family, []).append(float(power))
            gains.setdefault(family, []).append(values)
        else:
            fixed[family] = values
    better = [row["vectors"] for row in rows[1:] if row["low"] > 0]
    worse = [row["vectors"] for row in rows[1:] if row["high"] < 0]
    text = "; ".join(
        f"{names}: {', '.join(some) if some else 'none'}"
        for names, some in (("better than plain", better), ("worse", worse))
    )
    return Plot(
        "gain",
        drawn(
            partial(
                plots.gain_by_power,
                powers,
                {name: np.array(values) for name, values in gains.items()},
                fixed=fixed,
            ),
            size=(4.6, 3.8),
        ),
        f"Gain in odds over plain vectors against the power, with intervals. {text}.",
        "Gain of the odds of the score over plain vectors, with paired 95 % intervals. Power "
        "p divides each principal axis by its standard deviation to the power p: 0 rotates only, "
        f"1 whitens. By the intervals, {text}.",
    )


def _cosine_plot(
    clouds: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    shown: Sequence[str],
    related: str,
    dim: int,
) -> Plot:
    table = {row["vectors"]: row for row in rows}
    means = ", ".join(f"{name} {table[name]['random_mean']:z.2f}" for name in shown)
    aucs = ", ".join(f"{name} {table[name]['auc']:z.1f}" for name in shown if related)
    caption = f"Cosines of random pairs{' and of ' + related if related else ''}. "
    caption += f"Mean of the random pairs: {means}."
    caption += f" AUC: {aucs}." if related else ""
    caption += f" Band: 95 % of random pairs of exactly isotropic vectors of dimension {dim}."
    cosines = {name: clouds["cosines"][name] for name in shown}
    return Plot(
        "cosines",
        drawn(
            partial(plots.pair_cosines, cosines, related=related, dim=dim),
            size=(4.6, 1.5 + 0.62 * len(cosines)),
        ),
        f"Distributions of cosines of random pairs. Means: {means}.",
        caption,
    )


def _spectrum_plot(clouds: Mapping[str, Any], shown: Sequence[str], size: str) -> Plot:
    low, high = clouds["band"]
    # Centred vectors have the covariance of plain vectors.
    curves = {name: clouds["spectra"][name] for name in shown if name != "centred"}
    return Plot(
        "spectra",
        drawn(partial(plots.spectra, curves, (low, high)), size=(4.6, 3.6)),
        "Eigenvalues of the covariance of each kind of vectors, on a log scale.",
        f"Eigenvalues of the covariance of {size} held-out vectors, divided by their mean. The "
        f"eigenvalues of an exact Gaussian sample of this size lie between {low[-1]:.2f} and "
        f"{high[0]:.2f}.",
    )


def _spectrum_text(
    rows: Sequence[Mapping[str, Any]], best: str, gaussian: Mapping[str, float]
) -> str:
    scores = {row["vectors"]: row["isoscore"] for row in rows}
    return (
        f"IsoScore of the held-out vectors: plain {scores['plain']:.2f}, {best} "
        f"{scores[best]:.2f}, exact Gaussian {gaussian['isoscore']:.2f}. Held-out log-likelihood "
        f"in nats per dimension: {likelihoods(rows)}."
    )
