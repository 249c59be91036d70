"""Defaults of environment variables, which commands set and the library does not."""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def set_defaults() -> None:
    """Sets defaults for jax and transformers; called before they are imported.

    Compiled programs are kept in the user's cache folder, so that later runs start faster.
    """
    if (cache := cache_folder()) is not None:
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache / "xla"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")


def cache_folder() -> Path | None:
    """Returns the user's cache folder for flowjax; None if there is none that can be written.

    Containers may have neither `HOME` nor a user. The system's temporary folder is not used,
    because other users could place compiled programs there: code of whoever can write to the
    folder can run in the process. Hence only its owner can read and write the folder.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        # The XDG specification ignores an empty or relative path.
        folder = (base if base.is_absolute() else Path.home() / ".cache") / "flowjax"
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    except (OSError, RuntimeError):
        return None
    return folder if os.access(folder, os.W_OK) else None


@contextmanager
def quiet_threads() -> Iterator[None]:
    """Context manager that omits the tracebacks of background threads, asyncio and Orbax.

    The main thread reports these errors, such as those of a full disk, in one line. After an
    OSError the tracebacks stay omitted, because threads report it until the process ends.
    """
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    levels = [logger.level for logger in loggers]
    hooks = sys.unraisablehook, threading.excepthook

    def hook(error: Any) -> None:
        logging.getLogger("flowjax").debug("error in a thread", exc_info=error.exc_value)

    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    # The native threads of tensorstore call `unraisablehook`.
    sys.unraisablehook = threading.excepthook = hook
    restored = True
    try:
        yield
    except OSError:
        restored = False
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        raise
    finally:
        if restored:
            sys.unraisablehook, threading.excepthook = hooks
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def open_closed_streams() -> None:
    """Opens the null device for each standard stream that the parent process closed.

    Otherwise the next opened file would get the descriptor of the stream, and messages would be
    written to that file.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor
    sys.stdin = sys.stdin or open(0)
    sys.stdout = sys.stdout or open(1, "w")
    sys.stderr = sys.stderr or open(2, "w")
