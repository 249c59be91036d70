"""Signal handling: on Ctrl-C, SIGTERM or SIGHUP, a training loop saves its state and stops.

All other work stops at once; an embedding store keeps its finished blocks.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_received = 0
_in_loop = False
# True after the first call of `stop_requested` in a loop. Before, the loop embeds or compiles, and
# there is no state to save.
_polled = False


@contextmanager
def handled() -> Iterator[None]:
    """Context manager that handles SIGINT, SIGTERM and SIGHUP.

    While a loop in `stopping_loop` calls `stop_requested`, the first signal only changes its
    result. A second signal, or a signal outside such a loop, raises KeyboardInterrupt. An ignored
    SIGHUP, as under `nohup`, stays ignored.
    """
    global _received
    _received = 0

    def handle(number: int, _: Any) -> None:
        global _received
        again, _received = bool(_received), number
        if again or not _polled:
            raise KeyboardInterrupt
        with contextlib.suppress(OSError, ValueError, AttributeError):  # a closed terminal
            print("stopping after this step; repeat the signal to stop at once", file=sys.stderr)

    before = {s: signal.getsignal(s) for s in signal.Signals if s.name in NAMES}
    before = {
        s: handler
        for s, handler in before.items()
        if s.name != "SIGHUP" or handler != signal.SIG_IGN
    }
    try:
        for number in before:
            signal.signal(number, handle)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def stopping_loop() -> Iterator[None]:
    """Context manager for a loop that calls `stop_requested` between its steps."""
    global _in_loop, _polled
    _in_loop, _polled = True, False
    try:
        yield
    finally:
        _in_loop = _polled = False


def stop_requested() -> bool:
    """Returns True if a signal was received."""
    global _polled
    _polled = _in_loop
    return _received != 0


def exit_code() -> int:
    """Returns the exit code of a stopped command: 128 + the number of the signal."""
    return 128 + (_received or signal.SIGINT)
