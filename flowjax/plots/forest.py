"""Forest plot: scores with intervals of several kinds of vectors on several tasks."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from flowjax.errors import FlowjaxError
from flowjax.plots import _style as style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def forest(
    scores: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    xlabel: str = "score with 95 % interval",
    ax: Axes | None = None,
) -> Axes:
    """Draws scores with their intervals: one row per task, one marker per kind of vectors.

    Args:
        scores: for each kind of vectors and each task: the score, and the lower and upper end of
            its interval. A kind may lack a task.
        xlabel: label of the x axis.
        ax: Axes to draw on; None makes a figure.

    Returns:
        The Axes. The first task is at the top.

    Raises:
        FlowjaxError: There are no scores, a value is not finite, or a score lies outside of its
            interval.

    Example:
        >>> axes = forest({"plain": {"stsb": (50, 48, 52)}, "flow": {"stsb": (60, 58, 62)}})
        >>> [text.get_text() for text in axes.get_yticklabels()]
        ['stsb']
    """
    kinds = style.looks(style.check_kinds("scores", scores))
    tasks = list(dict.fromkeys(task for found in scores.values() for task in found))
    if not tasks:
        raise FlowjaxError("scores: expected at least one task, got none")
    step = 0.62 / max(1, len(scores) - 1)
    series = {}
    for i, (name, found) in enumerate(scores.items()):
        offset = (i - (len(scores) - 1) / 2) * step
        rows = [(tasks.index(task) + offset, *_checked(name, task, found[task])) for task in found]
        series[name] = np.array(rows).reshape(-1, 4).T
    (axes,) = style.axes_of(ax)
    for name, (places, middle, low, high) in series.items():
        look = kinds[name]
        axes.errorbar(
            middle,
            places,
            xerr=(middle - low, high - middle),
            fmt=look.marker,
            color=look.color,
            markersize=6,
            capsize=3,
            label=name,
        )
    labels = ["\n".join(textwrap.wrap(task, 16, break_long_words=False)) for task in tasks]
    axes.set_yticks(range(len(tasks)), labels, parse_math=False)
    for place in range(1, len(tasks)):
        axes.axhline(place - 0.5, color=style.GREY, linewidth=0.5, alpha=0.6)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.55, len(tasks) - 0.45)
    axes.grid(False, axis="y")
    style.label(axes, "", xlabel)
    style.legend(axes)
    room = axes.get_ylim()[1] - (len(tasks) - 0.45)  # of the legend, above the first task
    axes.set_ylim(len(tasks) - 0.45, -0.55 - room)
    return axes


def _checked(name: str, task: str, values: Sequence[float]) -> np.ndarray:
    value, low, high = found = style.sample(f"{name}, {task}", values, 3)
    if not low <= value <= high:
        got = f"{value:g} and [{low:g}, {high:g}]"
        raise FlowjaxError(f"{name}, {task}: expected a score in its interval, got {got}")
    return found
