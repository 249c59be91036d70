"""Figures of the eigenvalues of covariances, with those of an exact Gaussian sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from flowjax.errors import FlowjaxError
from flowjax.evaluation.gaussian import gaussian_band, relative_eigenvalues
from flowjax.plots import _style as style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def spectrum(vectors: Mapping[str, np.ndarray], *, seed: int = 0, ax: Axes | None = None) -> Axes:
    """Draws the eigenvalues of the covariance of vectors, with those of exact Gaussian samples.

    The eigenvalues of a finite sample differ even if all directions have the same variance, so no
    curve can be flatter than the band of the Gaussian samples.

    Args:
        vectors: vectors, shape `(n, d)`, for each kind, such as `{"plain": x, "flow": z}`. The
            Gaussian samples have the shape of the first.
        seed: integer seed of the Gaussian samples.
        ax: Axes to draw on; None makes a figure.

    Returns:
        The Axes.

    Raises:
        FlowjaxError: All rows are equal, or a value is not finite.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(50, 3))
        >>> spectrum({"plain": x * [9.0, 1.0, 0.1], "flow": x}).get_yscale()
        'log'
    """
    found = {
        name: relative_eigenvalues(x, name)
        for name, x in style.check_kinds("vectors", vectors).items()
    }
    shape = np.shape(next(iter(vectors.values())))
    return spectra(found, gaussian_band(shape, seed=seed), ax=ax)


def spectra(
    eigenvalues: Mapping[str, np.ndarray],
    band: tuple[np.ndarray, np.ndarray],
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draws eigenvalues of covariances that were computed before; see `spectrum`.

    Args:
        eigenvalues: eigenvalues divided by their mean, in descending order, shape (k,), for each
            kind of vectors.
        band: lowest and highest eigenvalues of the Gaussian samples, by rank, shape (k,) each.
        ax: Axes to draw on; None makes a figure.

    Returns:
        The Axes.

    Raises:
        FlowjaxError: A value is not finite.

    Example:
        >>> flat = np.ones(5)
        >>> spectra({"plain": np.array([3.0, 1, 0.5, 0.3, 0.2])}, (flat, flat)).get_yscale()
        'log'
    """
    low, high = (style.sample("band", side) for side in band)
    curves = {}
    for name, given in style.check_kinds("eigenvalues", eigenvalues).items():
        values = style.sample(name, given).copy()
        if values[0] <= 0.0:
            raise FlowjaxError(f"{name}: expected different rows, got all rows equal")
        # Eigenvalues of directions without variance are rounding errors and are not drawn.
        values[values < 1e-9 * values[0]] = np.nan
        curves[name] = values
    (axes,) = style.axes_of(ax)
    axes.fill_between(
        np.arange(len(low)) + 1,
        np.maximum(low * 0.94, 1e-12),
        high * 1.06,
        color=style.GREY,
        alpha=0.5,
        linewidth=0,
        label="exact Gaussian, same size",
    )
    kinds = style.looks(curves)
    for name, values in curves.items():
        look = kinds[name]
        axes.plot(
            np.arange(len(values)) + 1,
            values,
            color=look.color,
            linestyle=look.linestyle,
            marker=look.marker,
            markevery=max(1, len(values) // 8),
            markersize=5,
            label=name,
        )
    axes.set_yscale("log")
    floor = min(float(np.nanquantile(values, 0.03)) for values in curves.values())
    axes.set_ylim(bottom=max(floor, 1e-6) * 0.5)
    style.label(axes, "", "principal axis, by variance", "variance / mean variance")
    style.legend(axes)
    return axes
