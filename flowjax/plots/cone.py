"""Cone figure: vectors seen from the side, with the origin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flowjax.errors import FlowjaxError
from flowjax.evaluation.correlation import check_vectors
from flowjax.plots import _style as style

# Maximum number of points of a panel.
_POINTS = 3000


def cone(
    vectors: Mapping[str, np.ndarray], *, kinds: Sequence[str] = (), ax: Any = None
) -> np.ndarray:
    r"""Draws vectors in the plane of their mean and the widest direction orthogonal to it.

    The mean is not subtracted. If the vectors lie in a narrow cone, the cloud is far from the
    origin, and the cosine of any two vectors is high. Each panel has one scale for both axes.

    Args:
        vectors: vectors, shape `(n, d)`, for each kind, such as `{"plain": x, "flow": z}`.
        kinds: all kinds of vectors of a group of figures, so that each kind has the same colour
            in all of them. By default the kinds in `vectors`.
        ax: Axes to draw on, one per kind; None makes a figure.

    Returns:
        The Axes, shape (kinds,).

    Raises:
        FlowjaxError: There are fewer than two rows or dimensions, all rows are equal, or a value
            is not finite.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(50, 3))
        >>> [ax.get_title() for ax in cone({"plain": x + 9, "centred": x - x.mean(axis=0)})]
        ['plain\nmean cosine of all pairs 0.99', 'centred\nmean cosine of all pairs -0.02']
    """
    clouds = {n: check_vectors(n, x) for n, x in style.check_kinds("vectors", vectors).items()}
    planes = {name: mean_plane(name, x) for name, x in clouds.items()}
    panels = style.axes_of(ax, len(clouds), height=0.9)
    looks = style.looks(dict.fromkeys([*kinds, *clouds]))
    for axes, (name, points) in zip(panels, planes.items(), strict=True):
        colour = looks[name].color
        some = np.random.default_rng(0).permutation(len(points))[:_POINTS]
        alpha = float(np.clip(20.0 / np.sqrt(len(some)), 0.2, 0.9))
        x, y = points[some].T
        axes.scatter(x, y, s=8, color=colour, alpha=alpha, linewidths=0, rasterized=True)
        _mark_origin(axes)
        title = f"{name}\nmean cosine of all pairs {mean_cosine(clouds[name]):z.2f}"
        style.label(axes, title, "along the mean vector", "across: widest other direction")
    return style.row_of_axes(panels)


def mean_plane(name: str, x: np.ndarray) -> np.ndarray:
    """Returns the coordinates of vectors along their mean and along the widest direction across.

    Args:
        name: name of the vectors in error messages.
        x: vectors, shape (n, d). If their mean is 0, the first axis is the widest direction.

    Returns:
        Coordinates, shape (n, 2). The origin of the vectors is at (0, 0).
    """
    if min(x.shape) < 2:
        raise FlowjaxError(f"{name}: expected at least 2 rows and dimensions, got shape {x.shape}")
    mean = x.mean(axis=0)
    if (x == x[0]).all():
        raise FlowjaxError(f"{name}: expected different rows, got all rows equal")
    norm = np.linalg.norm(mean)
    centred = norm <= 1e-9 * np.sqrt(np.square(x).mean())
    first = _widest(x) if centred else mean / norm
    along = x @ first
    rest = x - along[:, None] * first
    return np.stack([along, rest @ _widest(rest)], axis=1)


def _widest(x: np.ndarray) -> np.ndarray:
    """Returns the direction with the largest sum of squares, with a fixed sign."""
    direction = np.linalg.eigh(x.T @ x)[1][:, -1]
    return np.asarray(direction * np.sign(direction[np.argmax(np.abs(direction))]))


def mean_cosine(x: np.ndarray) -> float:
    """Returns the mean cosine of all pairs of rows; a row of zeros has cosine 0."""
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    unit = x / np.where(norms == 0, 1.0, norms)
    n = len(x)
    return float((np.square(unit.sum(axis=0)).sum() - np.square(unit).sum()) / (n * (n - 1)))


def _mark_origin(axes: Any) -> None:
    from matplotlib.patheffects import withStroke

    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.1)
    halo = [withStroke(linewidth=3, foreground=axes.get_facecolor())]
    axes.plot(0, 0, "+", markersize=13, markeredgewidth=2.2, color=style.ink(), path_effects=halo)
    text = axes.annotate("origin", (0, 0), (0, -16), textcoords="offset points", ha="center")
    text.set(path_effects=halo, fontweight="bold")
