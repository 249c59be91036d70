"""Figure of the gain of a calibration over plain vectors by its power."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flowjax.plots import _style as style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def gain_by_power(
    powers: Mapping[str, Sequence[float]],
    gains: Mapping[str, np.ndarray],
    *,
    fixed: Mapping[str, Sequence[float]] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draws the gain of a calibration over plain vectors against its power.

    The bands and bars are intervals. A calibration whose interval lies above the line at 0 is
    better than plain vectors.

    Args:
        powers: powers of each recipe, such as `{"whitening": [0.25, 0.5]}`.
        gains: for each recipe: gain in percent, and lower and upper end of its interval, at each
            power, shape (k, 3).
        fixed: gain, lower and upper end of vectors without a power, by name; or None.
        ax: Axes to draw on; None makes a figure.

    Returns:
        The Axes.

    Raises:
        FlowjaxError: Shapes differ, or a value is not finite.

    Example:
        >>> gains = np.array([[1.0, 0.5, 1.5], [2.0, 1.5, 2.5]])
        >>> gain_by_power({"whitening": [0.5, 1]}, {"whitening": gains}).get_xlabel()
        'power of the calibration'
    """
    fixed = fixed or {}
    flat = {
        name: style.sample(name, np.ravel(gains[name]), 3 * len(powers[name])) for name in gains
    }
    bars = {name: style.sample(name, values, 3) for name, values in fixed.items()}
    (axes,) = style.axes_of(ax)
    kinds = style.looks([*powers, *fixed])
    for name, xs in powers.items():
        middle, low, high = flat[name].reshape(-1, 3).T
        look = kinds[name]
        axes.fill_between(xs, low, high, color=look.color, alpha=0.18, linewidth=0)
        axes.plot(xs, middle, label=name, **look._asdict())
    for i, (name, (middle, low, high)) in enumerate(bars.items()):
        place = -0.14 - 0.1 * (len(fixed) - 1 - i)
        bar = [[max(middle - low, 0.0)], [max(high - middle, 0.0)]]
        one: dict[str, Any] = {"color": kinds[name].color, "marker": kinds[name].marker}
        axes.errorbar([place], [middle], bar, linestyle="", capsize=3, label=name, **one)
    axes.axhline(0.0, color=style.ink(), linewidth=1.2, label="plain vectors")
    gain = "gain over plain vectors\n(odds of the score, %)"
    style.label(axes, "", "power of the calibration", gain)
    ticks = sorted({float(x) for xs in powers.values() for x in xs})
    if ticks:
        axes.set_xticks(ticks)
    style.legend(axes)
    return axes
