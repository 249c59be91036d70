"""Looks of the kinds of vectors, axes, legends, argument checks and figure saving.

Functions that draw set no font size, no figure size and no grid, so that `matplotlib.rcParams`
decides. Names of users can contain dollar signs, so that their text is not parsed as a formula.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flowjax.errors import FlowjaxError
from flowjax.files.replace import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Look(NamedTuple):
    """Colour, line style and marker of one kind of vectors, different from all others in grey."""

    color: str
    linestyle: Any
    marker: str


# Okabe and Ito's palette, whose colours are distinct for all types of colour vision.
BEFORE, AFTER, GREEN, ACCENT = "#D55E00", "#0072B2", "#009E73", "#E69F00"
LOOKS = (
    Look(BEFORE, "-", "o"),
    Look(GREEN, (0, (5, 2)), "s"),
    Look(AFTER, (0, (7, 1.5, 1.5, 1.5)), "^"),
    Look("#CC79A7", (0, (1.5, 1.5)), "D"),
    Look(ACCENT, (0, (9, 3)), "v"),
    Look("#56B4E9", (0, (3, 1, 1, 1, 1, 1)), "P"),
)
# Kinds of vectors that look the same in all figures; the others get the remaining looks.
FAMILIES = ("plain", "whitening")
# Kinds that get the last looks, so that a flow has the same look with and without them.
LAST = ("centred", "center", "standardize", "standardized")
GREY = "#7F7F7F"
# Smallest width of a panel in inches; narrower panels are stacked.
PANEL = 2.6
# Style of the figures of reports and commands.
REPORT: dict[Any, Any] = {
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.fontsize": 9,
    "legend.frameon": False,
}


def looks(names: Iterable[str]) -> dict[str, Look]:
    """Returns the look of each kind of vectors; a power as in `glow^0.5` does not change it.

    If two names differ in the power only, the second gets another look.

    Example:
        >>> [look.marker for look in looks(["glow", "whitening^0.5", "plain"]).values()]
        ['^', 's', 'o']
    """
    keys: dict[str, str] = {}
    for name in names:
        family = name.partition("^")[0]
        keys[name] = name if family in keys.values() else family
    others = [key for key in dict.fromkeys(keys.values()) if key not in FAMILIES]
    order = [*FAMILIES, *sorted(others, key=lambda key: key in LAST)]
    return {name: LOOKS[order.index(key) % len(LOOKS)] for name, key in keys.items()}


def axes_of(ax: Any, panels: int = 1, *, height: float = 1.0) -> list[Axes]:
    """Returns the axes to draw on.

    Args:
        ax: an Axes, or an array or list of `panels` Axes; None makes a figure with pyplot, which
            Jupyter shows.
        panels: number of panels. Panels that would be narrow are stacked.
        height: height of a panel relative to its width, at most.
    """
    if ax is None:
        import matplotlib.pyplot as plt

        width, high = plt.rcParams["figure.figsize"]
        columns = max(1, min(panels, int(width // PANEL)))
        rows = math.ceil(panels / columns)
        if panels > 1:
            high = rows * min(high, height * width / columns + 0.5)
        figure = plt.figure(figsize=(width, high), layout="constrained")
        found = list(figure.subplots(rows, columns, squeeze=False).flat)
        for extra in found[panels:]:
            extra.remove()
        return found[:panels]
    found = list(np.ravel(np.asarray(ax, dtype=object)))
    if len(found) != panels:
        raise FlowjaxError(f"ax: expected {panels} Axes, got {len(found)}")
    return found


def drawn(
    draw: Callable[..., Any], panels: int = 1, *, size: tuple[float, float] = (4.6, 3.4)
) -> Figure:
    """Returns a figure in the style of the reports, made without pyplot.

    Args:
        draw: function of `ax`: one Axes, or a list of `panels` Axes if there are several.
        panels: number of panels, side by side.
        size: width and height of a panel in inches.

    Example:
        >>> drawn(lambda ax: ax.plot([0, 1])).axes[0].spines["top"].get_visible()
        False
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(REPORT):
        figure = Figure(figsize=(size[0] * panels, size[1]), layout="constrained")
        found = list(figure.subplots(1, panels, squeeze=False).flat)
        draw(ax=found if panels > 1 else found[0])
    return figure


def label(axes: Axes, title: str = "", x: str = "", y: str = "") -> None:
    """Sets the title and the labels of a panel."""
    if title:
        axes.set_title(title, parse_math=False)
    axes.set_xlabel(x, parse_math=False)
    axes.set_ylabel(y, parse_math=False)


def ink() -> str:
    """Returns the colour of text and of lines that belong to no kind of vectors."""
    import matplotlib as mpl

    return str(mpl.rcParams["text.color"])


def legend(axes: Axes) -> None:
    """Adds a legend at the top, and extends the y axis so that the legend covers nothing.

    Labels that are wider than the Axes are wrapped.
    """
    import matplotlib as mpl
    from matplotlib.font_manager import FontProperties

    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return
    size = FontProperties(size=mpl.rcParams["legend.fontsize"]).get_size_in_points()
    extent = axes.get_window_extent()
    letters = np.array((extent.width, extent.height)) / axes.figure.dpi * 72 / size
    widest = max(8, int((letters[0] - 4.5) / 0.56))
    labels = ["\n".join(textwrap.wrap(text, widest)) or text for text in labels]
    longest = max(len(line) for text in labels for line in text.split("\n"))
    columns = max(1, min(int(letters[0] // (0.56 * longest + 4.5)), len(labels)))
    rows = math.ceil(sum(text.count("\n") + 1 for text in labels) / columns)
    found = axes.legend(
        handles, labels, loc="upper center", borderaxespad=0.2, ncols=columns, columnspacing=1.2
    )
    for text in found.get_texts():
        text.set_parse_math(False)
    share = min(0.6, (1.5 * rows + 0.9) / letters[1])
    low, high = axes.get_ylim()
    if axes.get_yscale() == "log":
        axes.set_ylim(low, high * (high / low) ** (share / (1 - share)))
    else:
        axes.set_ylim(low, high + (high - low) * share / (1 - share))


def save(figure: Any, path: str | Path, *, dpi: int = 150) -> Path:
    """Writes a figure to a file in the format of its suffix (.png, .svg or .pdf).

    Missing folders are created; an existing file is replaced. Equal figures give equal PNG and PDF
    files, because no date or version is written to the file. PDF files contain TrueType fonts.

    Args:
        figure: a figure, an Axes, or an array of Axes from a function of this package.
        path: path of the file.
        dpi: resolution of a .png file in dots per inch; the other formats ignore it.

    Returns:
        The path.

    Raises:
        FlowjaxError: The suffix is not .png, .svg or .pdf.

    Example:
        >>> import pathlib, tempfile
        >>> figure = drawn(lambda ax: ax.plot([0, 1]))
        >>> save(figure, pathlib.Path(tempfile.mkdtemp()) / "plots" / "line.png").name
        'line.png'
    """
    path = Path(path)
    check_format(path.suffix[1:], f"{path}: expected a suffix", path.suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as new:
        write(figure, new, path.suffix[1:], dpi)
    return path


FORMATS = ("png", "svg", "pdf")
_STAMPS: Mapping[str, Mapping[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
}
# Resolution of parts of .svg and .pdf files that are images, such as clouds of points.
_VECTOR_DPI = 300


def check_format(kind: str, expected: str, got: str) -> None:
    """Raises FlowjaxError for a format other than png, svg and pdf."""
    if kind not in FORMATS:
        raise FlowjaxError(f"{expected} .png, .svg or .pdf, got {got!r}")


def write(figure: Any, file: Any, kind: str, dpi: int = 150) -> None:
    """Writes a figure, or the figure of Axes, to a path or a binary file."""
    import matplotlib as mpl

    if not hasattr(figure, "savefig"):
        figure = np.ravel(np.asarray(figure, dtype=object))[0].figure
    options: dict[Any, Any] = {"pdf.fonttype": 42, "ps.fonttype": 42, "svg.hashsalt": "flowjax"}
    with mpl.rc_context(options):
        figure.savefig(
            file, format=kind, dpi=dpi if kind == "png" else _VECTOR_DPI, metadata=_STAMPS[kind]
        )


def sample(name: str, values: object, n: int | None = None) -> np.ndarray:
    """Returns `values` as a float64 array of shape `(n,)`.

    Raises:
        FlowjaxError: The shape is wrong, or a value is not finite; the message contains `name`.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size or n not in (None, array.size):
        raise FlowjaxError(f"{name}: expected shape ({n or 'n'},), got {array.shape}")
    if not np.isfinite(array).all():
        raise FlowjaxError(f"{name}: expected finite numbers, got NaN or infinity")
    return array


def check_kinds(name: str, kinds: Any) -> Mapping[str, Any]:
    """Returns a mapping of kinds of vectors.

    Raises:
        FlowjaxError: The argument is not a dict, or it is empty.
    """
    if not isinstance(kinds, Mapping) or not kinds:
        got = "an empty dict" if isinstance(kinds, Mapping) else type(kinds).__name__
        raise FlowjaxError(f'{name}: expected a dict such as {{"plain": ...}}, got {got}')
    return kinds


def row_of_axes(found: Sequence[Axes]) -> np.ndarray:
    """Returns Axes as an array of shape (n,)."""
    row = np.empty(len(found), dtype=object)
    row[:] = found
    return row
