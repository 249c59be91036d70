"""Functions that draw Matplotlib figures from arrays, and `save`.

Importing this package does not import Matplotlib; the first figure does.
"""

from flowjax.plots._style import save
from flowjax.plots.calibration import gain_by_power, pair_cosines, spectra
from flowjax.plots.density import density_2d, warped_grid
from flowjax.plots.geometry import nearest_neighbours, projection_2d, spectrum
from flowjax.plots.similarity import cosine_histogram, lexical_scatter, similarity_scatter
from flowjax.plots.training import fit_curves, loss_curves

__all__ = [
    "cosine_histogram",
    "density_2d",
    "fit_curves",
    "gain_by_power",
    "lexical_scatter",
    "loss_curves",
    "nearest_neighbours",
    "pair_cosines",
    "projection_2d",
    "save",
    "similarity_scatter",
    "spectra",
    "spectrum",
    "warped_grid",
]
