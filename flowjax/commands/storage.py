"""Arguments of a command that are URLs of object storage: runs to read, files and runs to write.

A command works with local copies. Its outputs are copied to their URLs when they are complete,
and the small files of a training run every `SECONDS` as well. `training/remote_steps.py` copies
the checkpoints.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any, TextIO, TypeVar

from flowjax.commands.terminal import message
from flowjax.errors import FlowjaxError
from flowjax.files import folders, remote
from flowjax.files.replace import entries

# Commands whose output is a run folder, and those that can be one job on several machines.
RUNS = {"fit", "fit-array", "pretrain", "finetune", "demo"}
SEVERAL = {"fit-array"}
# Fields with a file or folder that a command writes, and that it reads from a local path.
WRITTEN, READ = ("out", "json", "report"), ("run", "queries", "vectors")
# Seconds between two copies of the small files of a run.
SECONDS = 20.0

T = TypeVar("T")


@contextlib.contextmanager
def localized(args: T, command: str) -> Iterator[T]:
    """Context manager that yields the arguments with local paths instead of URLs.

    Args:
        args: dataclass of the arguments.
        command: name of the command.

    Raises:
        FlowjaxError: A URL cannot be read or written, an output exists, or several processes would
            have to share an embedding store, which must be on a disk.
    """
    values = {f.name: getattr(args, f.name) for f in dataclasses.fields(args)}  # type: ignore[arg-type]
    urls = {name: remote.as_url(v) for name, v in values.items() if remote.is_remote(v)}
    if values.get("engine") == "ray":
        urls.pop("out", None)  # Ray writes shards to object storage itself
    changed: dict[str, Any] = {}
    for name in READ:
        if name in urls:
            kind = remote.kind_of(urls[name])
            read = remote.download if kind == "file" else folders.fetch_folder
            changed[name] = type(values[name])(read(urls[name]))
    with contextlib.ExitStack() as stack:
        for name in WRITTEN:
            if name in urls:
                write = _run if name == "out" and command in RUNS else _output
                local = stack.enter_context(write(urls[name], values, command, name))
                changed[name] = type(values[name])(local)
        if not changed:
            yield args
            return
        with contextlib.redirect_stdout(_WithUrls(sys.stdout)):  # type: ignore[type-var]
            yield dataclasses.replace(args, **changed)  # type: ignore[type-var]


class _WithUrls:
    """Stream that writes the URLs in place of the paths of local copies."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        return self._stream.write(folders.with_urls(text))


@contextlib.contextmanager
def _output(url: str, values: dict[str, Any], command: str, name: str) -> Iterator[Path]:
    """Yields a local path; the file or folder there is copied to the URL afterwards."""
    if values.get("share", "0/1") != "0/1":
        raise FlowjaxError(
            "--share: expected an --out on a disk that all processes share, because they fill "
            f"one memory-mapped embedding store, got {url}; use --engine ray"
        )
    earlier = remote.kind_of(url)
    if earlier and not values.get("overwrite", name != "out"):
        raise FlowjaxError(
            f"--{name} {url}: expected a new name, got an existing {earlier}; use --overwrite"
        )
    local = folders.local_copy(url)
    _delete(local)  # of an earlier command whose upload failed
    local.parent.mkdir(parents=True, exist_ok=True)
    yield local
    if local.is_dir():
        folders.push(local, url)
    elif local.exists():
        remote.upload(local, url)
    else:
        return
    message(f"flowjax {command}: copied {local} to {url}")
    _delete(local)


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


@contextlib.contextmanager
def _run(url: str, values: dict[str, Any], command: str, name: str) -> Iterator[Path]:
    """Yields the local copy of a run folder, whose files are copied to the URL again."""
    from flowjax.parallel import processes

    local = folders.local_copy(url)
    if processes.several() and command not in SEVERAL:
        raise FlowjaxError(
            f"--out: expected a disk that all processes share, because flowjax {command} maps "
            f"files of its run folder into memory, got {url}; encode with --engine ray and fit "
            "with fit-array"
        )
    if not processes.is_first():
        yield local
        return
    names = [key for key in remote.entries_of(url) if _is_small(key)]
    if "config.toml" not in names:  # files of an earlier run, which was removed from the storage
        shutil.rmtree(local, ignore_errors=True)
    elif local.exists():  # the storage has the newest files, except an embedding store
        for key in entries(local):
            if _is_small(key):
                (local / key).unlink()
    local.parent.mkdir(parents=True, exist_ok=True)
    if names:
        folders.pull(url, local, names)
    known = {key: folders.facts(local / key) for key in names}
    copy = folders.Published(local, url, known=known, keeps=_is_small)
    done, errors = Event(), []

    def repeat() -> None:
        while not done.wait(SECONDS):
            try:
                copy.update()
            except (FlowjaxError, OSError) as error:  # tried again later, and raised at the end
                errors.append(error)

    thread = Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield local
    finally:
        done.set()
        thread.join()
        if local.exists():
            copy.update()
    if errors:
        message(
            f"flowjax {command}: {len(errors)} copies were repeated, the first after {errors[0]}"
        )
    message(f"flowjax {command}: copied {local} to {url}")


def _is_small(name: str) -> bool:
    """Returns True for files of a run that others read, such as its model and its metrics."""
    hidden = any(part.startswith(".") for part in name.split("/"))
    return not hidden and not name.startswith(folders.PRIVATE) and not name.endswith(".npy")
