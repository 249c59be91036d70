"""Pictures of a flow on the plane: its density, and how it bends a grid."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from flowjax.evaluation.correlation import check_vectors
from flowjax.plots._style import AFTER, BEFORE, INK, SOFT, dress, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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
    """The density of a 2-D flow, with data points over it.

    Args:
        log_prob: From ``(n, 2)`` float32 points to ``(n,)`` log-densities in nats, such as
            ``lambda x: flow.log_prob(params, x)``.
        points: ``(m, 2)`` data to draw; also set the limits when none are given.
        limits: ``((x_low, x_high), (y_low, y_high))``; -4 to 4 without points.
        resolution: Grid points each way.
        title: Above.

    Returns:
        The figure; its panel's title has the share of the mass that lies within the limits.

    Example:
        >>> gauss = lambda x: -0.5 * (x**2).sum(axis=1) - np.log(2 * np.pi)
        >>> density_2d(gauss, resolution=50).axes[0].get_title()
        '100.0 % of the mass is in the picture'
    """
    points = None if points is None else _plane("points", points)
    limits = limits or _limits(points)
    x, y = (np.linspace(low, high, resolution) for low, high in limits)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2).astype(np.float32)
    logs = np.asarray(log_prob(grid), dtype=np.float64)
    if logs.shape != (len(grid),) or np.isnan(logs).any():
        raise ValueError(
            f"log_prob: expected ({len(grid)},) numbers, got shape {logs.shape} with "
            f"{np.isnan(logs).sum()} NaN"
        )
    density = np.exp(logs).reshape(resolution, resolution)
    mass = float(np.trapezoid(np.trapezoid(density, x, axis=1), y))
    figure, (axes,) = new_figure(size=(5.2, 4.6), title=title)
    drawn = axes.pcolormesh(x, y, density, cmap="cividis", shading="gouraud", rasterized=True)
    if points is not None:
        axes.scatter(
            points[:, 0],
            points[:, 1],
            s=4,
            color="white",
            alpha=0.35,
            linewidths=0,
            rasterized=True,
        )
    bar = figure.colorbar(drawn, ax=axes, shrink=0.85, pad=0.02)
    bar.set_label("density", fontsize=10)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=9, colors=SOFT)
    axes.set_aspect("equal")
    axes.set(xlim=limits[0], ylim=limits[1])
    dress(axes, f"{100 * mass:.1f} % of the mass is in the picture", "x₁", "x₂", grid=False)
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
    """A square grid of the plane and what a map makes of it; data go along.

    Args:
        forward: From ``(n, 2)`` float32 points to ``(n, 2)``, such as
            ``lambda x: flow.forward(params, x)[0]`` (data to latent) or the inverse.
        points: ``(m, 2)`` data drawn in both panels; also set the limits when none are given.
        limits: ``((x_low, x_high), (y_low, y_high))`` of the grid; -4 to 4 without points.
        lines: Grid lines each way.
        resolution: Points along a line.
        names: What the two panels are called.
        title: Above both.

    Returns:
        The figure.

    Example:
        >>> [axes.get_title() for axes in warped_grid(np.sinh, lines=3).axes]
        ['data', 'latent']
    """
    points = None if points is None else _plane("points", points)
    (x_low, x_high), (y_low, y_high) = limits or _limits(points)
    along_x = np.linspace(x_low, x_high, resolution)
    along_y = np.linspace(y_low, y_high, resolution)
    upright = [
        np.column_stack([np.full(resolution, x), along_y])
        for x in np.linspace(x_low, x_high, lines)
    ]
    level = [
        np.column_stack([along_x, np.full(resolution, y)])
        for y in np.linspace(y_low, y_high, lines)
    ]
    curves = np.stack(upright + level)
    figure, axes = new_figure(1, 2, size=(4.6, 4.6), title=title)
    bent = _apply(forward, curves.reshape(-1, 2)).reshape(curves.shape)
    moved = None if points is None else _apply(forward, points)
    for panel, name, drawn, cloud in zip(
        axes, names, (curves, bent), (points, moved), strict=True
    ):
        _draw_grid(panel, drawn, lines)
        if cloud is not None:
            panel.scatter(
                cloud[:, 0], cloud[:, 1], s=8, color=INK, alpha=0.6, linewidths=0, zorder=3
            )
        panel.set_aspect("equal", adjustable="datalim")
        dress(panel, name, "first coordinate", "second coordinate", grid=False)
    return figure


def _draw_grid(axes: Axes, curves: np.ndarray, lines: int) -> None:
    from matplotlib.collections import LineCollection

    for family, colour in ((curves[:lines], AFTER), (curves[lines:], BEFORE)):
        axes.add_collection(
            LineCollection(list(family), colors=colour, linewidths=0.9, alpha=0.55)
        )
    axes.autoscale_view()


def _apply(forward: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    z = np.asarray(forward(x.astype(np.float32)), dtype=np.float64)
    if z.shape != x.shape or not np.isfinite(z).all():
        raise ValueError(
            f"forward: expected finite points {x.shape}, got shape {z.shape} with "
            f"{(~np.isfinite(z)).sum()} numbers that are not"
        )
    return z


def _plane(name: str, points: np.ndarray) -> np.ndarray:
    points = check_vectors(name, points)
    if points.shape[1] != 2:
        raise ValueError(f"{name}: expected shape (n, 2), got {points.shape}")
    return points


def _limits(points: np.ndarray | None) -> Limits:
    """A square around the points with some room on each side."""
    if points is None:
        return (-4.0, 4.0), (-4.0, 4.0)
    low, high = points.min(axis=0), points.max(axis=0)
    x, y = ((low + high) / 2).tolist()
    reach = 0.6 * max(float((high - low).max()), 1e-6)
    return (x - reach, x + reach), (y - reach, y + reach)
