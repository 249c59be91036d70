"""Checkpoints in object storage: complete copies of the folders that orbax writes on the disk.

orbax writes to POSIX disks and to Google's storage, but not to S3. Hence each checkpoint is
written to a temporary folder and copied. Its last object, `complete.json`, lists the others with
their sizes; a checkpoint without it does not count.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from flowjax.errors import FlowjaxError
from flowjax.files import remote
from flowjax.files.folders import pull
from flowjax.files.json import parse_object
from flowjax.files.replace import entries

COMPLETE = "complete.json"


class RemoteSteps:
    """Checkpoints `url/STEP/` of one run, and the local folder in which they are written.

    Attributes:
        url: URL of the checkpoints.
        folder: local folder, deleted by `close`.
    """

    def __init__(self, url: str) -> None:
        """Lists nothing yet; creates the local folder."""
        self.url, self.folder = url, remote.temporary_folder()

    def steps(self) -> list[int]:
        """Returns the steps with a complete checkpoint, in ascending order."""
        return remote_steps(self.url)

    def fetch(self, step: int) -> None:
        """Copies a checkpoint to the local folder.

        Raises:
            FlowjaxError: An object is missing, has another size, or cannot be read.
        """
        place, local = remote.join(self.url, str(step)), self.folder / str(step)
        if local.exists():
            return
        name = remote.join(place, COMPLETE)
        sizes = parse_object(remote.read_remote(name), name)
        partial = self.folder / f"{step}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        pull(place, partial, sizes)
        for name, size in sizes.items():
            if (got := (partial / name).stat().st_size) != size:
                raise FlowjaxError(f"{place}/{name}: expected {size} bytes, got {got}")
        partial.rename(local)

    def publish(self, step: int, keep: int) -> None:
        """Copies a finished local checkpoint to the URL; removes all but the `keep` newest.

        Raises:
            FlowjaxError: An object cannot be written.
        """
        place, local = remote.join(self.url, str(step)), self.folder / str(step)
        names = entries(local)
        for name in names:
            remote.upload(local / name, remote.join(place, name))
        sizes = {name: (local / name).stat().st_size for name in names}
        remote.write_remote(remote.join(place, COMPLETE), json.dumps(sizes).encode())
        for old in self.steps()[:-keep]:
            remove_step(self.url, old)

    def close(self) -> None:
        """Deletes the local folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def remote_steps(url: str | Path) -> list[int]:
    """Returns the steps with a complete checkpoint below a URL, in ascending order."""
    parts = [name.split("/") for name in remote.entries_of(url)]
    return sorted(int(p[0]) for p in parts if p[0].isdigit() and p[1:] == [COMPLETE])


def remove_step(url: str | Path, step: int) -> None:
    """Removes a checkpoint; the object that marks it as complete first."""
    place = remote.join(url, str(step))
    for name in sorted(remote.entries_of(place), key=lambda name: name != COMPLETE):
        remote.remove_remote(remote.join(place, name))


def remove_steps(url: str | Path) -> None:
    """Removes all checkpoints below a URL, also incomplete ones."""
    steps = {name.partition("/")[0] for name in remote.entries_of(url)}
    for step in sorted(int(step) for step in steps if step.isdigit()):
        remove_step(url, step)
