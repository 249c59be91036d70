"""Messages on standard error, and the command line that a report shows."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from typing import Any


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
