"""Orbax save and resume: written in the background, kept by number, checked when read.

Every checkpoint carries a CRC of each leaf beside the state. A newest checkpoint that is
truncated, or reads but does not agree with its CRCs, is reported and the one before it is used.
"""

from __future__ import annotations

import logging
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import ndiff
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from flowjax.parallel import devices, processes
from flowjax.types import FlowjaxError

logger = logging.getLogger("flowjax")
# Among the checksums, by a name that no path of a leaf has.
ABOUT = "about"


class Checkpoints:
    """The checkpoints of one run, in `folder/STEP/`.

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
        warn: Callable[[str], None] = logger.warning,
    ) -> None:
        """Opens a folder of checkpoints, or makes it.

        Args:
            folder: made if it does not exist.
            keep: how many of the newest are kept.
            about: what the states are of (a flow's layers); kept beside them, and `restore`
                refuses those of anything else, which arrays of the same shapes may well be.
            warn: called with one line about each checkpoint that cannot be used.
        """
        self.folder = Path(folder).absolute()
        self._warn, self._about = warn, about
        # Orbax tells each save on the log at INFO and each odd thing at WARNING; ours is `warn`.
        logging.getLogger("absl").setLevel(logging.ERROR)
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep, create=True, enable_async_checkpointing=True
        )
        self._manager = ocp.CheckpointManager(self.folder, options=options)

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def steps(self) -> list[int]:
        """The steps that have a checkpoint, oldest first."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, state: Any, *, wait: bool = False) -> None:
        """Saves a pytree of arrays in the background.

        Args:
            step: the checkpoint's number; one that exists already is kept as it is.
            state: replicated arrays, and NumPy arrays that are equal on all processes.
            wait: returns only when it is on the disk.

        Raises:
            OSError: an earlier background save failed (a full disk, say).
            LostProcess: another process of the job is gone.
        """
        if step in self._manager.all_steps():
            return
        with self._saving():
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(state),
                    checks=ocp.args.JsonSave({**_checks(state), ABOUT: self._about}),
                ),
            )
            if wait:
                self._manager.wait_until_finished()

    def restore(self, like: Any) -> tuple[int, Any] | None:
        """Reads the newest checkpoint that is whole.

        Args:
            like: a tree of arrays (or shapes) of the state's form; the result has their dtypes.

        Returns:
            `(step, state)` in host memory, or None where there is no usable checkpoint.

        Raises:
            ValueError: a checkpoint is whole but of another form (another flow, say).
        """
        abstract = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), like)
        for step in reversed(self.steps):
            try:
                checks = self._read(step, checks=ocp.args.JsonRestore())["checks"]
                self._check_about(step, checks.pop(ABOUT, ""))
                self._check_form(step, checks, _checks(abstract))
                state = self._read(step, state=ocp.args.StandardRestore(abstract))["state"]
            except (FlowjaxError, processes.LostProcess):
                raise
            except Exception as error:  # whatever a damaged file makes tensorstore or json raise
                reason = processes.first_line(error)
                self._warn(f"{self.folder / str(step)}: cannot be read: {reason}")
                continue
            if checks == _checks(state):
                return step, state
            self._warn(f"{self.folder / str(step)}: damaged (checksums do not agree)")
        return None

    def _read(self, step: int, **items: Any) -> Any:
        with processes.together():
            return self._manager.restore(step, args=ocp.args.Composite(**items))

    def _check_about(self, step: int, found: str) -> None:
        if found == self._about:
            return
        where = self.folder / str(step)
        if not found:
            raise FlowjaxError(f"{where}: begun by an earlier version; start in a new folder")
        changes = list(ndiff(found.splitlines(), self._about.splitlines()))
        got, expected = (
            next((line[2:].strip() for line in changes if line.startswith(sign)), "nothing there")
            for sign in "-+"
        )
        raise FlowjaxError(
            f"{where}: expected {expected!r}, got {got!r}; these are checkpoints of another model"
        )

    def _check_form(self, step: int, found: dict[str, str], wanted: dict[str, str]) -> None:
        for name in sorted({*found, *wanted}):
            got = found[name].split(" ", 1)[1] if name in found else "nothing"
            expected = wanted[name].split(" ", 1)[1] if name in wanted else "nothing"
            if got != expected:
                raise FlowjaxError(
                    f"{self.folder / str(step)}: state{name}: expected {expected}, got {got}; "
                    "these are checkpoints of another model, optimizer or validation"
                )

    def close(self) -> None:
        """Waits for the saves under way.

        Raises:
            OSError: one of them failed.
            LostProcess: another process of the job is gone.
        """
        with self._saving():
            try:
                self._manager.wait_until_finished()
            finally:
                self._manager.close()

    @contextmanager
    def _saving(self) -> Iterator[None]:
        try:
            with processes.together():
                yield
        except processes.LostProcess:
            raise
        except (ValueError, RuntimeError, OSError) as error:
            raise self._unsaved(error) from error

    def _unsaved(self, error: BaseException) -> OSError:
        """A failed save as one line: the system's reason stands last in tensorstore's chain."""
        whole = " ".join(str(error).split()) or type(error).__name__
        reason = re.sub(r"\s*\[os_error_code.*", "", whole).rsplit(": ", 1)[-1][:200]
        kept = f"the one of step {self.steps[-1]} is whole" if self.steps else "there is none yet"
        return OSError(f"{self.folder}: cannot save a checkpoint: {reason}; {kept}")


def _checks(state: Any) -> dict[str, str]:
    """A CRC, dtype and shape for each leaf, by its path."""
    leaves = jax.tree_util.tree_flatten_with_path(state)[0]
    return {jax.tree_util.keystr(path): _check(leaf) for path, leaf in leaves}


def _check(leaf: Any) -> str:
    host = np.asarray(devices.to_host(leaf) if isinstance(leaf, jax.Array) else leaf)
    return f"{zlib.crc32(np.ascontiguousarray(host).tobytes()):08x} {host.dtype} {host.shape}"


def saved_steps(folder: str | Path) -> list[int]:
    """The steps that have a finished checkpoint in a folder, oldest first; nothing is made."""
    if not Path(folder).is_dir():
        return []
    return sorted(int(p.name) for p in Path(folder).iterdir() if p.name.isdigit())
