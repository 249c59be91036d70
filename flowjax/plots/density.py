"""Figures of a two-dimensional flow: its density, and a grid that it transforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from flowjax.errors import FlowjaxError
from flowjax.evaluation.correlation import check_vectors
from flowjax.plots import _style as style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Maximum number of points that are drawn.
_POINTS = 3000
Limits = tuple[tuple[float, float], tuple[float, float]]


def density_2d(
    log_prob: Callable[[np.ndarray], np.ndarray],
    *,
    points: np.ndarray | None = None,
    limits: Limits | None = None,
    resolution: int = 200,
    ax: Axes | None = None,
) -> Axes:
    """Draws the density of a two-dimensional flow over data points.

    The colour of the density covers the points where the density is high. Points that remain
    visible lie where the density is low.

    Args:
        log_prob: function from float32 points `(n, 2)` to log-densities `(n,)` in nats, such as
            `lambda x: flow.log_prob(params, x)`.
        points: data points to draw, shape `(m, 2)`; of many points, a random sample is drawn.
        limits: `((x_low, x_high), (y_low, y_high))`. None means the range of the points with a
            margin, or -4 to 4 if there are no points.
        resolution: number of grid points along each axis.
        ax: Axes to draw on; None makes a figure.

    Returns:
        The Axes. If the limits cut off more than 5 % of the probability mass, a note in the Axes
        states it.

    Raises:
        FlowjaxError: The points do not have shape `(m, 2)`, or `log_prob` returns NaN or another
            shape.

    Example:
        >>> gauss = lambda x: -0.5 * (x**2).sum(axis=1) - np.log(2 * np.pi)
        >>> axes = density_2d(gauss, limits=((0, 4), (-4, 4)), resolution=99)
        >>> axes.texts[0].get_text()
        '50 % of the probability is outside'
    """
    from matplotlib.colors import LinearSegmentedColormap

    points, limits = _plane(points, limits)
    x, y = (np.linspace(low, high, resolution) for low, high in limits)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2).astype(np.float32)
    logs = np.asarray(log_prob(grid), dtype=np.float64)
    if logs.shape != (len(grid),) or np.isnan(logs).any():
        got = f"{logs.shape} with {np.isnan(logs).sum()} NaN"
        raise FlowjaxError(f"log_prob: expected shape ({len(grid)},) without NaN, got {got}")
    density = np.exp(logs).reshape(resolution, resolution)
    mass = float(np.trapezoid(np.trapezoid(density, x, axis=1), y))
    (axes,) = style.axes_of(ax)
    if points is not None:
        some = np.random.default_rng(0).permutation(len(points))[:_POINTS]
        axes.scatter(
            points[some, 0], points[some, 1], s=3, color=style.ink(), alpha=0.6, linewidths=0
        )
    shades = [(0.0, "#9ECAE100"), (0.12, "#9ECAE1D0"), (0.5, "#3182BD"), (1.0, "#08306B")]
    colours = LinearSegmentedColormap.from_list("density", shades)
    drawn = axes.pcolormesh(x, y, density, cmap=colours, shading="gouraud", rasterized=True)
    axes.figure.colorbar(drawn, ax=axes, label="density", shrink=0.85, pad=0.02)
    axes.set_aspect("equal")
    axes.set(xlim=limits[0], ylim=limits[1])
    axes.grid(False)
    if mass < 0.95:
        text = f"{100 * (1 - mass):.0f} % of the probability is outside"
        axes.text(0.5, 0.98, text, transform=axes.transAxes, ha="center", va="top")
    style.label(axes, "", "x₁", "x₂")
    return axes


def warped_grid(
    forward: Callable[[np.ndarray], np.ndarray],
    *,
    points: np.ndarray | None = None,
    limits: Limits | None = None,
    lines: int = 21,
    resolution: int = 200,
    names: tuple[str, str] = ("data", "latent"),
    ax: Any = None,
) -> np.ndarray:
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
        ax: two Axes to draw on; None makes a figure.

    Returns:
        The Axes, shape (2,).

    Raises:
        FlowjaxError: The points do not have shape `(m, 2)`, or `forward` returns values that are
            not finite or another shape.

    Example:
        >>> [axes.get_title() for axes in warped_grid(np.sinh, lines=3)]
        ['data', 'latent']
    """
    from matplotlib.collections import LineCollection

    points, limits = _plane(points, limits)
    x, y = (np.linspace(*ends, lines) for ends in limits)
    along_x, along_y = (np.linspace(*ends, resolution) for ends in limits)
    vertical = np.stack(np.meshgrid(x, along_y, indexing="ij"), axis=-1)
    horizontal = np.stack(np.meshgrid(along_x, y), axis=-1)
    curves = np.concatenate([vertical, horizontal])
    mapped = _apply(forward, curves.reshape(-1, 2)).reshape(curves.shape)
    images = None if points is None else _apply(forward, points)
    panels = style.axes_of(ax, 2)
    drawn = ((curves, points), (mapped, images))
    for panel, name, (grid, cloud) in zip(panels, names, drawn, strict=True):
        families = ((grid[:lines], style.AFTER, "-"), (grid[lines:], style.BEFORE, "--"))
        for family, colour, line in families:
            look: dict[str, Any] = {"colors": colour, "linewidths": 0.9, "alpha": 0.6}
            look["linestyles"] = line
            panel.add_collection(LineCollection(list(family), **look))
        panel.autoscale_view()
        if cloud is not None:
            panel.scatter(
                cloud[:, 0], cloud[:, 1], s=8, color=style.ink(), alpha=0.6, linewidths=0, zorder=3
            )
        panel.set_aspect("equal", adjustable="datalim")
        panel.grid(False)
        style.label(panel, name, "first coordinate", "second coordinate")
    return style.row_of_axes(panels)


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
