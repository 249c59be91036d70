"""Messages, warnings and the log on standard error, and the command line that a report shows."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
import shlex
import shutil
import sys
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

# Flag of every command, and the level of the logger "flowjax".
VERBOSITY = {"--quiet": logging.ERROR, "--verbose": logging.DEBUG}

# Characters at which a reader of the output would begin a new line or a new column.
_LINE_ENDS = re.compile(r"\r\n|[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]")


def one_line(text: str) -> str:
    r"""Returns a text with spaces in place of line ends and tabs.

    Example:
        >>> one_line("a\r\nb\tc")
        'a b c'
    """
    return _LINE_ENDS.sub(" ", text)


def json_line(value: Any) -> str:
    r"""Returns a value as JSON on one line; the readers of lines split it nowhere.

    Example:
        >>> json_line("a\u2028b")
        '"a\\u2028b"'
    """
    text = json.dumps(value, ensure_ascii=False)
    # JSON allows some line ends inside of strings.
    return _LINE_ENDS.sub(lambda end: f"\\u{ord(end[0]):04x}", text)


def wrapped(text: str, stream: TextIO) -> str:
    r"""Returns a text whose lines are broken between words if the stream is a terminal.

    Example:
        >>> import io
        >>> wrapped("word " * 40, io.StringIO()).count("\n")
        0
    """
    if not stream.isatty():
        return text
    width = shutil.get_terminal_size().columns
    options: Any = {"break_long_words": False, "break_on_hyphens": False}
    lines = [
        textwrap.wrap(line, width, **options) if len(line) > width else [line]
        for line in text.splitlines()
    ]
    return "\n".join(part for parts in lines for part in parts)


def message(text: str, stream: TextIO | None = None) -> None:
    """Prints a text, on standard error by default."""
    out = stream or sys.stderr
    print(wrapped(text, out), file=out, flush=True)


class _Formatter(logging.Formatter):
    """Formatter of log messages, which are broken between words on a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return wrapped(super().format(record), sys.stderr)


def command_line(name: str, args: Any, positional: str = "run") -> str:
    """Returns the command that repeats a call, with the flags that differ from their defaults."""
    words = ["flowjax", name, str(getattr(args, positional))]
    for field in dataclasses.fields(args):
        value = getattr(args, field.name)
        if field.name == positional or value == field.default:
            continue
        flag = "--" + field.name.replace("_", "-")
        values = value if isinstance(value, tuple) else (value,)
        words += [flag] if value is True else [flag, *map(str, values)]
    return shlex.join(filter(None, words))


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
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("flowjax: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logger = logging.getLogger("flowjax")
    before = logger.level
    logger.setLevel(level)

    def show(text: Warning | str, *_: Any) -> None:
        if level <= logging.WARNING:
            message(f"{prog}: warning: {' '.join(str(text).split())}")

    with warnings.catch_warnings():
        warnings.showwarning = show  # type: ignore[assignment]
        try:
            yield
        finally:
            logger.setLevel(before)
