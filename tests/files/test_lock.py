"""Tests of lock files: one holder at a time, and no block after the death of a holder."""

import errno
import os
import socket
import subprocess
import sys

import pytest

from flowjax.files import lock
from flowjax.files.lock import locked

HOLD = (
    "import sys, pathlib; from flowjax.files.lock import locked\n"
    "with locked(pathlib.Path(sys.argv[1]), 'x'):\n"
    "    print('locked', flush=True); sys.stdin.read()"
)


@pytest.fixture
def holder(tmp_path):
    """Process that holds `tmp_path/.lock`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / ".lock"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"locked\n"
    yield process
    process.kill()
    process.wait()


def take(folder):
    with locked(folder / ".lock", "runs/mine"):
        return (folder / ".lock").read_text()


def test_a_second_process_gets_one_line_that_names_the_first(tmp_path, holder):
    here = f"process {holder.pid} on {socket.gethostname()}"
    with pytest.raises(ValueError, match=f"^runs/mine: expected .* in use by {here}; wait"):
        take(tmp_path)
    holder.stdin.close()
    holder.wait()
    assert take(tmp_path) == f"{socket.gethostname()} {os.getpid()}\n"
    assert not list(tmp_path.iterdir())


def test_the_lock_of_a_killed_process_is_stale(tmp_path, holder):
    holder.kill()
    holder.wait()
    assert (tmp_path / ".lock").exists()
    take(tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_error_in_the_block_releases_the_lock(tmp_path):
    with pytest.raises(KeyError), locked(tmp_path / ".lock", "x"):
        raise KeyError
    take(tmp_path)


HOST = socket.gethostname()
WITHOUT_LOCKS = {
    "empty": ("", True),
    "damaged": ("x", True),
    "dead": (f"{HOST} {2**22 + 1}", True),
    "this process": (f"{HOST} {os.getpid()}", True),
    "alive": (f"{HOST} {os.getppid()}", False),
    "another host": (f"{HOST}2 1", False),
}


@pytest.mark.parametrize("name", WITHOUT_LOCKS)
def test_on_a_file_system_without_locks_the_process_decides(tmp_path, monkeypatch, name):
    def no_locks(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(lock.fcntl, "flock", no_locks)
    text, stale = WITHOUT_LOCKS[name]
    (tmp_path / ".lock").write_text(text)
    if stale:
        assert take(tmp_path) == f"{HOST} {os.getpid()}\n"
    else:
        with pytest.raises(ValueError, match="in use by process"):
            take(tmp_path)
