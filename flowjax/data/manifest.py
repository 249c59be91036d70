"""A store's `manifest.json`: whole or not there, whoever writes it and whenever it is killed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Not part of what a store is of: what is only recorded, and what came out.
_OWN = {"notes", "result"}


class OtherStore(ValueError):
    """The store that is there holds something else."""


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a store.

    Raises:
        ValueError: there is none, or it is damaged.
    """
    file = folder / "manifest.json"
    try:
        found = json.loads(file.read_text("utf-8"))
        if not {"dim", "block"} <= set(found):
            raise ValueError("no dim and block in it")
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{file}: expected an embedding store's manifest: {error}") from None
    return found


def create_manifest(folder: Path, value: Mapping[str, Any]) -> None:
    """Writes the manifest of a new store; another process's that came first stays."""
    path = folder / "manifest.json"
    partial = _write_beside(path, value)
    try:
        os.link(partial, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        os.replace(partial, path)
    partial.unlink(missing_ok=True)


def replace_manifest(folder: Path, value: Mapping[str, Any]) -> None:
    """Puts another manifest in the place of the one there."""
    path = folder / "manifest.json"
    os.replace(_write_beside(path, value), path)


def made_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that two stores of the same vectors have in common."""
    return {name: value for name, value in manifest.items() if name not in _OWN}


def check_same(folder: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuses a store of something else.

    Raises:
        OtherStore: naming the first field that differs.
    """
    found, wanted = made_of(found), made_of(wanted)
    for name in sorted({*wanted, *found}):
        if wanted.get(name) != found.get(name):
            raise OtherStore(
                f"{folder}: holds vectors of {name} {found.get(name)!r}, expected "
                f"{wanted.get(name)!r}; use another folder or --overwrite"
            )


def _write_beside(path: Path, value: Mapping[str, Any]) -> Path:
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    return partial
