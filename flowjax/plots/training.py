"""Training curves from the rows of a run's `metrics.jsonl`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flowjax.errors import FlowjaxError
from flowjax.plots._style import CYCLE, dress, legend, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def loss_curves(
    rows: Iterable[Mapping[str, Any]],
    *,
    keys: Sequence[str] | None = None,
    step: str = "step",
    unit: str = "",
    title: str | None = None,
) -> Figure:
    """Draws losses against steps; curves of many values are drawn with their running mean.

    Args:
        rows: dicts as in `metrics.jsonl`. A row may lack a key, such as a validation loss that is
            measured every hundred steps.
        keys: keys to draw; None means the keys that contain `loss`.
        step: key of the step number.
        unit: unit of the losses, for the label.
        title: title of the figure.

    Returns:
        The figure. Values that are not finite are not drawn; the legend shows their number.

    Raises:
        FlowjaxError: There are no rows, a key is missing, or a key has no finite value.

    Example:
        >>> rows = [{"step": i, "loss": 1.0 / (i + 1)} for i in range(5)]
        >>> loss_curves(rows, unit="nats").axes[0].get_ylabel()
        'loss (nats)'
    """
    rows = list(rows)
    there = list(dict.fromkeys(key for row in rows for key in row))
    wanted = [key for key in there if "loss" in key] if keys is None else list(keys)
    missing = [key for key in wanted if key not in there]
    if missing or not wanted:
        raise FlowjaxError(f"rows: expected {missing or 'a key that contains loss'}, got {there}")
    figure, (axes,) = new_figure(size=(6.4, 3.9), title=title)
    _draw(axes, rows, wanted, step)
    dress(axes, "", step, f"loss ({unit})" if unit else "loss")
    legend(axes)
    return figure


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
    "learning rate": ("learning_rate",),
}
# Names of keys in a legend. The finished flow includes the whitening of the latents after the
# training, which some flows have.
LABELS = {
    "bits_per_dim": "training batches, before latents are whitened",
    "validation_bits_per_dim": "held-out examples, finished flow",
    "finished_bits_per_dim": "training examples, finished flow",
    "finished_gaussian_bits_per_dim": "training examples, Gaussian",
}


def fit_curves(rows: Iterable[Mapping[str, Any]], *, step: str = "step") -> Figure:
    """Draws the metrics of a fit against steps: losses, gradient norm and learning rate.

    Args:
        rows: dicts as in `metrics.jsonl`; a panel is drawn if any row has one of its keys.
        step: key of the step number.

    Returns:
        The figure.

    Raises:
        FlowjaxError: No row has a key of a panel.

    Example:
        >>> rows = [{"step": i, "bits_per_dim": 2.0, "grad_norm": 1.0} for i in range(5)]
        >>> [axes.get_ylabel() for axes in fit_curves(rows).axes]
        ['bits per dimension', 'gradient norm']
    """
    rows = list(rows)
    there = {key for row in rows for key in row}
    found = {label: [k for k in keys if k in there] for label, keys in PANELS.items()}
    panels = {label: keys for label, keys in found.items() if keys}
    if not panels:
        raise FlowjaxError(f"rows: expected metrics of a fit, got {sorted(there) or 'no rows'}")
    figure, axes = new_figure(-(-len(panels) // 2), min(2, len(panels)), size=(5.2, 3.3))
    for (label, keys), panel in zip(panels.items(), axes, strict=False):
        _draw(panel, rows, keys, step)
        dress(panel, "", step, label)
        if len(keys) > 1:
            legend(panel)
    for panel in axes[len(panels) :]:
        panel.remove()
    return figure


def _draw(axes: Axes, rows: Sequence[Mapping[str, Any]], keys: Sequence[str], step: str) -> None:
    curves = []
    for index, key in enumerate(keys):
        found = [(row[step], row[key]) for row in rows if key in row and step in row]
        finite = np.array([pair for pair in found if math.isfinite(pair[1])], dtype=np.float64)
        if not len(finite):
            raise FlowjaxError(f"rows: expected rows with {step} and a finite {key}, got none")
        dropped, name = len(found) - len(finite), LABELS.get(key, key)
        name += f" ({dropped} not finite, not shown)" if dropped else ""
        x, y = finite.T
        look: dict[str, Any] = {"color": CYCLE[index % len(CYCLE)], "linewidth": 2, "label": name}
        if len(y) < _LONG:
            axes.plot(x, y, marker="o", markersize=3.5, **look)
        else:
            axes.plot(x, y, color=look["color"], alpha=0.25, linewidth=0.8)
            axes.plot(x, _running_mean(y, len(y) // 40), **look)
        curves.append(y)
    _scale(axes, curves, log="grad_norm" in keys)


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


def _running_mean(y: np.ndarray, width: int) -> np.ndarray:
    """Returns the mean over a centred window, which is narrower at both ends."""
    sums = np.concatenate([[0.0], np.cumsum(y)])
    i = np.arange(len(y))
    reach = np.minimum(width // 2, np.minimum(i, len(y) - 1 - i))
    return (sums[i + reach + 1] - sums[i - reach]) / (2 * reach + 1)
