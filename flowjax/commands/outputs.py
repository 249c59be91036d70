"""Checks of output files before any work is done."""

from __future__ import annotations

import os
from pathlib import Path

from flowjax.errors import FlowjaxError


def check_output(
    path: Path, *, overwrite: bool, suffixes: tuple[str, ...], flag: str = "--out"
) -> None:
    """Raises FlowjaxError if the output file may not be written.

    Args:
        path: the output file.
        overwrite: True if an existing file may be replaced.
        suffixes: supported file suffixes.
        flag: name of the flag, for error messages.
    """
    if path.suffix not in suffixes:
        raise FlowjaxError(f"{flag} {path}: expected a name ending in {', '.join(suffixes)}")
    if path.is_dir():
        raise FlowjaxError(f"{flag} {path}: expected a file, got a folder")
    if path.exists() and not overwrite:
        raise FlowjaxError(
            f"{flag} {path}: expected a new name, got an existing file; use --overwrite"
        )
    if not path.parent.is_dir():
        raise FlowjaxError(
            f"{flag} {path}: expected an existing folder {path.parent}, got no such folder"
        )
    if not os.access(path.parent, os.W_OK):
        raise FlowjaxError(
            f"{flag} {path}: expected a folder with write permission, got {path.parent}"
        )
