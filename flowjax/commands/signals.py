"""Signal handling: on Ctrl-C or SIGTERM, a training loop saves its state before it stops."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_received = 0
_loop_is_running = False


@contextmanager
def handled() -> Iterator[None]:
    """Context manager that handles SIGINT and SIGTERM.

    Inside `stopping_loop` the first signal only sets `stop_requested`. A second signal, or a
    signal outside such a loop, raises KeyboardInterrupt.
    """
    global _received
    _received = 0

    def handle(number: int, _: Any) -> None:
        global _received
        again, _received = bool(_received), number
        if again or not _loop_is_running:
            raise KeyboardInterrupt
        print("stopping after this step; repeat the signal to stop at once", file=sys.stderr)

    before = {n: signal.signal(n, handle) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def stopping_loop() -> Iterator[None]:
    """Context manager for a loop that calls `stop_requested` between its steps."""
    global _loop_is_running
    _loop_is_running = True
    try:
        yield
    finally:
        _loop_is_running = False


def stop_requested() -> bool:
    """Returns True if SIGINT or SIGTERM was received."""
    return _received != 0


def exit_code() -> int:
    """Returns the exit code of a stopped command: 130 for SIGINT, 143 for SIGTERM."""
    return 128 + (_received or signal.SIGINT)
