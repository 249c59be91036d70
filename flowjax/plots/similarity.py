"""Figures of cosine similarity before and after calibration, with gold scores or edit distance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flowjax.evaluation.correlation import average_ranks, spearman
from flowjax.plots import _style as style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def similarity_scatter(
    gold: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    *,
    names: Sequence[str] = style.NAMES,
    title: str | None = None,
) -> Figure:
    """Draws cosine similarity against gold scores, with Spearman x 100 in the panel titles.

    Both panels share the y axis, so that vectors in a narrow cone (all cosines near 1) are
    visible. The line is the mean cosine in eight equal ranges of the gold score. Points are
    shifted horizontally by up to 1 % of the range, because many gold scores are equal.

    Args:
        gold: gold scores of the pairs, shape `(n,)`.
        before: cosines of the plain vectors, shape `(n,)`.
        after: cosines of the calibrated vectors, shape `(n,)`.
        names: titles of the two panels.
        title: title of the figure.

    Returns:
        The figure.

    Raises:
        FlowjaxError: Shapes differ, or a value is not finite.

    Example:
        >>> g = np.arange(10.0)
        >>> figure = similarity_scatter(g, np.sqrt(g), g)
        >>> figure.axes[1].get_title()
        'flow: Spearman 100.0'
    """
    gold = style.sample("gold", gold)
    figure, axes = style.new_figure(1, 2, share_y=True, title=title)
    shift = 0.01 * np.ptp(gold) * np.random.default_rng(7).uniform(-1, 1, gold.size)
    edges = np.linspace(gold.min(), gold.max(), 9)
    states = style.states(names, before, after)
    for panel, (name, values, colour) in zip(axes, states, strict=True):
        cosines = style.sample(name, values, gold.size)
        _cloud(panel, gold, cosines, colour, edges, shift)
        rho = 100.0 * spearman(cosines, gold, (name, "gold"))
        style.dress(panel, f"{name}: Spearman {rho:.1f}", "gold score")
    axes[0].set_ylabel("cosine similarity", fontsize=10, color=style.INK)
    return figure


def cosine_histogram(
    before: np.ndarray,
    after: np.ndarray,
    *,
    names: Sequence[str] = style.NAMES,
    of: str = "random pairs",
    title: str | None = None,
) -> Figure:
    """Draws histograms of cosine similarity before and after calibration, with their means.

    Args:
        before: cosines of the plain vectors, shape `(n,)`.
        after: cosines of the calibrated vectors, shape `(m,)`.
        names: names of the two histograms.
        of: kind of pairs, for the label of the x axis.
        title: title of the figure.

    Returns:
        The figure.

    Raises:
        FlowjaxError: A value is not finite.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> figure = cosine_histogram(rng.uniform(0.7, 1, 99), rng.uniform(-0.3, 0.3, 99))
        >>> figure.axes[0].get_xlabel()
        'cosine similarity of random pairs'
    """
    figure, (axes,) = style.new_figure(size=(6.4, 3.9), title=title)
    before, after = style.sample("before", before), style.sample("after", after)
    low, high = min(before.min(), after.min()), max(before.max(), after.max())
    edges = np.linspace(low, high if high > low else low + 1.0, 61).tolist()
    for name, values, colour in style.states(names, before, after):
        label = f"{name}: mean {values.mean():.2f}, sd {values.std():.2f}"
        share = np.full(values.size, 100.0 / values.size)
        heights, _, _ = axes.hist(values, edges, weights=share, color=colour, alpha=0.35)
        axes.hist(
            values, edges, weights=share, histtype="step", color=colour, linewidth=1.5, label=label
        )
        stem = (0.0, float(np.max(heights)))
        axes.plot([values.mean()] * 2, stem, color=colour, linewidth=1.3, linestyle=(0, (4, 3)))
    style.dress(axes, "", f"cosine similarity of {of}", "% of pairs")
    axes.set_ylim(top=axes.get_ylim()[1] * 1.22)  # room for the legend above the bars
    style.legend(axes, loc="upper center", ncols=2)
    return figure


def lexical_scatter(
    distances: np.ndarray,
    measures: Mapping[str, np.ndarray],
    *,
    title: str | None = None,
) -> Figure:
    """Draws gold scores and similarities against edit distance, one panel per measure.

    If a similarity decreases with edit distance more strongly than the gold scores, it depends on
    spelling. The y axis is the rank in percent, so that the panels are comparable.

    Args:
        distances: edit distances of the pairs, shape `(n,)`.
        measures: dict from names, such as gold, plain and flow, to values, shape `(n,)` each.
        title: title of the figure.

    Returns:
        The figure.

    Raises:
        FlowjaxError: Shapes differ, or a value is not finite.

    References:
        Figure 2 of BERT-flow, https://arxiv.org/abs/2011.05864.

    Example:
        >>> figure = lexical_scatter([1, 2, 3], {"gold": [5, 4, 1], "plain": [0.9, 0.7, 0.8]})
        >>> [axes.get_title() for axes in figure.axes]
        ['gold: Spearman -100.0', 'plain: Spearman -50.0']
    """
    distances = style.sample("distances", distances)
    figure, axes = style.new_figure(1, len(measures), size=(3.9, 3.7), share_y=True, title=title)
    colours = (
        style.GREEN,
        style.BEFORE,
        style.AFTER,
        *style.CYCLE[3:],
    )  # gold, plain, flow: as in the other figures
    for panel, (name, given), colour in zip(axes, measures.items(), colours, strict=False):
        values = style.sample(name, given, distances.size)
        percent = 100.0 * (average_ranks(values) - 0.5) / values.size
        edges = np.quantile(distances, np.linspace(0, 1, 9))
        _cloud(panel, distances, percent, colour, edges)
        rho = 100.0 * spearman(distances, values, ("distances", name))
        style.dress(panel, f"{name}: Spearman {rho:.1f}", "edit distance")
        # The axis ends at the 99th percentile, because a few sentences are very long.
        far = np.quantile(distances, 0.99)
        panel.set_xlim(-0.02 * far, far * 1.02)
    axes[0].set_ylabel("rank in percent", fontsize=10, color=style.INK)
    return figure


def _cloud(
    axes: Axes, x: np.ndarray, y: np.ndarray, colour: str, edges: np.ndarray, shift: Any = 0.0
) -> None:
    """Draws points, and a line of the mean of `y` in each interval between `edges`.

    Larger numbers of points are drawn smaller and more transparent.
    """
    alpha = float(np.clip(12.0 / np.sqrt(x.size), 0.12, 0.8))
    area = float(np.clip(600.0 / np.sqrt(x.size), 5.0, 26.0))
    axes.scatter(x + shift, y, s=area, color=colour, alpha=alpha, linewidths=0, rasterized=True)
    place = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(edges) - 2)
    means = [(x[place == i].mean(), y[place == i].mean()) for i in np.unique(place)]
    axes.plot(*np.transpose(means), color=style.INK, linewidth=1.8, marker="o", markersize=4)
