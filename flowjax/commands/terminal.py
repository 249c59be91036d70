"""Messages, warnings and the log on standard error, and the command line that a report shows."""

from __future__ import annotations

import dataclasses
import logging
import shlex
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

# Flag of every command, and the level of the logger "flowjax".
VERBOSITY = {"--quiet": logging.ERROR, "--verbose": logging.DEBUG}


def message(text: str) -> None:
    """Prints a line on standard error."""
    print(text, file=sys.stderr, flush=True)


def command_line(name: str, args: Any) -> str:
    """Returns the command that repeats a call, with the flags that differ from their defaults."""
    words = ["flowjax", name, str(args.run)]
    for field in dataclasses.fields(args):
        value = getattr(args, field.name)
        if field.name == "run" or value == field.default:
            continue
        flag = "--" + field.name.replace("_", "-")
        words += [flag] if value is True else [flag, str(value)]
    return shlex.join(words)


def verbosity(argv: Sequence[str]) -> tuple[int, list[str]]:
    """Returns the log level that `--quiet` or `--verbose` sets, and the other arguments.

    Example:
        >>> verbosity(["--quiet", "--out", "x"]) == (logging.ERROR, ["--out", "x"])
        True
    """
    levels = [VERBOSITY[word] for word in argv if word in VERBOSITY]
    rest = [word for word in argv if word not in VERBOSITY]
    return levels[-1] if levels else logging.INFO, rest


@contextmanager
def reporting(prog: str, level: int) -> Iterator[None]:
    """Context manager that prints each log message and each warning as one line on standard error.

    Args:
        prog: name of the command, the first word of a warning.
        level: smallest level of the messages of the logger "flowjax". Warnings are printed if
            this level is at most WARNING.
    """
    logging.basicConfig(format="flowjax: %(message)s", level=logging.WARNING, stream=sys.stderr)
    logger = logging.getLogger("flowjax")
    before = logger.level
    logger.setLevel(level)

    def show(text: Warning | str, *_: Any) -> None:
        if level <= logging.WARNING:
            message(f"{prog}: warning: {' '.join(str(text).split())}")

    with warnings.catch_warnings():
        warnings.showwarning = show
        try:
            yield
        finally:
            logger.setLevel(before)
