"""Folders with a `config.json` that are written atomically."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flowjax._version import __version__
from flowjax.errors import FlowjaxError

# Folders of other formats raise an error. Format 2 had no digest of the layers of a flow.
FORMAT = 3
CONFIG = "config.json"


@contextmanager
def new_folder(
    folder: str | Path, config: Mapping[str, Any], *, overwrite: bool = False
) -> Iterator[Path]:
    """Context manager that returns a temporary folder, and renames it after the block.

    If the block raises an error or the process is killed, an existing folder is unchanged.

    Args:
        folder: final path of the folder; missing parents are created.
        config: content of `config.json`; the format and the version are added.
        overwrite: True replaces an existing folder that this function wrote.

    Raises:
        FlowjaxError: The folder exists, and `overwrite` is False or other software wrote it.
    """
    folder = Path(folder)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        if not overwrite:
            raise FlowjaxError(f"{folder}: expected a new folder, got an existing folder")
        if "format" not in (_read(folder / CONFIG) or {}):
            raise FlowjaxError(
                f"{folder}: expected a folder of flowjax to overwrite, got another folder or file"
            )
    folder.parent.mkdir(parents=True, exist_ok=True)
    name = f".{folder.name}-{secrets.token_hex(4)}"
    partial, old = folder.with_name(name), folder.with_name(f"{name}-old")
    try:
        partial.mkdir()
        text = json.dumps({"format": FORMAT, "flowjax": __version__, **config}, indent=2)
        (partial / CONFIG).write_text(text + "\n", "utf-8")
        yield partial
        if folder.exists():
            os.replace(folder, old)
        try:
            os.replace(partial, folder)
        except OSError:
            if old.exists():
                os.replace(old, folder)
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def find_folder(folder: str | Path) -> Path:
    """Returns the folder that holds `config.json`: `folder`, or `model` inside of a run folder."""
    folder = Path(folder)
    return folder / "model" if (folder / "model").is_dir() else folder


def read_config(folder: str | Path) -> dict[str, Any] | None:
    """Returns the content of `config.json` in a model or run folder; None if it does not exist.

    Raises:
        FlowjaxError: The file cannot be read, or it has another format.
    """
    file = find_folder(folder) / CONFIG
    if not file.exists():
        return None
    config = _read(file)
    if config is None:
        raise FlowjaxError(
            f"{file}: expected the config of a saved flow or model, got no JSON object"
        )
    if config.get("format") != FORMAT:
        raise FlowjaxError(
            f"{file}: expected format {FORMAT}, got {config.get('format')!r}; fit the model again"
        )
    return config


def _read(file: Path) -> dict[str, Any] | None:
    """Returns the object in a JSON file; None if the file is missing or has other content."""
    try:
        value = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
