"""Files that a crash leaves either complete or absent."""

from __future__ import annotations

import os
from pathlib import Path

from flowjax.files.replace import sync as sync


def publish(partial: Path, path: Path, *, replace: bool = True) -> None:
    """Moves a finished file to its final name: fsync, rename, fsync of the folder.

    Args:
        partial: file in the same folder as `path`.
        path: final name.
        replace: False keeps an existing file at `path`.
    """
    sync(partial)
    try:
        if not replace:
            os.link(partial, path)
    except FileExistsError:
        pass
    except OSError:  # the file system has no hard links
        replace = True
    if replace:
        os.replace(partial, path)
    sync(path.parent)
