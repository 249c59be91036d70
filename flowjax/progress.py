"""Progress of long work on standard error: a bar on a terminal, otherwise a line of the log."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

logger = logging.getLogger("flowjax")
# Seconds between two lines of the log.
LOG_EVERY = 30.0


@contextmanager
def track(
    label: str, total: int | None, *, unit: str, show_progress_bar: bool | None = None
) -> Iterator[Callable[..., None]]:
    """Context manager with a progress bar.

    Args:
        label: text before the progress bar.
        total: total number of units, or None if it is unknown.
        unit: name of the counted units, for the rate.
        show_progress_bar: True shows the progress bar. None shows the bar on a terminal, after two
            seconds; elsewhere, the logger "flowjax" gets a message of level INFO every half
            minute, which the commands print. A logger of level ERROR (`--quiet`) hides both. False
            shows neither.

    Yields:
        `advance(n, note="")`, which advances the progress bar by n units and sets the text after
        it.
    """
    if show_progress_bar is None and not sys.stderr.isatty():
        yield _logged(label, total, unit)
        return
    quiet = show_progress_bar is None and logger.getEffectiveLevel() >= logging.ERROR
    if show_progress_bar is False or quiet:
        yield lambda n, note="": None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]} {task.fields[note]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task(label, total=total, rate="", note="")
    began, done, started = time.monotonic(), 0, False

    def advance(n: int, note: str = "") -> None:
        nonlocal done, started
        done += n
        seconds = time.monotonic() - began
        if not started and (show_progress_bar or seconds > 2):
            bar.start()
            started = True
        bar.update(
            task, completed=done, rate=f"{done / max(seconds, 1e-9):,.0f} {unit}/s", note=note
        )

    try:
        yield advance
    finally:
        if started:
            bar.stop()


def _logged(label: str, total: int | None, unit: str) -> Callable[..., None]:
    """Returns a function like `advance` of `track` that writes to the log."""
    began = last = time.monotonic()
    done = 0

    def advance(n: int, note: str = "") -> None:
        nonlocal done, last
        done, now = done + n, time.monotonic()
        if now - last >= LOG_EVERY:
            last = now
            count = f"{done:,}" if total is None else f"{done:,} of {total:,}"
            rate = f"{done / (now - began):,.0f} {unit}/s"
            logger.info("%s: %s %s, %s", label, count, unit, f"{rate} {note}".rstrip())

    return advance
