"""Tests of the environment of a command: cache folder, closed streams, errors of threads."""

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from flowjax.commands import environment

ROOT = Path(__file__).resolve().parents[2]


def no_user():
    raise RuntimeError("Could not determine home directory.")


@pytest.mark.parametrize("cache", [None, "", "relative", "absolute"])
def test_the_cache_folder_follows_the_xdg_specification(tmp_path, monkeypatch, cache):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    expected = tmp_path / "home" / ".cache"
    if cache == "absolute":
        cache = expected = tmp_path / "cache"
    if cache is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    assert environment.cache_folder() == expected / "flowjax"
    assert [path.name for path in tmp_path.iterdir()] == [expected.relative_to(tmp_path).parts[0]]


def test_only_the_owner_can_use_the_cache_folder(tmp_path, monkeypatch):
    """Code of whoever can write compiled programs can run in the process."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "flowjax").mkdir(mode=0o777)
    (tmp_path / "flowjax").chmod(0o777)  # mode of mkdir is subject to the umask
    assert environment.cache_folder().stat().st_mode & 0o777 == 0o700


def test_without_a_home_there_is_no_cache_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_user)
    assert environment.cache_folder() is None
    (tmp_path / "file").touch()  # as a home folder that cannot be written
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "file")
    assert environment.cache_folder() is None
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    environment.set_defaults()
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ


@pytest.mark.parametrize(
    ("redirect", "command"),
    [
        (">&-", "--help"),
        ("<&-", "--help"),
        ("2>&-", "frobnicate"),
        (">&- <&- 2>&-", "frobnicate"),
        (">&- <&-", "score no -"),
    ],
)
def test_closed_streams_give_no_traceback(tmp_path, redirect, command):
    """A file that is opened later must not get the descriptor of a closed stream."""
    code = (
        "import os, sys; from flowjax.commands.main import main; code = main(sys.argv[1:]);"
        "file = open('later', 'w'); assert file.fileno() > 2; sys.exit(code)"
    )
    done = subprocess.run(
        f'{sys.executable} -c "{code}" {command} {redirect}',
        shell=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == (0 if command == "--help" else 2)
    assert "Traceback" not in done.stderr and not (tmp_path / "later").read_text()


def test_errors_of_threads_print_no_traceback(capsys):
    def fail():
        raise OSError(28, "No space left on device")

    before = threading.excepthook
    with environment.quiet_threads():
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
        logging.getLogger("asyncio").error("callback failed")
    assert threading.excepthook is before and capsys.readouterr().err == ""
