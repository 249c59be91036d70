"""Page of `flowjax analyze --array`: isotropy and log-density of vectors without text."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from flowjax.report import figures, measures
from flowjax.report.blocks import Block, Column, Fact, Page, Section, Table
from flowjax.report.inputs import ReportedModel, RunVectors

LOWEST = 10
QUANTILES = {"mean": None, "1 %": 0.01, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "99 %": 0.99}
ISOTROPY_TEXT = (
    "Distribution of the directions of the vectors. If the cosine of random pairs is far from 0, "
    "a cosine has no meaning without the cosines of other pairs."
)
ISOTROPY_NOTES = (
    "Mean cosine of random pairs: 0 is isotropic. Isotropy score (Mu & Viswanath) of vectors of "
    "length 1, and IsoScore: 1 is isotropic. Uniformity (Wang & Isola): lower values are more "
    "uniform on the sphere.",
    "Standardization and whitening are computed from these vectors, so that whitening makes them "
    "isotropic by construction.",
    "Isotropic vectors are not better for every use: flowjax check measures whether calibration "
    "helps.",
)
DENSITY_TEXT = (
    "Log-density of the vectors under the flow, and under a Gaussian with the mean and covariance "
    "of these vectors. A vector with a low density differs from the vectors that the flow was "
    "fitted on."
)


def array_page(
    model: ReportedModel,
    array: RunVectors,
    log_probs: Mapping[str, np.ndarray],
    *,
    command: str,
    rows: int,
) -> Page:
    """Returns the page with the isotropy and the log-densities of an array.

    Args:
        model: flow and transformations for comparison; `encoder` is the name of the array.
        array: the vectors.
        log_probs: log-density of each vector, shape (n,), in nats, by the name of the density;
            the first is the density of the flow.
        command: command line of the user.
        rows: maximum number of vectors for the isotropy measures and the figures.
    """
    some = array.take(rows)
    clouds = {name: map_(some.vectors) for name, map_ in model.maps.items()}
    caption = f"On {some.description}"
    isotropy = measures.isotropy_table("isotropy", caption, clouds, notes=ISOTROPY_NOTES)
    before_after = [clouds[name] for name in model.names]
    plots = [
        plot._replace(caption=_caption(plot.name, plot.caption, some.description))
        for plot in figures.geometry(model, before_after, of=some.description)
    ]
    blocks: list[Block] = [isotropy, *plots]
    values = next(iter(log_probs.values()))
    sections = [
        Section("isotropy", "Isotropy", ISOTROPY_TEXT, blocks),
        Section("density", "Log-density", DENSITY_TEXT, [_table(log_probs), _lowest(values)]),
    ]
    first, last = isotropy.rows[0], isotropy.rows[-1]
    facts = [
        Fact(label, f"{first[key]:z.2f}", f"{last[key]:z.2f}", f"{best} is isotropic")
        for key, label, best in (
            ("mean_cosine", "Mean cosine, random pairs", 0),
            ("isoscore", "IsoScore", 1),
        )
    ]
    title = f"Analysis of {model.flow} on {model.encoder}"
    return Page(title, model.provenance, facts, sections, command, {"model": model.description})


def _caption(plot: str, caption: str, of: str) -> str:
    """Returns the caption of a plot of vectors that are not sentences of a BERT."""
    return {
        "projection": f"Vectors on their first two principal components ({of}).",
        "random_cosines": f"Cosine of {figures.RANDOM_PAIRS:,} random pairs of vectors. In an "
        "isotropic space the cosines lie around 0.",
    }.get(plot, caption)


def _table(log_probs: Mapping[str, np.ndarray]) -> Table:
    rows = [
        {
            "density": name,
            **{
                key: float(values.mean() if q is None else np.quantile(values, q))
                for key, q in QUANTILES.items()
            },
        }
        for name, values in log_probs.items()
    ]
    count = len(next(iter(log_probs.values())))
    columns = [
        Column("density", "density", left=True),
        *(Column(key, key, 2, best="max" if key == "mean" else None) for key in QUANTILES),
    ]
    caption = f"Log-density of {count:,} vectors, in nats: mean and quantiles"
    return Table("density", caption, columns, rows, [])


def _lowest(values: np.ndarray) -> Table:
    rows = [
        {"row": int(row), "log_prob": float(values[row])} for row in np.argsort(values)[:LOWEST]
    ]
    columns = [Column("row", "row", left=True), Column("log_prob", "log-density", 2)]
    caption = "Rows with the lowest log-density under the flow; rows are counted from 0"
    return Table("lowest", caption, columns, rows, [])
