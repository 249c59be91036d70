"""Page of `flowjax analyze --array`: isotropy and log-density of vectors without text."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from flowjax.report import figures, measures
from flowjax.report.analysis import ISOTROPY_NOTE, isotropy_facts
from flowjax.report.blocks import Column, Page, Section, Table
from flowjax.report.inputs import ReportedModel, RunVectors

LOWEST = 10
QUANTILES = {"mean": None, "1 %": 0.01, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "99 %": 0.99}
ISOTROPY_TEXT = (
    "Distribution of the directions of the vectors. If the cosine of random pairs is far from 0, "
    "a cosine has no meaning without the cosines of other pairs."
)
ISOTROPY_NOTES = (
    ISOTROPY_NOTE,
    "Standardization and whitening are computed from these vectors, so that whitening makes them "
    "isotropic by construction.",
    "Isotropic vectors are not better for every use: flowjax check measures whether calibration "
    "helps.",
)
# Words of the tiles: a calibration of the array itself is not measured on other vectors.
IN_SAMPLE = "on this array; whitening of the array is in-sample"
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
    everything = {name: map_(some.vectors) for name, map_ in model.maps.items()}
    caption = f"On {some.description}"
    isotropy = measures.isotropy_table("isotropy", caption, everything, notes=ISOTROPY_NOTES)
    clouds = {name: np.asarray(everything[name]) for name in model.kinds}
    before_after = {name: clouds[name] for name in model.before_after}
    values = next(iter(log_probs.values()))
    of = some.description
    sections = [
        Section("cone", "Cone", "", [figures.cone(before_after, of, model.kinds)]),
        Section("cosines", "Cosines", "", [figures.cosines("random_cosines", clouds, of=of)]),
        Section("isotropy", "Isotropy", ISOTROPY_TEXT, [figures.spectrum(clouds, of), isotropy]),
        Section("density", "Log-density", DENSITY_TEXT, [_table(log_probs), _lowest(values)]),
    ]
    facts = isotropy_facts(isotropy.rows, model.kinds, IN_SAMPLE)
    title = f"Analysis of {model.flow} on {model.encoder}"
    return Page(title, model.provenance, facts, sections, command, {"model": model.description})


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
        *(Column(key, key, 2) for key in QUANTILES),
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
