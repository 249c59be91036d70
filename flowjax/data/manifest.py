"""Manifest of an embedding store: the inputs that determine its vectors, and the result."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from flowjax.data.durable import publish
from flowjax.errors import FlowjaxError
from flowjax.files.json import field, read_object

# Manifest keys with hashes, and their meaning in error messages.
_HASHES = {
    "source_hash": ("the given sentences", "other sentences"),
    "encoder_hash": ("the given encoder", "an encoder with other weights"),
    "flow_hash": ("the given flow", "another flow or of none"),
}
# Manifest keys that do not identify a store: free-form notes and the result.
_OWN = {"notes", "result"}


class OtherStore(FlowjaxError):
    """Error raised when a folder holds the vectors of other inputs."""


def check_sizes(
    values: Mapping[str, Any], keys: Iterable[str], name: str | Path, least: int = 0
) -> None:
    """Raises FlowjaxError if one of the fields is not an integer of at least `least`."""
    for key in keys:
        size = field(values, key, int, name)
        if not least <= size < 1 << 62:
            raise FlowjaxError(f"{name}: {key}: expected an integer from {least}, got {size}")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Returns the manifest of a store.

    Raises:
        FlowjaxError: The manifest is missing or damaged.
    """
    file = folder / "manifest.json"
    found = read_object(file)
    check_sizes(found, ("dim", "block"), file, 1)
    if "result" in found:
        result = field(found, "result", dict, file)
        field(result, "hash", str, file)
        check_sizes(result, {*result, "rows", "empty"} - {"hash"}, file)
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
        old, new = found.get(name), wanted.get(name)
        if old == new:
            continue
        want, have = f"{name} {new!r}", repr(old)
        if name in _HASHES:
            this, other = _HASHES[name]
            want, have = f"{this} ({name} {new!r})", f"vectors of {other} ({old!r})"
        raise OtherStore(
            f"{folder}: expected vectors of {want}, got {have}; use another folder or --overwrite"
        )
