"""The console script's one act before the command: large pages from glibc, asked for once."""

import os
import subprocess
import sys

import pytest

from flowjax import __main__ as script


@pytest.fixture
def executed(monkeypatch):
    """What `os.execve` was called with."""
    calls = []
    monkeypatch.setattr(os, "execve", lambda *call: calls.append(call))
    monkeypatch.setattr(script, "_glibc", lambda: (2, 36))
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "flowjax", "info"])
    return calls


def test_the_process_starts_again_with_large_pages(executed, monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.check=0")
    script.ask_for_large_pages()
    ((path, argv, env),) = executed
    assert path == sys.executable and argv[1:] == ["-m", "flowjax", "info"]
    assert env["GLIBC_TUNABLES"] == "glibc.malloc.check=0:glibc.malloc.hugetlb=1"
    assert env.keys() >= os.environ.keys()


@pytest.mark.parametrize("value", ["0", "1", "2"])
def test_what_the_user_chose_stays(executed, monkeypatch, value):
    monkeypatch.setenv("GLIBC_TUNABLES", f"glibc.malloc.hugetlb={value}")
    script.ask_for_large_pages()
    assert not executed


@pytest.mark.parametrize("version", [(0,), (2, 17), (2, 34)])
def test_an_older_or_another_libc_is_left_alone(executed, monkeypatch, version):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    monkeypatch.setattr(script, "_glibc", lambda: version)
    script.ask_for_large_pages()
    assert not executed


def test_the_command_answers_as_it_did(tmp_path):
    env = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
    command = [
        sys.executable,
        "-m",
        "flowjax",
        "encode",
        str(tmp_path / "none"),
        "x",
        "--out",
        "y.npy",
    ]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("flowjax encode: ") and done.stderr.count("\n") == 1
