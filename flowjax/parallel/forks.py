"""Detection of forked processes, in which JAX hangs.

A fork copies one thread of the parent only. JAX waits for threads that the child does not have, so
a child of a process that has used JAX would wait forever.
"""

from __future__ import annotations

import os

from flowjax.errors import FlowjaxError

_used = False
_forked = False


def mark_process() -> None:
    """Records that this process uses JAX."""
    global _used
    _used = True


def check_process() -> None:
    """Records that this process uses JAX; raises in a forked child of a process that used it.

    Raises:
        FlowjaxError: The parent used JAX before the fork.
    """
    if _forked:
        raise FlowjaxError(
            "process: expected a process that was started by spawn, got a forked child of a "
            "process that loaded a model, in which JAX would hang; use "
            "multiprocessing.get_context('spawn'), or load the model after the fork only"
        )
    mark_process()


def _after_fork() -> None:
    global _forked
    _forked = _used


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_after_fork)
