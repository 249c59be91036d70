"""Figures of a two-dimensional flow: its density, and a grid that it transforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from flowjax.errors import FlowjaxError
from flowjax.evaluation.correlation import check_vectors
from flowjax.plots._style import AFTER, BEFORE, INK, colour_bar, dress, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Limits = tuple[tuple[float, float], tuple[float, float]]


def density_2d(
    log_prob: Callable[[np.ndarray], np.ndarray],
    *,
    points: np.ndarray | None = None,
    limits: Limits | None = None,
    resolution: int = 200,
    title: str | None = None,
) -> Figure:
    """Draws the density of a two-dimensional flow, with data points over it.

    Args:
        log_prob: function from float32 points `(n, 2)` to log-densities `(n,)` in nats, such as
            `lambda x: flow.log_prob(params, x)`.
        points: data points to draw, shape `(m, 2)`.
        limits: `((x_low, x_high), (y_low, y_high))`. None means the range of the points with a
            margin, or -4 to 4 if there are no points.
        resolution: number of grid points along each axis.
        title: title of the figure.

    Returns:
        The figure. The title of its panel contains the percentage of the probability mass within
        the limits.

    Raises:
        FlowjaxError: The points do not have shape `(m, 2)`, or `log_prob` returns NaN or another
            shape.

    Example:
        >>> gauss = lambda x: -0.5 * (x**2).sum(axis=1) - np.log(2 * np.pi)
        >>> density_2d(gauss, resolution=50).axes[0].get_title()
        '100.0 % of the probability mass shown'
    """
    points, limits = _plane(points, limits)
    x, y = (np.linspace(low, high, resolution) for low, high in limits)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2).astype(np.float32)
    logs = np.asarray(log_prob(grid), dtype=np.float64)
    if logs.shape != (len(grid),) or np.isnan(logs).any():
        got = f"{logs.shape} with {np.isnan(logs).sum()} NaN"
        raise FlowjaxError(f"log_prob: expected shape ({len(grid)},) without NaN, got {got}")
    density = np.exp(logs).reshape(resolution, resolution)
    mass = float(np.trapezoid(np.trapezoid(density, x, axis=1), y))
    figure, (axes,) = new_figure(size=(5.2, 4.6), title=title)
    drawn = axes.pcolormesh(x, y, density, cmap="cividis", shading="gouraud", rasterized=True)
    if points is not None:
        x, y = points.T
        axes.scatter(x, y, s=4, color="white", alpha=0.35, linewidths=0, rasterized=True)
    colour_bar(figure, drawn, axes, "density", shrink=0.85)
    axes.set_aspect("equal")
    axes.set(xlim=limits[0], ylim=limits[1])
    dress(axes, f"{100 * mass:.1f} % of the probability mass shown", "x₁", "x₂", grid=False)
    return figure


def warped_grid(
    forward: Callable[[np.ndarray], np.ndarray],
    *,
    points: np.ndarray | None = None,
    limits: Limits | None = None,
    lines: int = 21,
    resolution: int = 200,
    names: tuple[str, str] = ("data", "latent"),
    title: str | None = None,
) -> Figure:
    """Draws a square grid and its image under a transformation, in two panels.

    Args:
        forward: function from float32 points `(n, 2)` to points `(n, 2)`, such as
            `lambda x: flow.forward(params, x)[0]` (data to latent) or the inverse.
        points: data points, shape `(m, 2)`, drawn in the first panel, and their images in the
            second.
        limits: `((x_low, x_high), (y_low, y_high))` of the grid. None means the range of the
            points with a margin, or -4 to 4 if there are no points.
        lines: number of grid lines in each direction.
        resolution: number of points on a grid line.
        names: titles of the two panels.
        title: title of the figure.

    Returns:
        The figure.

    Raises:
        FlowjaxError: The points do not have shape `(m, 2)`, or `forward` returns values that are
            not finite or another shape.

    Example:
        >>> [axes.get_title() for axes in warped_grid(np.sinh, lines=3).axes]
        ['data', 'latent']
    """
    from matplotlib.collections import LineCollection

    points, limits = _plane(points, limits)
    x, y = (np.linspace(*ends, lines) for ends in limits)
    along_x, along_y = (np.linspace(*ends, resolution) for ends in limits)
    vertical = np.stack(np.meshgrid(x, along_y, indexing="ij"), axis=-1)
    horizontal = np.stack(np.meshgrid(along_x, y), axis=-1)
    curves = np.concatenate([vertical, horizontal])
    figure, axes = new_figure(1, 2, size=(4.6, 4.6), title=title)
    mapped = _apply(forward, curves.reshape(-1, 2)).reshape(curves.shape)
    images = None if points is None else _apply(forward, points)
    drawn = ((curves, points), (mapped, images))
    for panel, name, (grid, cloud) in zip(axes, names, drawn, strict=True):
        for family, colour in ((grid[:lines], AFTER), (grid[lines:], BEFORE)):
            look: dict[str, Any] = {"colors": colour, "linewidths": 0.9, "alpha": 0.55}
            panel.add_collection(LineCollection(list(family), **look))
        panel.autoscale_view()
        if cloud is not None:
            panel.scatter(
                cloud[:, 0], cloud[:, 1], s=8, color=INK, alpha=0.6, linewidths=0, zorder=3
            )
        panel.set_aspect("equal", adjustable="datalim")
        dress(panel, name, "first coordinate", "second coordinate", grid=False)
    return figure


def _apply(forward: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    z = np.asarray(forward(x.astype(np.float32)), dtype=np.float64)
    if z.shape != x.shape or not np.isfinite(z).all():
        got = f"{z.shape} with {(~np.isfinite(z)).sum()} values that are not finite"
        raise FlowjaxError(f"forward: expected finite values of shape {x.shape}, got {got}")
    return z


def _plane(points: np.ndarray | None, limits: Limits | None) -> tuple[np.ndarray | None, Limits]:
    """Returns the checked points and the limits; the default is a square around the points."""
    if points is None:
        return None, limits or ((-4.0, 4.0), (-4.0, 4.0))
    points = check_vectors("points", points)
    if points.shape[1] != 2:
        raise FlowjaxError(f"points: expected shape (n, 2), got {points.shape}")
    low, high = points.min(axis=0), points.max(axis=0)
    x, y = ((low + high) / 2).tolist()
    reach = 0.6 * max(float((high - low).max()), 1e-6)
    return points, limits or ((x - reach, x + reach), (y - reach, y + reach))
