"""Loss curves from the rows of a run's ``metrics.jsonl``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flowjax.plots._style import CYCLE, dress, legend, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def loss_curves(
    rows: Iterable[Mapping[str, Any]],
    *,
    keys: Sequence[str] | None = None,
    step: str = "step",
    unit: str = "",
    title: str | None = None,
) -> Figure:
    """One or more losses by step: each value faint, and a running mean where there are many.

    Args:
        rows: Dicts as in ``metrics.jsonl``. A row without a key has no point in that curve, so
            a validation loss every hundredth step is fine.
        keys: Which to draw; those whose name contains ``loss`` when None.
        step: The key that counts steps.
        unit: Of the losses, for the label.
        title: Above.

    Returns:
        The figure. Values that are not finite are left out of the curve and counted in its name.

    Raises:
        ValueError: If there is no row, or none of the keys.

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
        raise ValueError(f"rows: expected {missing or 'a key with loss in it'}, got {there}")
    figure, (axes,) = new_figure(size=(6.4, 3.9), title=title)
    lows, highs = [], []
    for index, key in enumerate(wanted):
        found = [(row[step], row[key]) for row in rows if key in row and step in row]
        finite = np.array([pair for pair in found if math.isfinite(pair[1])], dtype=np.float64)
        if not len(finite):
            raise ValueError(f"rows: expected finite {key} beside {step}, got none")
        left_out = len(found) - len(finite)
        name = f"{key} ({left_out} not finite, left out)" if left_out else key
        x, y = finite.T
        colour = CYCLE[index % len(CYCLE)]
        smooth = _running_mean(y, max(1, len(y) // 40))
        if len(y) >= 80:
            axes.plot(x, y, color=colour, alpha=0.25, linewidth=0.8)
            axes.plot(x, smooth, color=colour, linewidth=2, label=name)
        else:
            axes.plot(x, y, color=colour, linewidth=2, marker="o", markersize=3.5, label=name)
        # The first steps may be far off: the axis shows where the loss goes from there.
        lows.append(smooth.min())
        highs.append(smooth[0] if len(y) < 80 else max(smooth[len(y) // 50 :].max(), y[-1]))
    room = 0.08 * (max(highs) - min(lows)) or 1.0
    axes.set_ylim(min(lows) - room, max(highs) + room)
    dress(axes, "", step, f"loss ({unit})" if unit else "loss")
    legend(axes)
    return figure


def _running_mean(y: np.ndarray, width: int) -> np.ndarray:
    """Mean over a window around each point that shrinks at both ends."""
    sums = np.concatenate([[0.0], np.cumsum(y)])
    i = np.arange(len(y))
    reach = np.minimum(width // 2, np.minimum(i, len(y) - 1 - i))
    return (sums[i + reach + 1] - sums[i - reach]) / (2 * reach + 1)
