"""Lock files: only one process writes to a run folder or to a shard of an embedding store."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flowjax.errors import FlowjaxError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def locked(file: Path, name: str | Path) -> Iterator[None]:
    """Context manager that holds a lock file, which contains the host and the process id.

    The operating system releases the lock when the process ends, so the lock file of a killed
    process does not block another process. On file systems without locks, a lock file counts as
    stale if its process is not running on this host.

    Args:
        file: path of the lock file; its folder exists. The file is removed afterwards.
        name: name of the locked folder in error messages.

    Raises:
        FlowjaxError: Another process holds the lock.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / ".lock"
        >>> with locked(file, "runs/mine"):
        ...     file.exists()
        True
        >>> file.exists()
        False
    """
    descriptor = _acquire(file, name)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{socket.gethostname()} {os.getpid()}\n".encode(), 0)
        yield
    finally:
        file.unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(file: Path, name: str | Path) -> int:
    """Returns the descriptor of the locked file."""
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not _lock(descriptor):
                raise FlowjaxError(
                    f"{name}: expected a path that no other process writes to, got one in use by "
                    f"{_holder(descriptor)}; wait for that process, or use another path"
                )
            # The holder may have removed the file between the two calls above.
            if file.exists() and os.path.samestat(os.fstat(descriptor), file.stat()):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Locks an open file; returns False if another process holds the lock."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        return _is_stale(descriptor)  # the file system has no locks
    return True


def _is_stale(descriptor: int) -> bool:
    words = os.pread(descriptor, 400, 0).decode(errors="replace").split()
    if len(words) != 2 or not words[1].isdecimal():
        return True  # a new file, or the write was interrupted
    if words[0] != socket.gethostname():
        return False
    try:
        os.kill(int(words[1]), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:  # the process of another user
        return False
    return int(words[1]) == os.getpid()


def _holder(descriptor: int) -> str:
    words = os.pread(descriptor, 400, 0).decode(errors="replace").split()
    return f"process {words[1]} on {words[0]}" if len(words) == 2 else "another process"
