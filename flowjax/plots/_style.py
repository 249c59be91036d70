"""Shared Matplotlib style, argument checks and figure saving.

Figures use Matplotlib's object interface, without pyplot and its global state, so that they can be
drawn in any thread and without a display. Names of users can contain dollar signs, so that no text
is parsed as a formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from flowjax.errors import FlowjaxError
from flowjax.files.replace import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, whose colours are distinct for all types of colour vision.
BEFORE, AFTER, ACCENT, GREEN = "#D55E00", "#0072B2", "#E69F00", "#009E73"
CYCLE = (AFTER, BEFORE, GREEN, "#CC79A7", ACCENT, "#56B4E9")
INK, SOFT, GRID = "#222222", "#666666", "#DDDDDD"
NAMES = ("plain", "flow")
T = TypeVar("T")


def new_figure(
    rows: int = 1,
    columns: int = 1,
    *,
    size: tuple[float, float] = (4.6, 3.9),
    share_y: bool = False,
    title: str | None = None,
) -> tuple[Figure, list[Axes]]:
    """Returns a figure of equal panels (`size` in inches each) and its axes, row by row."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=share_y)
    if title:
        figure.suptitle(title, parse_math=False, fontsize=13, color=INK, fontweight="bold")
    return figure, list(axes.flat)


def dress(axes: Axes, title: str = "", x: str = "", y: str = "", *, grid: bool = True) -> None:
    """Sets the title, the labels, the frame and the grid of a panel."""
    axes.set_title(title, parse_math=False, fontsize=11, color=INK)
    axes.set_xlabel(x, parse_math=False, fontsize=10, color=INK)
    axes.set_ylabel(y, parse_math=False, fontsize=10, color=INK)
    axes.tick_params(labelsize=9, colors=SOFT, length=3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(SOFT)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(True, color=GRID, linewidth=0.7)


def legend(axes: Axes, **options: Any) -> None:
    """Adds a legend without a frame."""
    drawn = axes.legend(frameon=False, fontsize=9, labelcolor=INK, **options)
    for text in drawn.get_texts():
        text.set_parse_math(False)


def colour_bar(figure: Figure, drawn: Any, axes: Any, label: str, *, shrink: float) -> None:
    """Adds an opaque colour bar without a frame."""
    bar = figure.colorbar(drawn, ax=axes, shrink=shrink, pad=0.02)
    bar.set_label(label, parse_math=False, fontsize=10, color=INK)
    if bar.solids is not None:
        bar.solids.set_alpha(1.0)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=9, colors=SOFT)


def save(figure: Figure, path: str | Path, *, dpi: int = 150) -> Path:
    """Writes a figure to a file in the format of its suffix (.png, .svg or .pdf).

    Missing folders are created; an existing file is replaced. Equal figures give equal PNG and PDF
    files, because no date or version is written to the file.

    Args:
        figure: figure from any function of this package.
        path: path of the file.
        dpi: resolution of a .png file in dots per inch.

    Returns:
        The path.

    Raises:
        FlowjaxError: The suffix is not .png, .svg or .pdf.

    Example:
        >>> import pathlib, tempfile
        >>> figure, _ = new_figure()
        >>> save(figure, pathlib.Path(tempfile.mkdtemp()) / "plots" / "empty.png").name
        'empty.png'
    """
    path = Path(path)
    stamps = {".png": {"Software": None}, ".svg": {"Date": None}}
    stamps |= {".pdf": {"CreationDate": None, "Producer": None, "Creator": None}}
    if path.suffix not in stamps:
        raise FlowjaxError(f"{path}: expected a suffix .png, .svg or .pdf, got {path.suffix!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as new:
        figure.savefig(
            new, dpi=dpi, metadata=stamps[path.suffix], facecolor="white", format=path.suffix[1:]
        )
    return path


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


def states(names: Sequence[str], before: T, after: T) -> list[tuple[str, T, str]]:
    """Returns `(name, values, colour)` of the vectors before, and of those after calibration."""
    if isinstance(names, str) or len(names) != 2:
        raise FlowjaxError(f"names: expected two names, before and after, got {names!r}")
    return [(names[0], before, BEFORE), (names[1], after, AFTER)]
