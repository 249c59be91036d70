"""Checkpoints of a training run, written by orbax in the background and verified when read.

Every checkpoint holds the state and a CRC of each leaf. If the newest checkpoint cannot be read
or does not match its CRCs, `restore` logs a warning and uses the checkpoint before it.
"""

from __future__ import annotations

import logging
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from difflib import ndiff
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from flowjax.errors import FlowjaxError, first_line
from flowjax.files.folders import url_of
from flowjax.files.lock import locked
from flowjax.parallel import devices, processes
from flowjax.training.remote_steps import RemoteSteps, remote_steps, remove_steps

logger = logging.getLogger("flowjax")
# Keys of `about` and `run` among the checksums; paths of leaves begin with "[" or ".".
ABOUT, RUN = "about", "run"


class Checkpoints:
    """Checkpoints of one run, in the folders `folder/STEP/`.

    Example:
        >>> import tempfile
        >>> with Checkpoints(tempfile.mkdtemp()) as checkpoints:
        ...     checkpoints.save(3, {"w": np.ones(2)})
        ...     step, state = checkpoints.restore({"w": np.zeros(2)})
        >>> step, state["w"].tolist()
        (3, [1.0, 1.0])
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        keep: int = 3,
        about: str = "",
        run: Mapping[str, str] | None = None,
        warn: Callable[[str], None] = logger.warning,
    ) -> None:
        """Opens a folder of checkpoints; creates it if it does not exist.

        Args:
            folder: path of the folder, or its URL in object storage, see `remote_steps.py`.
            keep: number of newest checkpoints to keep.
            about: description of the model, such as the layer summary of a flow. It is saved with
                each checkpoint. `restore` raises an error for another description, because another
                model may have arrays of the same shapes.
            run: values that must not change when the run resumes, by name, such as the seed and a
                digest of the data. They are saved with each checkpoint, and `restore` raises an
                error for other values.
            warn: function called with one line of text for each unusable checkpoint.
        """
        url = url_of(folder)
        self._remote = RemoteSteps(url) if url else None
        self.folder: Any = self._remote.url if self._remote else Path(folder).absolute()
        local = self._remote.folder if self._remote else self.folder
        self._keep, self._copying = keep, ThreadPoolExecutor(1)
        self._copied: Future[None] | None = None
        self._warn, self._about, self._run = warn, about, dict(run or {})
        logging.getLogger("absl").addFilter(self._passes)
        options = ocp.CheckpointManagerOptions(max_to_keep=keep)
        if self._remote and processes.several():  # no process sees the disk of another
            i = jax.process_index()
            options.multiprocessing_options = ocp.options.MultiprocessingOptions(
                primary_host=i, active_processes={i}, barrier_sync_key_prefix=f"process{i}"
            )
            options.create = False
        self._manager = ocp.CheckpointManager(local, options=options)
        self._lock = ExitStack()

    def __enter__(self) -> Checkpoints:
        """Locks the folder, on process 0 of a job.

        Raises:
            FlowjaxError: Another process uses the folder.
        """
        try:
            if processes.is_first() and not self._remote:
                self._lock.enter_context(locked(Path(self.folder) / ".lock", self.folder))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.close()

    def place(self, step: int) -> str:
        """Returns the path or URL of the checkpoint of a step."""
        return f"{self.folder}/{step}"

    @property
    def steps(self) -> list[int]:
        """Steps that have a checkpoint, in ascending order."""
        found = self._remote.steps() if self._remote else self._manager.all_steps()
        return sorted(found)

    def save(self, step: int, state: Any, *, wait: bool = False) -> None:
        """Saves a pytree of arrays in the background.

        Args:
            step: number of the checkpoint; an existing checkpoint is not replaced.
            state: pytree of replicated arrays, and of NumPy arrays that are equal on all
                processes.
            wait: True returns after the checkpoint is written.

        Raises:
            OSError: This save or an earlier save failed, for example because the disk is full.
            LostProcess: A peer process died.
        """
        if self._remote:
            self._save_remotely(self._remote, step, state, wait)
            return
        if step in self._manager.all_steps():
            return
        with self._saving():
            checks = ocp.args.JsonSave({**_checks(state), ABOUT: self._about, RUN: self._run})
            arrays = ocp.args.StandardSave(state)
            self._manager.save(step, args=ocp.args.Composite(state=arrays, checks=checks))
            if wait:
                self._manager.wait_until_finished()

    def _save_remotely(self, steps: RemoteSteps, step: int, state: Any, wait: bool) -> None:
        """Saves a state on process 0, and copies it to object storage in the background.

        With `wait`, the other processes wait as well: a process that ends ends its peers.
        """
        if processes.is_first() and step not in self._manager.all_steps():
            state = jax.tree.map(lambda x: devices.to_host(x) if _on_device(x) else x, state)
            with self._saving():
                self._finish_copy()
                checks = ocp.args.JsonSave({**_checks(state), ABOUT: self._about, RUN: self._run})
                arrays = ocp.args.StandardSave(state)
                self._manager.save(step, args=ocp.args.Composite(state=arrays, checks=checks))
                self._manager.wait_until_finished()
                self._copied = self._copying.submit(steps.publish, step, self._keep)
        if wait:
            with self._saving(), processes.first_alone() as first:
                if first:
                    self._finish_copy()

    def _finish_copy(self) -> None:
        if self._copied:
            copied, self._copied = self._copied, None
            copied.result()

    def restore(self, like: Any) -> tuple[int, Any] | None:
        """Reads the newest undamaged checkpoint.

        Args:
            like: pytree of arrays, or of shapes and dtypes, with the structure of the state.

        Returns:
            `(step, state)` in host memory, or None if there is no usable checkpoint.

        Raises:
            FlowjaxError: A checkpoint belongs to another model, run, optimizer or validation.
            LostProcess: A peer process died.
        """
        abstract = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), like)
        for step in reversed(self.steps):
            if self._remote:
                self._remote.fetch(step)
            try:
                checks = self._read(step, checks=ocp.args.JsonRestore())["checks"]
                self._check_about(step, checks.pop(ABOUT, ""))
                self._check_run(step, checks.pop(RUN, {}))
                self._check_form(step, checks, _checks(abstract))
                state = self._read(step, state=ocp.args.StandardRestore(abstract))["state"]
            except (FlowjaxError, processes.LostProcess):
                raise
            except Exception as error:  # tensorstore and json raise many types for damaged files
                reason = first_line(error)
                self._warn(f"{self.place(step)}: cannot be read: {reason}")
                continue
            if checks == _checks(state):
                return step, state
            self._warn(f"{self.place(step)}: damaged: its checksums do not match")
        return None

    def _read(self, step: int, **items: Any) -> Any:
        with processes.together():
            return self._manager.restore(step, args=ocp.args.Composite(**items))

    def _check_about(self, step: int, found: str) -> None:
        if found == self._about:
            return
        where = self.place(step)
        if not found:
            raise FlowjaxError(
                f"{where}: expected a description of the model, got none; start in a new folder"
            )
        changes = list(ndiff(found.splitlines(), self._about.splitlines()))
        got, expected = (
            next((line[2:].strip() for line in changes if line.startswith(sign)), "nothing")
            for sign in "-+"
        )
        raise FlowjaxError(
            f"{where}: expected {expected!r}, got {got!r}; these are checkpoints of another model"
        )

    def _check_run(self, step: int, found: dict[str, str]) -> None:
        where = self.place(step)
        for name in [name for name in self._run if name in found]:
            if found[name] != self._run[name]:
                raise FlowjaxError(
                    f"{name}: expected {found[name]}, as in the checkpoint {where}, got "
                    f"{self._run[name]}; start another run in a new folder"
                )

    def _check_form(self, step: int, found: dict[str, str], wanted: dict[str, str]) -> None:
        for name in sorted({*found, *wanted}):
            got = found[name].split(" ", 1)[1] if name in found else "nothing"
            expected = wanted[name].split(" ", 1)[1] if name in wanted else "nothing"
            if got != expected:
                raise FlowjaxError(
                    f"{self.place(step)}: state{name}: expected {expected}, got {got}; "
                    "these are checkpoints of another model, optimizer or validation"
                )

    def close(self) -> None:
        """Waits for unfinished saves.

        Raises:
            OSError: A save failed.
            LostProcess: A peer process died.
        """
        with self._saving():
            try:
                self._manager.wait_until_finished()
                self._finish_copy()
            finally:
                self._manager.close()
                self._copying.shutdown()
                if self._remote:
                    self._remote.close()
                logging.getLogger("absl").removeFilter(self._passes)

    @staticmethod
    def _passes(record: logging.LogRecord) -> bool:
        """Returns False for records of orbax below ERROR.

        Orbax logs each save at INFO and harmless conditions at WARNING.
        """
        return record.levelno >= logging.ERROR or "orbax" not in record.pathname

    @contextmanager
    def _saving(self) -> Iterator[None]:
        try:
            with processes.together():
                yield
        except processes.LostProcess:
            raise
        except (ValueError, RuntimeError, OSError) as error:
            try:
                newest = f"step {self.steps[-1]}" if self.steps else "none"
            except FlowjaxError:  # the storage system cannot be reached
                newest = "unknown"
            raise OSError(
                f"{self.folder}: cannot save a checkpoint: {_reason(error)}; last saved: {newest}"
            ) from error


def _reason(error: BaseException) -> str:
    """Returns the operating system's reason, the last part of tensorstore's message."""
    text = " ".join(str(error).split()) or type(error).__name__
    return re.sub(r"\s*\[os_error_code.*", "", text).rsplit(": ", 1)[-1][:200]


def _checks(state: Any) -> dict[str, str]:
    """Returns the CRC, dtype and shape of each leaf as text, by the leaf's path."""
    leaves = jax.tree_util.tree_flatten_with_path(state)[0]
    checks = {}
    for path, leaf in leaves:
        host = np.asarray(devices.to_host(leaf) if _on_device(leaf) else leaf)
        crc = zlib.crc32(host.tobytes())
        checks[jax.tree_util.keystr(path)] = f"{crc:08x} {host.dtype} {host.shape}"
    return checks


def _on_device(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array)


def saved_steps(folder: str | Path) -> list[int]:
    """Returns the steps with a finished checkpoint in a folder, in ascending order.

    Returns an empty list if the folder does not exist, and never creates it.
    """
    if url := url_of(folder):
        return remote_steps(url)
    return sorted(int(p.name) for p in Path(folder).glob("*") if p.name.isdigit())


def remove_remote_steps(folder: str | Path) -> None:
    """Removes the checkpoints of a folder if they are in object storage."""
    if url := url_of(folder):
        remove_steps(url)
