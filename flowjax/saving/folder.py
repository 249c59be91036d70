"""Folders with a `config.json`, which are written in one step and verified when they are read.

Compatibility: each release reads the folders of format 3 of earlier releases, and computes the
same vectors and densities from them. `tests/saving/folders` has such folders.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flowjax._version import __version__
from flowjax.errors import FlowjaxError
from flowjax.files.folders import fetch_folder, push
from flowjax.files.json import field, read_object
from flowjax.files.remote import as_url, entries_of, is_remote, temporary_folder
from flowjax.files.replace import check_replaceable, entries, replacing_folder

# Folders of other formats raise an error. Format 2 had no digest of the layers of a flow.
# New entries of `config.json`, such as `files`, do not change the format.
FORMAT = 3
CONFIG = "config.json"
# The model card may be edited.
CARD = "README.md"
# Files in folders without a list of their files.
_EARLIER_FILES = {
    *(CONFIG, "flow.safetensors", "moments.safetensors", "tokenizer.json", CARD),
    *(f"encoder/{name}" for name in (CONFIG, "model.safetensors", "tokenizer.json")),
}


@contextmanager
def new_folder(
    folder: str | Path, config: Mapping[str, Any], *, overwrite: bool = False
) -> Iterator[Path]:
    """Context manager that yields a new folder, which replaces `folder` after the block.

    If the block raises an error or the process is killed, an existing folder is unchanged.

    Args:
        folder: final path of the folder; missing parents are created.
        config: content of `config.json`; the format, the version and the digests of all files are
            added.
        overwrite: True replaces an existing folder that contains only files of this function.

    Raises:
        FlowjaxError: See `check_folder`.
    """
    earlier = check_folder(folder, overwrite=overwrite)
    remote = is_remote(folder)
    with replacing_folder(temporary_folder() / "model" if remote else folder) as new:
        yield new
        content = {"format": FORMAT, "flowjax": __version__, **config}
        content["files"] = {name: file_digest(new / name) for name in entries(new)}
        (new / CONFIG).write_text(json.dumps(content, indent=2) + "\n", "utf-8")
        if remote:
            push(new, as_url(folder), replaces=earlier)


def check_folder(folder: str | Path, *, overwrite: bool) -> list[str]:
    """Raises FlowjaxError if a flow or a model may not be saved to a folder.

    Args:
        folder: path of the folder, or its URL in object storage.
        overwrite: True permits a folder of an earlier save, without other files.

    Returns:
        Names of the objects below a URL.

    Raises:
        FlowjaxError: The path is a file; or the folder is not empty, and `overwrite` is False or
            the folder contains files that were not saved with it.
    """
    if is_remote(folder):
        found = list(entries_of(folder))
        if found and not overwrite:
            raise FlowjaxError(f"{as_url(folder)}: expected a new folder, got an existing folder")
        own = saved_files(fetch_folder(folder)) if found else set()
        for name in found:
            if own is None or name not in own:
                raise FlowjaxError(
                    f"{as_url(folder)}: expected only saved files to overwrite, got {name}"
                )
        return found
    folder = Path(folder)
    check_replaceable(folder, saved_files(folder), overwrite=overwrite)
    return []


def saved_files(folder: Path) -> set[str] | None:
    """Returns the names of the files that were saved in a folder, relative to the folder.

    Returns None if the folder has no `config.json` of a saved flow or model.
    """
    try:
        config = read_object(folder / CONFIG)
    except FlowjaxError:
        return None
    if isinstance(config.get("format"), int) and isinstance(config.get("flow"), dict):
        return {*_EARLIER_FILES, *_names(config)}
    return None


def find_folder(folder: str | Path) -> Path:
    """Returns the folder that holds `config.json`: `folder`, or `model` inside of a run folder."""
    folder = Path(folder)
    return folder / "model" if (folder / "model").is_dir() else folder


def local_folder(folder: str | Path) -> str | Path:
    """Returns a model or run folder, or a local copy of its files in object storage.

    Raises:
        FlowjaxError: The folder in object storage does not exist or cannot be read.

    Example:
        >>> local_folder("runs/mine")
        'runs/mine'
    """
    return fetch_folder(folder) if is_remote(folder) else folder


def read_config(folder: str | Path) -> dict[str, Any] | None:
    """Returns the content of `config.json` in a model or run folder; None if it does not exist.

    Raises:
        FlowjaxError: The file cannot be read, is damaged, or has another format.
    """
    file = find_folder(folder) / CONFIG
    if not file.exists():
        return None
    config = read_object(file)
    if "format" not in config and "model_type" in config:
        raise FlowjaxError(
            f"{folder}: expected a fitted flow or model, got the encoder {file.parent}; fit a "
            f"flow with --encoder {file.parent}, or encode plain vectors with "
            f"flowjax encode {file.parent}"
        )
    if isinstance(config.get("program"), dict):
        raise FlowjaxError(
            f"{folder}: expected a fitted flow or model, got an exported program; see its {CARD}, "
            "or load the model that it was exported from"
        )
    found = config.get("format")
    if found != FORMAT:
        newer = isinstance(found, int) and found > FORMAT
        remedy = "install a newer flowjax" if newer else "fit the model again"
        raise FlowjaxError(f"{file}: expected format {FORMAT}, got {found!r}; {remedy}")
    return config


def no_config(folder: str | Path, expected: str) -> FlowjaxError:
    """Returns the error of a folder without `config.json`, such as an unfinished run.

    Args:
        folder: model or run folder.
        expected: noun phrase of the expected folder.
    """
    command = run_command(Path(folder))
    if command is not None:
        return FlowjaxError(
            f"{folder}: expected a finished run, got an unfinished run; repeat its command "
            f"(flowjax {command}) to finish it"
        )
    got = f"no {CONFIG}" if Path(folder).exists() else "no such folder"
    return FlowjaxError(f"{folder}: expected {expected}, got {got}")


def run_command(folder: Path) -> str | None:
    """Returns the name of the command that made a run folder, from the head of `config.toml`.

    Returns None if the folder has no `config.toml` of a command.
    """
    try:
        with (folder / "config.toml").open(encoding="utf-8") as file:
            words = file.readline(200).split()
    except (OSError, UnicodeDecodeError):
        return None
    return words[2] if words[:2] == ["#", "flowjax"] and len(words) > 2 else None


def check_files(folder: Path, config: Mapping[str, Any]) -> None:
    """Verifies the files of a saved folder, except the model card.

    Args:
        folder: folder that contains `config.json`.
        config: content of `config.json`.

    Raises:
        FlowjaxError: A file is missing, or differs from the saved file.
    """
    for name, digest in field(config, "files", dict, folder / CONFIG, {}).items():
        file = folder / name
        if not file.is_file():
            raise FlowjaxError(f"{file}: expected a file of the saved model, got no such file")
        if name != CARD and file_digest(file) != digest:
            raise FlowjaxError(
                f"{file}: expected the saved content (SHA-256 {str(digest)[:12]}), got a changed "
                "or damaged file; copy the folder again, or fit the model again"
            )


def file_digest(file: Path) -> str:
    """Returns the SHA-256 hash of a file in hexadecimal digits."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _names(config: Mapping[str, Any]) -> set[str]:
    files = config.get("files")
    return set(files) if isinstance(files, dict) else set()
