"""The shape of a cloud of vectors before and after: projection, spectrum, nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flowjax.evaluation.correlation import check_vectors
from flowjax.evaluation.isotropy import singular_spectrum
from flowjax.plots._style import (
    AFTER,
    BEFORE,
    INK,
    NAMES,
    SOFT,
    dress,
    legend,
    new_figure,
    pair_of_names,
    sample,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def projection_2d(
    before: np.ndarray,
    after: np.ndarray,
    *,
    values: np.ndarray | None = None,
    label: str = "",
    names: Sequence[str] = NAMES,
    title: str | None = None,
) -> Figure:
    """Each cloud on the plane of its two largest principal components.

    Both axes of a panel have one scale; a cross marks where the origin falls. The share of the
    variance that each axis holds is in its label.

    Args:
        before: ``(n, d)`` plain vectors.
        after: ``(n, e)`` calibrated vectors.
        values: ``(n,)`` numbers that colour the points, such as sentence lengths.
        label: What the values are.
        names: What the two panels are called.
        title: Above both.

    Returns:
        The figure.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(50, 3))
        >>> [axes.get_title() for axes in projection_2d(x, x, names=("BERT", "flow")).axes]
        ['BERT', 'flow']
    """
    figure, axes = new_figure(1, 2, size=(4.6, 4.4), title=title)
    clouds = (check_vectors("before", before), check_vectors("after", after))
    if values is not None:
        values = sample("values", values, len(clouds[0]))
    states = zip(pair_of_names(names), clouds, (BEFORE, AFTER), strict=True)
    for panel, (name, x, colour) in zip(axes, states, strict=True):
        points, origin, shares = _principal_plane(name, x)
        look: dict[str, Any] = {"color": colour} if values is None else {"c": values}
        if values is not None:
            low, high = np.quantile(values, [0.02, 0.98])
            look |= {"cmap": "cividis", "vmin": low, "vmax": high}
        alpha = float(np.clip(20.0 / np.sqrt(len(x)), 0.2, 0.9))
        drawn = panel.scatter(
            points[:, 0], points[:, 1], s=9, alpha=alpha, linewidths=0, rasterized=True, **look
        )
        _mark_origin(panel, *origin.tolist())
        panel.set_aspect("equal", adjustable="datalim")
        dress(panel, name, *(f"PC {i + 1} ({100 * s:.0f} % of variance)" for i, s in shares))
    if values is not None:
        bar = figure.colorbar(drawn, ax=axes, shrink=0.8, pad=0.02)
        bar.set_label(label, fontsize=10, color=INK)
        if bar.solids is not None:
            bar.solids.set_alpha(1.0)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=9, colors=SOFT)
    return figure


def spectrum(
    before: np.ndarray,
    after: np.ndarray,
    *,
    names: Sequence[str] = NAMES,
    title: str | None = None,
) -> Figure:
    """Eigenvalues of the covariance over their mean, on a log scale; an isotropic cloud is flat.

    Args:
        before: ``(n, d)`` plain vectors.
        after: ``(m, e)`` calibrated vectors.
        names: What the two are called.
        title: Above.

    Returns:
        The figure.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(50, 3))
        >>> spectrum(x * [9.0, 1.0, 0.1], x).axes[0].get_yscale()
        'log'
    """
    figure, (axes,) = new_figure(size=(6.4, 3.9), title=title)
    states = zip(pair_of_names(names), (before, after), (BEFORE, AFTER), strict=True)
    for name, vectors, colour in states:
        eigenvalues = np.square(singular_spectrum(vectors))
        if eigenvalues[0] == 0.0:
            raise ValueError(f"{name}: expected vectors that differ, got all rows equal")
        share = 100.0 * eigenvalues[0] / eigenvalues.sum()
        # Rounding leaves tiny values where there is no variance: off the scale, not on it.
        relative = eigenvalues / eigenvalues.mean()
        relative[eigenvalues < 1e-12 * eigenvalues[0]] = np.nan
        axes.plot(
            np.arange(1, len(relative) + 1),
            relative,
            color=colour,
            linewidth=2,
            label=f"{name}: the first holds {share:.1f} % of the variance",
        )
    axes.axhline(1.0, color=SOFT, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    axes.set_yscale("log")
    dress(axes, "", "eigenvalue of the covariance, by size", "eigenvalue / mean eigenvalue")
    legend(axes)
    return figure


def nearest_neighbours(
    sentences: Sequence[str],
    before: np.ndarray,
    after: np.ndarray,
    queries: Sequence[int],
    *,
    k: int = 3,
    names: Sequence[str] = NAMES,
) -> list[dict[str, Any]]:
    """Nearest sentences by cosine before and after: the data of a table.

    Args:
        sentences: n sentences, each with a row in both sets of vectors. Repeats of a query, or
            of a neighbour already listed, are passed over.
        before: ``(n, d)`` plain vectors, no row of zeros.
        after: ``(n, e)`` calibrated vectors, no row of zeros.
        queries: Places of the sentences to look up.
        k: How many neighbours.
        names: What the two are called.

    Returns:
        One dict for each query: ``query`` and, under each name, up to k pairs of a sentence and
        its cosine.

    Example:
        >>> x = np.array([[1.0, 0.0], [1.0, 0.2], [0.0, 1.0]])
        >>> table = nearest_neighbours(["a", "b", "c"], x, -x, [0], k=1, names=("x", "y"))
        >>> table[0]["query"], table[0]["x"][0][0], table[0]["y"][0][0]
        ('a', 'b', 'b')
    """
    rows: list[dict[str, Any]] = [{"query": sentences[i]} for i in queries]
    for name, vectors in zip(pair_of_names(names), (before, after), strict=True):
        x = check_vectors(name, vectors)
        if len(x) != len(sentences):
            raise ValueError(f"{name}: expected {len(sentences)} rows, got shape {x.shape}")
        norms = np.linalg.norm(x, axis=1, keepdims=True)
        if (norms == 0.0).any():
            raise ValueError(f"{name}: expected no row of zeros, got {(norms == 0.0).sum()}")
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
    axes.plot(x, y, marker="+", markersize=13, markeredgewidth=2, color=INK, path_effects=halo)
    text = axes.annotate("origin", (x, y), (8, 7), textcoords="offset points", fontsize=9.5)
    text.set(color=INK, path_effects=halo)


def _principal_plane(
    name: str, x: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[tuple[int, float]]]:
    """Centred points ``(n, 2)``, where the origin falls, and each axis' share of variance."""
    if min(x.shape) < 2:
        raise ValueError(f"{name}: expected at least 2 rows and dimensions, got shape {x.shape}")
    mean = x.mean(axis=0)
    values, columns = np.linalg.eigh((x - mean).T @ (x - mean))
    plane = columns[:, [-1, -2]]
    if values[-1] <= 0.0:
        raise ValueError(f"{name}: expected vectors that differ, got all rows equal")
    shares = np.maximum(values[[-1, -2]], 0.0) / values.sum()
    return (x - mean) @ plane, -mean @ plane, list(enumerate(shares.tolist()))
