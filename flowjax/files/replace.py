"""Replacement of files and folders in one step: a failure keeps the earlier version."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flowjax.errors import FlowjaxError


def temporary(path: Path) -> Path:
    """Returns an unused path in the same folder as `path`.

    Example:
        >>> temporary(Path("runs/model")).parent.name
        'runs'
    """
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Context manager that yields a path for a new file, which then replaces `path`.

    The new file is flushed to the disk before it replaces the earlier file. If the block raises an
    error, the earlier file is unchanged and the new file is removed.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "results.json"
        >>> with replacing(file) as new:
        ...     _ = new.write_text("{}")
        >>> file.read_text()
        '{}'
    """
    path = Path(os.path.realpath(path))  # replaces the target of a link, not the link
    new = temporary(path)
    try:
        with named(path):
            yield new
            sync(new)
            os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)
    sync(path.parent)


@contextmanager
def named(path: str | Path) -> Iterator[None]:
    """Context manager that adds a path to errors of the operating system that have none.

    A write to a full disk raises such an error.

    Example:
        >>> with named("vectors.npy"):
        ...     raise OSError(28, "No space left on device")
        Traceback (most recent call last):
            ...
        OSError: [Errno 28] No space left on device: 'vectors.npy'
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def replacing_folder(folder: str | Path) -> Iterator[Path]:
    """Context manager that yields a new folder, which then replaces `folder`.

    The earlier folder is moved aside, and is deleted after the new folder has its place. The
    caller checks that the earlier folder may be deleted. If the block or a move raises an error,
    the earlier folder is unchanged.

    Args:
        folder: final path; missing parents are created.

    Raises:
        OSError: A folder cannot be written or moved.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp()) / "model"
        >>> with replacing_folder(folder) as new:
        ...     _ = (new / "file").write_text("content")
        >>> entries(folder)
        ['file']
    """
    folder = Path(os.path.realpath(folder))
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = temporary(folder)
    old = new.with_suffix(".old")
    try:
        new.mkdir()
        with named(folder):
            yield new
        for name in entries(new):
            sync(new / name)
        if folder.exists():
            os.replace(folder, old)
        try:
            os.replace(new, folder)
        except OSError:
            if old.exists():
                _move_back(old, folder)
            raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
    sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def _move_back(old: Path, folder: Path) -> None:
    try:
        os.replace(old, folder)
    except OSError as error:
        raise OSError(
            error.errno, f"{folder}: cannot be replaced; the earlier folder is now {old}"
        ) from error


def check_replaceable(folder: Path, own: set[str] | None, *, overwrite: bool) -> None:
    """Raises FlowjaxError if a folder contains files that may not be deleted.

    Args:
        folder: folder that is to be written.
        own: relative paths of the files that flowjax wrote; None for a folder of other software.
        overwrite: True permits to replace a folder that contains only own files.

    Example:
        >>> check_replaceable(Path("nowhere"), None, overwrite=False)
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not overwrite:
        got = "folder" if folder.is_dir() else "file"
        raise FlowjaxError(f"{folder}: expected a new folder, got an existing {got}")
    if own is None:
        raise FlowjaxError(
            f"{folder}: expected a folder of flowjax to overwrite, got another folder or file"
        )
    for name in entries(folder):
        if name not in own:
            raise FlowjaxError(
                f"{folder}: expected only saved files to overwrite, got {name}; move that file to "
                "another folder"
            )


def entries(folder: Path) -> list[str]:
    """Returns the paths of all files and links below a folder, relative and in order.

    Example:
        >>> entries(Path("nowhere"))
        []
    """
    found = []
    for place, folders, files in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        found += [Path(place, name).relative_to(folder).as_posix() for name in (*files, *links)]
    return sorted(found)


def sync(path: Path) -> None:
    """Flushes a file, or the directory entries of a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
