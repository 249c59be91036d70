"""Figure of the cosines of random pairs and of related pairs."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from flowjax.errors import check_integer
from flowjax.plots import _style as style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BINS = 70
# Central fraction of the cosines of isotropic random pairs, and its half width in sds.
_CENTRAL, _SDS = "95 %", 1.96


def pair_cosines(
    cosines: Mapping[str, Any],
    *,
    related: str = "related pairs",
    random: str = "random pairs",
    dim: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draws the distributions of the cosines of random pairs and of related pairs.

    Each kind of vectors has its own row on a common axis. The less the two distributions of a row
    overlap, the better the cosine tells related from random pairs.

    Args:
        cosines: for each kind of vectors: cosines of random pairs, shape (n,); or a tuple of them
            and of the cosines of related pairs, shape (m,) or None.
        related: name of the related pairs in the legend.
        random: name of the random pairs in the legend.
        dim: dimension of the vectors. A band then shows the central 95 % of the cosines of random
            pairs of isotropic vectors of this dimension.
        ax: Axes to draw on; None makes a figure.

    Returns:
        The Axes.

    Raises:
        FlowjaxError: There are no vectors, or a value is not finite.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> one = rng.normal(0.5, 0.1, 500), rng.normal(0.7, 0.1, 100)
        >>> axes = pair_cosines({"plain": one, "whitening": one[0]}, dim=100)
        >>> [text.get_text() for text in axes.get_yticklabels()]
        ['whitening', 'plain']
    """
    clouds = {}
    for name, parts in style.check_kinds("cosines", cosines).items():
        both = parts if isinstance(parts, tuple) else (parts,)
        clouds[name] = [style.sample(name, part) for part in both if part is not None]
    reach = None if dim is None else _SDS / np.sqrt(check_integer("dim", dim, least=1))
    (axes,) = style.axes_of(ax)
    ends = np.array([np.quantile(p, (0.001, 0.999)) for parts in clouds.values() for p in parts])
    margin = 0.01 + 0.02 * float(np.ptp(ends))
    edges = np.linspace(ends.min() - margin, ends.max() + margin, _BINS + 1)
    if reach is not None:
        name = f"{_CENTRAL} of random pairs if isotropic"
        axes.axvspan(-reach, reach, color=style.ACCENT, alpha=0.25, linewidth=0, label=name)
    styles = ((style.GREY, random, "////", "--"), (style.AFTER, related, "", "-"))
    names = list(clouds)[::-1]
    shown: set[str] = set()
    for place, name in enumerate(names):
        tallest = max(_density(part, edges).max() for part in clouds[name])
        for part, (colour, label, hatch, line) in zip(clouds[name], styles, strict=False):
            x, heights = (edges[1:] + edges[:-1]) / 2, _density(part, edges)
            top = place + 0.85 * heights / tallest
            axes.fill_between(
                x,
                place,
                top,
                facecolor=colour,
                edgecolor=colour,
                alpha=0.3,
                hatch=hatch,
                linewidth=0,
                label=label if label not in shown else None,
            )
            shown.add(label)
            axes.plot(x, top, color=colour, linewidth=1.5, linestyle=line)
    axes.axvline(0.0, color=style.ink(), linewidth=0.8, zorder=0.5)
    style.label(axes, "", "cosine similarity")
    labels = ["\n".join(textwrap.wrap(name, 18, break_long_words=False)) for name in names]
    axes.set_yticks(np.arange(len(names)) + 0.3, labels, parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.05, len(names) - 0.05)
    axes.grid(False, axis="y")
    style.legend(axes)
    return axes


def _density(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Returns a histogram density that is smoothed over neighbouring bins."""
    heights = np.histogram(values, edges, density=True)[0]
    width = 2 if len(values) > 2000 else 4
    kernel = np.hanning(2 * width + 1)
    return np.convolve(heights, kernel / kernel.sum(), mode="same")
