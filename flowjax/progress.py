"""Progress bars on standard error: on a terminal only, for what takes over two seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def track(
    label: str, total: int | None, *, unit: str, show: bool | None = None
) -> Iterator[Callable[..., None]]:
    """Yields `advance(n, **fields)`, which moves a rich progress bar on.

    Args:
        label: what is being done.
        total: of units, or None where it is not known.
        unit: what is counted.
        show: True or False, or None for "on a terminal, after two seconds".
    """
    if show is False or (show is None and not sys.stderr.isatty()):
        yield lambda n, **fields: None
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
        if not started and (show or seconds > 2):
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
