"""Functions that draw Matplotlib figures from arrays, and `save`.

Each function draws on the given `ax`, or on a new figure of pyplot, and returns the Axes. Font
sizes, figure size and grid are those of `matplotlib.rcParams`. Kinds of vectors differ in colour,
line style and marker, so that figures can be printed in grey. Importing this package does not
import Matplotlib; the first figure does.
"""

from flowjax.plots._style import save
from flowjax.plots.cone import cone
from flowjax.plots.cosines import pair_cosines
from flowjax.plots.density import density_2d, warped_grid
from flowjax.plots.forest import forest
from flowjax.plots.gain import gain_by_power
from flowjax.plots.neighbours import nearest_neighbours
from flowjax.plots.spectrum import spectra, spectrum
from flowjax.plots.training import fit_curves, loss_curves

__all__ = [
    "cone",
    "density_2d",
    "fit_curves",
    "forest",
    "gain_by_power",
    "loss_curves",
    "nearest_neighbours",
    "pair_cosines",
    "save",
    "spectra",
    "spectrum",
    "warped_grid",
]


def __dir__() -> list[str]:
    return sorted(__all__)
