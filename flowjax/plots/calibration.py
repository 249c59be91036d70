"""Figures of a check: cosines of random and related pairs, retrieval by power, spectra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flowjax.errors import FlowjaxError
from flowjax.plots import _style as style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BINS = 70
_MARKERS = ("o", "s", "^", "D")
_LINES = ("-", (0, (5, 2)), (0, (2, 1.5)), (0, (6, 2, 1, 2)), (0, (1, 1)), "-")


def pair_cosines(
    cosines: Mapping[str, tuple[np.ndarray, np.ndarray | None]],
    *,
    related: str = "related pairs",
    title: str | None = None,
) -> Figure:
    """Draws the distributions of the cosines of random pairs and of related pairs.

    Each kind of vectors has its own row on a common axis. The less the two distributions of a row
    overlap, the better the cosine tells related from random pairs.

    Args:
        cosines: for each kind of vectors: cosines of random pairs, shape (n,), and of related
            pairs, shape (m,), or None.
        related: name of the related pairs in the legend.
        title: title of the figure.

    Returns:
        The figure.

    Raises:
        FlowjaxError: There are no vectors, or a value is not finite.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> one = rng.normal(0.5, 0.1, 500), rng.normal(0.7, 0.1, 100)
        >>> figure = pair_cosines({"plain": one, "whitening": one})
        >>> [text.get_text() for text in figure.axes[0].get_yticklabels()]
        ['whitening', 'plain']
    """
    if not cosines:
        raise FlowjaxError("cosines: expected at least one kind of vectors, got none")
    figure, (axes,) = style.new_figure(size=(5.0, 1.1 + 0.62 * len(cosines)), title=title)
    clouds = {
        name: [style.sample(name, part) for part in parts if part is not None]
        for name, parts in cosines.items()
    }
    ends = np.array([np.quantile(p, (0.001, 0.999)) for parts in clouds.values() for p in parts])
    edges = np.linspace(ends.min() - 0.01, ends.max() + 0.01, _BINS + 1)
    middle = (edges[1:] + edges[:-1]) / 2
    looks = ((style.SOFT, "random pairs", "//"), (style.AFTER, related, ""))
    names = list(clouds)[::-1]
    for place, name in enumerate(names):
        for part, (colour, label, hatch) in zip(clouds[name], looks, strict=False):
            heights = _density(part, edges)
            top = place + 0.85 * heights / max(_density(p, edges).max() for p in clouds[name])
            axes.fill_between(
                middle,
                place,
                top,
                facecolor=colour,
                edgecolor=colour,
                alpha=0.3,
                hatch=hatch,
                linewidth=0,
                label=label if place == 0 else None,
            )
            axes.plot(middle, top, color=colour, linewidth=1.4)
    style.dress(axes, "", "cosine similarity")
    axes.set_yticks(np.arange(len(names)) + 0.25, names, parse_math=False)
    axes.tick_params(axis="y", length=0, labelcolor=style.INK)
    axes.set_ylim(-0.05, len(names) + 0.05)
    axes.grid(False, axis="y")
    axes.axvline(0.0, color=style.SOFT, linewidth=1, linestyle=(0, (4, 3)), zorder=0.5)
    style.legend(axes, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return figure


def gain_by_power(
    powers: Mapping[str, Sequence[float]],
    gains: Mapping[str, np.ndarray],
    *,
    fixed: Mapping[str, Sequence[float]] | None = None,
    title: str | None = None,
) -> Figure:
    """Draws the gain of a calibration over plain vectors against its power.

    The bands and bars are intervals. A calibration whose interval lies above the line at 0 is
    better than plain vectors.

    Args:
        powers: powers of each recipe, such as `{"whitening": [0.25, 0.5]}`.
        gains: for each recipe: gain in percent, and lower and upper end of its interval, at each
            power, shape (k, 3).
        fixed: gain, lower and upper end of vectors without a power, by name; or None.
        title: title of the figure.

    Returns:
        The figure.

    Raises:
        FlowjaxError: Shapes differ, or a value is not finite.

    Example:
        >>> gains = np.array([[1.0, 0.5, 1.5], [2.0, 1.5, 2.5]])
        >>> figure = gain_by_power({"whitening": [0.5, 1]}, {"whitening": gains})
        >>> figure.axes[0].get_xlabel()
        'power of the calibration'
    """
    figure, (axes,) = style.new_figure(size=(5.0, 3.7), title=title)
    fixed = fixed or {}
    colours = (style.AFTER, style.GREEN, *style.CYCLE[3:])
    for (name, xs), colour, marker, line in zip(
        powers.items(), colours, _MARKERS, _LINES, strict=False
    ):
        flat = style.sample(name, np.ravel(gains[name]), 3 * len(xs)).reshape(-1, 3)
        axes.fill_between(xs, flat[:, 1], flat[:, 2], color=colour, alpha=0.18, linewidth=0)
        axes.plot(xs, flat[:, 0], color=colour, marker=marker, linestyle=line, label=name)
    for i, (name, values) in enumerate(fixed.items()):
        middle, low, high = style.sample(name, values, 3)
        place = -0.14 - 0.1 * (len(fixed) - 1 - i)
        bar = [[max(middle - low, 0.0)], [max(high - middle, 0.0)]]
        look: dict[str, Any] = {"color": style.BEFORE, "marker": _MARKERS[-1 - i % 4]}
        axes.errorbar([place], [middle], bar, linestyle="", capsize=3, label=name, **look)
    axes.axhline(0.0, color=style.INK, linewidth=1.2)
    axes.annotate(
        "plain vectors",
        (1.0, 0.0),
        (-2, 3),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
        fontsize=9,
        color=style.INK,
    )
    style.dress(axes, "", "power of the calibration", "gain over plain vectors, %")
    axes.set_xticks(sorted({float(x) for xs in powers.values() for x in xs}))
    style.legend(axes, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return figure


def spectra(
    eigenvalues: Mapping[str, np.ndarray],
    band: tuple[np.ndarray, np.ndarray],
    *,
    title: str | None = None,
) -> Figure:
    """Draws eigenvalues of covariances, with those of samples of an exact Gaussian.

    The eigenvalues of a finite sample differ even if all directions have the same variance, so no
    curve can be flatter than the band of the Gaussian samples.

    Args:
        eigenvalues: eigenvalues divided by their mean, in descending order, shape (k,), for each
            kind of vectors.
        band: lowest and highest eigenvalues of the Gaussian samples, by rank, shape (k,) each.
        title: title of the figure.

    Returns:
        The figure.

    Raises:
        FlowjaxError: A value is not finite.

    Example:
        >>> flat = np.ones(5)
        >>> figure = spectra({"plain": np.array([3.0, 1, 0.5, 0.3, 0.2])}, (flat, flat))
        >>> figure.axes[0].get_yscale()
        'log'
    """
    figure, (axes,) = style.new_figure(size=(5.0, 3.7), title=title)
    low, high = (style.sample("band", side) for side in band)
    ranks = np.arange(len(low)) + 1
    axes.fill_between(
        ranks,
        low * 0.94,
        high * 1.06,
        color=style.SOFT,
        alpha=0.45,
        linewidth=0,
        label="exact Gaussian, same size",
    )
    colours = (style.BEFORE, style.ACCENT, style.AFTER, style.GREEN, "#CC79A7", "#56B4E9")
    floor = np.inf
    for (name, values), colour, line in zip(eigenvalues.items(), colours, _LINES, strict=False):
        values = style.sample(name, values).copy()
        # Eigenvalues of directions without variance are rounding errors and are not drawn.
        values[values < 1e-9 * values[0]] = np.nan
        floor = min(floor, float(np.nanquantile(values, 0.03)))
        axes.plot(
            np.arange(len(values)) + 1, values, color=colour, linestyle=line, label=name, lw=1.8
        )
    axes.set_yscale("log")
    axes.set_ylim(bottom=max(floor, 1e-6) * 0.5)
    style.dress(axes, "", "eigenvalue of the covariance, by size", "eigenvalue / mean eigenvalue")
    style.legend(axes, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return figure


def _density(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Returns a histogram density that is smoothed over neighbouring bins."""
    heights = np.histogram(values, edges, density=True)[0]
    width = 2 if len(values) > 2000 else 4
    kernel = np.hanning(2 * width + 1)
    return np.convolve(heights, kernel / kernel.sum(), mode="same")
