"""Figures of vectors before and after calibration: projection, spectrum, nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flowjax.errors import FlowjaxError
from flowjax.evaluation.correlation import check_vectors
from flowjax.evaluation.isotropy import singular_spectrum
from flowjax.plots import _style as style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def projection_2d(
    before: np.ndarray,
    after: np.ndarray,
    *,
    values: np.ndarray | None = None,
    label: str = "",
    names: Sequence[str] = style.NAMES,
    title: str | None = None,
) -> Figure:
    """Draws vectors on their first two principal components, before and after calibration.

    Both axes of a panel have the same scale, and a cross marks the projected origin. The label of
    an axis contains the percentage of variance that its component explains.

    Args:
        before: plain vectors, shape `(n, d)`.
        after: calibrated vectors, shape `(n, e)`.
        values: values that colour the points, such as sentence lengths, shape `(n,)`.
        label: label of the colour bar.
        names: titles of the two panels.
        title: title of the figure.

    Returns:
        The figure.

    Raises:
        FlowjaxError: There are fewer than two rows or dimensions, all rows are equal, or a value
            is not finite.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(50, 3))
        >>> [axes.get_title() for axes in projection_2d(x, x, names=("BERT", "flow")).axes]
        ['BERT', 'flow']
    """
    figure, axes = style.new_figure(1, 2, size=(4.6, 4.4), title=title)
    clouds = (check_vectors("before", before), check_vectors("after", after))
    if values is not None:
        values = style.sample("values", values, len(clouds[0]))
    for panel, (name, x, colour) in zip(axes, style.states(names, *clouds), strict=True):
        points, origin, shares = _principal_plane(name, x)
        look: dict[str, Any] = {"color": colour}
        if values is not None:
            low, high = np.quantile(values, [0.02, 0.98])
            look = {"c": values, "cmap": "cividis", "vmin": low, "vmax": high}
        look["alpha"] = float(np.clip(20.0 / np.sqrt(len(x)), 0.2, 0.9))
        x1, x2 = points.T
        drawn = panel.scatter(x1, x2, s=9, linewidths=0, rasterized=True, **look)
        _mark_origin(panel, *origin.tolist())
        panel.set_aspect("equal", adjustable="datalim")
        style.dress(panel, name, *(f"PC {i + 1} ({100 * s:.0f} % of variance)" for i, s in shares))
    if values is not None:
        style.colour_bar(figure, drawn, axes, label, shrink=0.8)
    return figure


def spectrum(
    before: np.ndarray,
    after: np.ndarray,
    *,
    names: Sequence[str] = style.NAMES,
    title: str | None = None,
) -> Figure:
    """Draws the eigenvalues of the covariance, divided by their mean, on a logarithmic scale.

    The curve of isotropic vectors is flat.

    Args:
        before: plain vectors, shape `(n, d)`.
        after: calibrated vectors, shape `(m, e)`.
        names: names of the two curves.
        title: title of the figure.

    Returns:
        The figure.

    Raises:
        FlowjaxError: All rows are equal.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(50, 3))
        >>> spectrum(x * [9.0, 1.0, 0.1], x).axes[0].get_yscale()
        'log'
    """
    figure, (axes,) = style.new_figure(size=(6.4, 3.9), title=title)
    for name, vectors, colour in style.states(names, before, after):
        eigenvalues = np.square(singular_spectrum(vectors))
        if eigenvalues[0] == 0.0:
            raise FlowjaxError(f"{name}: expected different rows, got all rows equal")
        share = 100.0 * eigenvalues[0] / eigenvalues.sum()
        # Eigenvalues of directions without variance are rounding errors and are not drawn.
        relative = eigenvalues / eigenvalues.mean()
        relative[eigenvalues < 1e-12 * eigenvalues[0]] = np.nan
        label = f"{name}: first component {share:.1f} % of variance"
        axes.plot(np.arange(len(relative)) + 1, relative, color=colour, linewidth=2, label=label)
    axes.axhline(1.0, color=style.SOFT, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    axes.set_yscale("log")
    style.dress(axes, "", "eigenvalue of the covariance, by size", "eigenvalue / mean eigenvalue")
    style.legend(axes)
    return figure


def nearest_neighbours(
    sentences: Sequence[str],
    before: np.ndarray,
    after: np.ndarray,
    queries: Sequence[int],
    *,
    k: int = 3,
    names: Sequence[str] = style.NAMES,
) -> list[dict[str, Any]]:
    """Returns the nearest sentences by cosine similarity, before and after calibration.

    Args:
        sentences: n sentences. Duplicates of the query, and duplicates of neighbours that are
            already in the list, are skipped.
        before: plain vectors, shape `(n, d)`, without zero rows.
        after: calibrated vectors, shape `(n, e)`, without zero rows.
        queries: indices of the query sentences.
        k: number of neighbours.
        names: keys of the two lists in the result.

    Returns:
        A dict for each query: `query`, and under each name up to k tuples `(sentence, cosine)`,
        nearest first.

    Raises:
        FlowjaxError: The vectors do not have n rows, or a row is zero.

    Example:
        >>> x = np.array([[1.0, 0.0], [1.0, 0.2], [0.0, 1.0]])
        >>> table = nearest_neighbours(["a", "b", "c"], x, -x, [0], k=1, names=("x", "y"))
        >>> table[0]["query"], table[0]["x"][0][0], table[0]["y"][0][0]
        ('a', 'b', 'b')
    """
    rows: list[dict[str, Any]] = [{"query": sentences[i]} for i in queries]
    for name, vectors, _ in style.states(names, before, after):
        x = check_vectors(name, vectors)
        if len(x) != len(sentences):
            raise FlowjaxError(f"{name}: expected {len(sentences)} rows, got shape {x.shape}")
        norms = np.linalg.norm(x, axis=1, keepdims=True)
        if (norms == 0.0).any():
            raise FlowjaxError(f"{name}: expected no zero rows, got {(norms == 0.0).sum()}")
        x = x / norms
        for row, i in zip(rows, queries, strict=True):
            cosines = x @ x[i]
            found: dict[str, float] = {}
            for j in np.argsort(-cosines, kind="stable"):
                if len(found) == k:
                    break
                if sentences[j] != sentences[i]:
                    found.setdefault(sentences[j], float(cosines[j]))
            row[name] = list(found.items())
    return rows


def _mark_origin(axes: Axes, x: float, y: float) -> None:
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=3, foreground="white")]
    axes.plot(
        x, y, marker="+", markersize=13, markeredgewidth=2, color=style.INK, path_effects=halo
    )
    text = axes.annotate("origin", (x, y), (8, 7), textcoords="offset points", fontsize=9.5)
    text.set(color=style.INK, path_effects=halo)


def _principal_plane(
    name: str, x: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[tuple[int, float]]]:
    """Returns the projection of vectors to their first two principal components.

    Returns:
        The centred points, shape `(n, 2)`, the projected origin, shape `(2,)`, and
        `(index, variance fraction)` of each component.
    """
    if min(x.shape) < 2:
        raise FlowjaxError(f"{name}: expected at least 2 rows and dimensions, got shape {x.shape}")
    mean = x.mean(axis=0)
    values, columns = np.linalg.eigh((x - mean).T @ (x - mean))
    plane = columns[:, [-1, -2]]
    if values[-1] <= 0.0:
        raise FlowjaxError(f"{name}: expected different rows, got all rows equal")
    shares = np.maximum(values[[-1, -2]], 0.0) / values.sum()
    return (x - mean) @ plane, -mean @ plane, list(enumerate(shares.tolist()))
