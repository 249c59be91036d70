"""Progress of long work: a bar on a terminal or in Jupyter, elsewhere lines of the log."""

from __future__ import annotations

import html
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

logger = logging.getLogger("flowjax")
# Seconds between two lines of the log, seconds before a bar that was not requested appears, and
# seconds between two updates in Jupyter.
LOG_EVERY, DELAY, UPDATE_EVERY = 30.0, 2.0, 0.2


class Count:
    """Number of finished units, and their rate.

    Example:
        >>> count = Count("fitting", 9, "steps")
        >>> count.add(4, "3.2 bits/dim")
        >>> str(count).split(",")[0]
        'fitting: 4 of 9 steps'
    """

    def __init__(self, label: str, total: int | None, unit: str) -> None:
        """Starts the clock."""
        self.label, self.total, self.unit, self.note = label, total, unit, ""
        self.done, self.ended = 0, False
        self._began = self._last = time.monotonic()
        self._first: tuple[int, float] | None = None

    def add(self, n: int, note: str = "") -> None:
        """Adds n finished units and replaces the note."""
        self.done, self.note, self._last = self.done + n, note, time.monotonic()
        if self._first is None:
            self._first = self.done, self._last

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    @property
    def rate(self) -> float:
        """Units per second, without the first report, whose time includes the compilation."""
        done, since = self.done, self._began
        if self._first and self._last > self._first[1]:
            done, since = self.done - self._first[0], self._first[1]
        return done / max(self._last - since, 1e-9)

    def details(self) -> str:
        """Returns the rate, the remaining time (at the end, the elapsed time) and the note."""
        if not self.done:
            return clock(self.seconds)
        rate = f"{self.rate:,.{1 if self.rate < 10 else 0}f} {self.unit}/s"
        left = 0.0 if self.total is None else (self.total - self.done) / max(self.rate, 1e-9)
        when = f"{clock(left)} left" if left > 0 and not self.ended else clock(self.seconds)
        return ", ".join(filter(None, [rate, when, self.note]))

    def __str__(self) -> str:
        known = "" if self.total is None else f" of {self.total:,}"
        return f"{self.label}: {self.done:,}{known} {self.unit}, {self.details()}".rstrip()


def clock(seconds: float) -> str:
    """Returns a duration as minutes and seconds, with hours if there are any.

    Example:
        >>> clock(65.2), clock(3725)
        ('1:05', '1:02:05')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Display(Protocol):
    """Output of a count: `update` after each report, and `close` at the end."""

    def update(self) -> None:
        """Shows the count."""

    def close(self) -> None:
        """Ends the display."""


@contextmanager
def track(
    label: str, total: int | None, *, unit: str, show_progress_bar: bool | None = None
) -> Iterator[Callable[..., None]]:
    """Context manager that shows the progress of a loop.

    Args:
        label: text before the progress bar.
        total: total number of units, or None if it is unknown.
        unit: name of the counted units, for the rate.
        show_progress_bar: True shows the progress bar. None shows the bar on a terminal and in
            Jupyter, after two seconds; elsewhere, the logger "flowjax" gets a message of level
            INFO every half minute, which the commands print. A logger of level ERROR (`--quiet`)
            hides both. False shows neither.

    Yields:
        `advance(n, note="")`, which advances the progress bar by n units and sets the text after
        it.
    """
    quiet = show_progress_bar is None and logger.getEffectiveLevel() >= logging.ERROR
    if show_progress_bar is False or quiet:
        yield lambda n, note="": None
        return
    count = Count(label, total, unit)
    display: Display | None = None

    def show(now: bool) -> None:
        nonlocal display
        if display is None and (now or count.seconds > DELAY):
            display = _display(count, bool(show_progress_bar))
        if display is not None:
            display.update()

    def advance(n: int, note: str = "") -> None:
        count.add(n, note)
        show(False)

    show(bool(show_progress_bar) or not (_in_jupyter() or sys.stderr.isatty()))
    try:
        yield advance
    finally:
        count.ended = True
        if display is not None:
            display.close()


@contextmanager
def track_steps(
    label: str,
    total: int | None,
    note: Callable[[dict[str, float]], str],
    *,
    show_progress_bar: bool | None = None,
    on_step: Callable[[dict[str, float]], bool | None] | None = None,
) -> Iterator[Callable[[dict[str, float]], bool | None]]:
    """Context manager that shows the progress of a training loop.

    Args:
        label: text before the progress bar.
        total: total number of steps, or None if it is unknown.
        note: returns the text after the progress bar for a dict of metrics.
        show_progress_bar: see `track`.
        on_step: function called with each dict of metrics, whose result is returned; or None.

    Yields:
        `on_step(row)` for a dict of metrics with the number of finished steps, `step`.
    """
    seen = 0
    with track(label, total, unit="steps", show_progress_bar=show_progress_bar) as advance:

        def show(row: dict[str, float]) -> bool | None:
            nonlocal seen
            step = int(row["step"])
            advance(step - seen, note=note(row))
            seen = step
            return on_step(row) if on_step else None

        yield show


def _display(count: Count, requested: bool) -> Display:
    if _in_jupyter():
        return _Jupyter(count, requested)
    return _Terminal(count) if sys.stderr.isatty() else _Lines(count, requested)


def _in_jupyter() -> bool:
    """Returns True in a kernel of Jupyter, Colab or an editor, whose cells show HTML."""
    module = sys.modules.get("IPython")
    return module is not None and getattr(module.get_ipython(), "kernel", None) is not None


class _Lines:
    """Lines of the log; on standard error if the progress was requested."""

    def __init__(self, count: Count, requested: bool) -> None:
        self._count, self._requested, self._last = count, requested, time.monotonic()

    def update(self) -> None:
        if self._count.done and time.monotonic() - self._last >= LOG_EVERY:
            self._last = time.monotonic()
            if self._requested:
                print(self._count, file=sys.stderr, flush=True)
            else:
                logger.info("%s", str(self._count))  # the count changes

    def close(self) -> None:
        if self._requested and self._count.done:
            print(self._count, file=sys.stderr, flush=True)


class _Terminal:
    """Bar on a terminal, which disappears at the end."""

    def __init__(self, count: Count) -> None:
        from rich.console import Console
        from rich.errors import LiveError
        from rich.progress import BarColumn, Progress, TextColumn

        self._count = count
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[details]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task(count.label, total=count.total, details="")
        try:
            self._bar.start()
        except LiveError:  # another bar of rich is shown
            self._bar.disable = True

    def update(self) -> None:
        count = self._count
        place = f"{count.done:,}" if count.total is None else f"{count.done:,}/{count.total:,}"
        details = f"{place}  {count.details()}"
        self._bar.update(self._task, completed=count.done, details=details)

    def close(self) -> None:
        self._bar.stop()


class _Jupyter:
    """Bar of HTML below a cell, without widgets; if it was requested, its last line remains."""

    def __init__(self, count: Count, requested: bool) -> None:
        self._count, self._requested, self._last = count, requested, 0.0
        self._handle: Any = None

    def update(self, ended: bool = False) -> None:
        from IPython.display import display

        if not ended and time.monotonic() - self._last < UPDATE_EVERY:
            return
        self._last, count = time.monotonic(), self._count
        place = "" if count.total is None else f' value="{count.done}" max="{count.total}"'
        bar = "" if ended else f"<progress{place}></progress> "
        text = "" if ended and not self._requested else str(count)
        bundle = {"text/plain": text, "text/html": f"{bar}{html.escape(text)}"}
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)

    def close(self) -> None:
        self.update(ended=True)
