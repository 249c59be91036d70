"""Training curves from the rows of a run's `metrics.jsonl`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flowjax.errors import FlowjaxError
from flowjax.plots import _style as style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def loss_curves(
    rows: Iterable[Mapping[str, Any]],
    *,
    keys: Sequence[str] | None = None,
    step: str = "step",
    unit: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draws losses against steps; curves of many values are drawn with their running mean.

    Args:
        rows: dicts as in `metrics.jsonl`. A row may lack a key, such as a validation loss that is
            measured every hundred steps.
        keys: keys to draw; None means the keys that contain `loss`.
        step: key of the step number.
        unit: unit of the losses, for the label.
        ax: Axes to draw on; None makes a figure.

    Returns:
        The Axes. Values that are not finite are not drawn; the legend shows their number.

    Raises:
        FlowjaxError: There are no rows, a key is missing, or a key has no finite value.

    Example:
        >>> rows = [{"step": i, "loss": 1.0 / (i + 1)} for i in range(5)]
        >>> loss_curves(rows, unit="nats").get_ylabel()
        'loss (nats)'
    """
    rows = list(rows)
    there = list(dict.fromkeys(key for row in rows for key in row))
    wanted = [key for key in there if "loss" in key] if keys is None else list(keys)
    missing = [key for key in wanted if key not in there]
    if missing or not wanted:
        raise FlowjaxError(f"rows: expected {missing or 'a key that contains loss'}, got {there}")
    curves = _curves(rows, wanted, step)
    (axes,) = style.axes_of(ax)
    _draw(axes, curves)
    style.label(axes, "", step, f"loss ({unit})" if unit else "loss")
    style.legend(axes)
    return axes


# Minimum number of values of a curve that is drawn with its running mean.
_LONG = 80
# Label of the y axis and keys of each panel of `fit_curves`.
PANELS = {
    "bits per dimension": (
        *("bits_per_dim", "validation_bits_per_dim", "finished_bits_per_dim"),
        "finished_gaussian_bits_per_dim",
    ),
    "nats per example": ("log_base", "log_det"),
    "gradient norm": ("grad_norm",),
}
# Names of keys in a legend. The finished flow includes the whitening of the latents after the
# training, which some flows have.
LABELS = {
    "bits_per_dim": "training batches, before latents are whitened",
    "validation_bits_per_dim": "held-out examples, finished flow",
    "finished_bits_per_dim": "training examples, finished flow",
    "finished_gaussian_bits_per_dim": "training examples, Gaussian",
}


def panels_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Returns the keys of each panel of `fit_curves`, by the label of its y axis.

    Raises:
        FlowjaxError: No row has a key of a panel.
    """
    there = {key for row in rows for key in row}
    found = {name: [k for k in keys if k in there] for name, keys in PANELS.items()}
    panels = {name: keys for name, keys in found.items() if keys}
    if not panels:
        raise FlowjaxError(f"rows: expected metrics of a fit, got {sorted(there) or 'no rows'}")
    return panels


def fit_curves(
    rows: Iterable[Mapping[str, Any]], *, step: str = "step", ax: Any = None
) -> np.ndarray:
    """Draws the metrics of a fit against steps: losses, parts of the likelihood, gradient norm.

    Args:
        rows: dicts as in `metrics.jsonl`; a panel is drawn if any row has one of its keys.
        step: key of the step number.
        ax: Axes to draw on, one per panel; None makes a figure.

    Returns:
        The Axes, shape (panels,).

    Raises:
        FlowjaxError: No row has a key of a panel.

    Example:
        >>> rows = [{"step": i, "bits_per_dim": 2.0, "grad_norm": 1.0} for i in range(5)]
        >>> [axes.get_ylabel() for axes in fit_curves(rows)]
        ['bits per dimension', 'gradient norm']
    """
    rows = list(rows)
    panels = panels_of(rows)
    curves = {name: _curves(rows, keys, step) for name, keys in panels.items()}
    axes = style.axes_of(ax, len(panels), height=0.8)
    for panel, (name, keys) in zip(axes, panels.items(), strict=True):
        _draw(panel, curves[name], log="grad_norm" in keys)
        style.label(panel, "", step, name)
        if len(keys) > 1:
            style.legend(panel)
    return style.row_of_axes(axes)


def _curves(
    rows: Sequence[Mapping[str, Any]], keys: Sequence[str], step: str
) -> dict[str, np.ndarray]:
    """Returns steps and finite values, shape (2, n), by the name in the legend."""
    curves = {}
    for key in keys:
        found = [(row[step], row[key]) for row in rows if key in row and step in row]
        finite = np.array([pair for pair in found if math.isfinite(pair[1])], dtype=np.float64)
        if not len(finite):
            raise FlowjaxError(f"rows: expected rows with {step} and a finite {key}, got none")
        dropped, name = len(found) - len(finite), LABELS.get(key, key)
        name += f" ({dropped} not finite, not shown)" if dropped else ""
        curves[name] = finite.T
    return curves


def _draw(axes: Axes, curves: Mapping[str, np.ndarray], *, log: bool = False) -> None:
    looks = (style.LOOKS[2], style.LOOKS[0], style.LOOKS[1], *style.LOOKS[3:])
    for i, (name, (x, y)) in enumerate(curves.items()):
        look = looks[i % len(looks)]
        every = max(1, len(y) // 8)
        if len(y) >= _LONG:
            axes.plot(x, y, color=look.color, alpha=0.25, linewidth=0.8)
            y = _smoothed(y)
        line = "-" if len(curves) == 1 else look.linestyle
        axes.plot(
            x,
            y,
            color=look.color,
            linestyle=line,
            marker=look.marker,
            markevery=every,
            markersize=4,
            label=name,
        )
    _scale(axes, [y for _, y in curves.values()], log=log)


def _scale(axes: Axes, curves: Sequence[np.ndarray], *, log: bool) -> None:
    """Sets limits that show all values, or all but the first 2 % of long curves.

    The losses of the first steps can be so large that the remaining curve would be flat. A note
    then has their maximum.
    """
    every = np.concatenate(curves)
    low, high = float(every.min()), float(every.max())
    if log and low > 0.0 and high > 30.0 * low:
        axes.set_yscale("log")
        axes.set_ylim(low / 1.3, high * 1.3)
        return
    late = np.concatenate([y[len(y) // 50 if len(y) >= _LONG else 0 :] for y in curves])
    if not log and high - low > 20.0 * (late.max() - late.min()) > 0.0:
        note = f"first steps not shown: {low:.3g} to {high:.3g}"
        axes.text(0.98, 0.97, note, transform=axes.transAxes, ha="right", va="top", fontsize=8)
        low, high = float(late.min()), float(late.max())
    constant = high - low <= 1e-9 * abs(high)
    room = (0.1 * abs(high) or 1.0) if constant else 0.08 * (high - low)
    axes.set_ylim(low - room, high + room)
    axes.ticklabel_format(axis="y", useOffset=False, scilimits=(-5, 6))


def _smoothed(y: np.ndarray) -> np.ndarray:
    """Returns the mean over a centred window; at both ends, a line fitted to the last window.

    A window that is narrower at the ends would show the noise of the last values as a trend.
    """
    from scipy.signal import savgol_filter

    return np.asarray(savgol_filter(y, 2 * (len(y) // 40) + 1, 1, mode="interp"))
