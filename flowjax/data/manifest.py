"""Manifest of an embedding store: the inputs that determine its vectors, and the result."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flowjax.data.durable import publish
from flowjax.errors import FlowjaxError

# Manifest keys that do not identify a store: free-form notes and the result.
_OWN = {"notes", "result"}


class OtherStore(FlowjaxError):
    """Error raised when a folder holds the vectors of other inputs."""


def read_manifest(folder: Path) -> dict[str, Any]:
    """Returns the manifest of a store.

    Raises:
        FlowjaxError: The manifest is missing or damaged.
    """
    file = folder / "manifest.json"
    try:
        found = json.loads(file.read_text("utf-8"))
        if not {"dim", "block"} <= set(found):
            raise ValueError("dim or block is missing")
    except (OSError, ValueError, TypeError) as error:
        raise FlowjaxError(
            f"{file}: expected the manifest of an embedding store, got: {error}"
        ) from None
    return found


def write_manifest(folder: Path, value: Mapping[str, Any], *, replace: bool = True) -> None:
    """Writes the manifest of a store; `replace=False` keeps an existing manifest."""
    path = folder / "manifest.json"
    # Several processes may write at once, and process ids are not unique across containers.
    partial = path.with_name(f".manifest.{uuid.uuid4().hex}.partial")
    try:
        partial.write_text(json.dumps(value, indent=1), "utf-8")
        publish(partial, path, replace=replace)
    finally:
        partial.unlink(missing_ok=True)


def identity(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the manifest fields that identify the vectors of a store."""
    return {name: value for name, value in manifest.items() if name not in _OWN}


def check_same(folder: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Checks that a store holds the wanted vectors.

    Raises:
        OtherStore: A field differs; the message names the first such field.
    """
    found, wanted = identity(found), identity(wanted)
    for name in sorted({*wanted, *found}):
        if wanted.get(name) != found.get(name):
            raise OtherStore(
                f"{folder}: expected vectors of {name} {wanted.get(name)!r}, got "
                f"{found.get(name)!r}; use another folder or --overwrite"
            )
