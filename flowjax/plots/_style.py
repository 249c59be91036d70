"""One look for all pictures, and saving them; matplotlib is imported only when one is drawn.

Figures are made with matplotlib's object interface: no pyplot, no global state, no window, so
they can be drawn in a thread, in a server or in a test alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which people with any colour vision can tell apart.
BEFORE, AFTER, ACCENT, GREEN = "#D55E00", "#0072B2", "#E69F00", "#009E73"
CYCLE = (AFTER, BEFORE, GREEN, "#CC79A7", ACCENT, "#56B4E9")
INK, SOFT, GRID = "#222222", "#666666", "#DDDDDD"
NAMES = ("plain", "flow")


def new_figure(
    rows: int = 1,
    columns: int = 1,
    *,
    size: tuple[float, float] = (4.6, 3.9),
    share_y: bool = False,
    title: str | None = None,
) -> tuple[Figure, list[Axes]]:
    """A figure of equal panels (``size`` inches each) and its axes, row by row."""
    from matplotlib.figure import Figure

    # The layout engine leaves room for a title of its own accord.
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=share_y)
    if title:
        figure.suptitle(title, fontsize=13, color=INK, fontweight="bold")
    return figure, list(axes.flat)


def dress(axes: Axes, title: str = "", x: str = "", y: str = "", *, grid: bool = True) -> None:
    """Titles, labels and a quiet frame."""
    axes.set_title(title, fontsize=11, color=INK)
    axes.set_xlabel(x, fontsize=10, color=INK)
    axes.set_ylabel(y, fontsize=10, color=INK)
    axes.tick_params(labelsize=9, colors=SOFT, length=3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(SOFT)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(True, color=GRID, linewidth=0.7)


def legend(axes: Axes, **options: Any) -> None:
    """A legend without a box."""
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, **options)


def save(figure: Figure, path: str | Path, *, dpi: int = 150) -> Path:
    """Writes a figure as the file type its suffix names (.png, .svg, .pdf).

    Folders on the way are made; a file of that name is replaced. The same drawing gives the same
    bytes (PNG, PDF): no time stamp or version is written into it.

    Args:
        figure: From any function of this package.
        path: Where to.
        dpi: Dots an inch, for .png.

    Returns:
        The path.

    Raises:
        ValueError: For another suffix.

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
        raise ValueError(f"{path}: expected a name that ends in .png, .svg or .pdf")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=dpi, metadata=stamps[path.suffix], facecolor="white")
    return path


def sample(name: str, values: object, n: int | None = None) -> np.ndarray:
    """Finite numbers ``(n,)`` in float64, or a ValueError that names them."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size or (n is not None and array.size != n):
        expected = "(n,)" if n is None else f"({n},)"
        raise ValueError(f"{name}: expected shape {expected}, got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")
    return array


def pair_of_names(names: Sequence[str]) -> tuple[str, str]:
    """The names of the two states, before and after."""
    if isinstance(names, str) or len(names) != 2:
        raise ValueError(f"names: expected two, for before and after, got {names!r}")
    return names[0], names[1]
