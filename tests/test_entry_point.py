"""Tests of the console script: large pages for `flowjax pretrain`, and the exit code."""

import os
import subprocess
import sys

import pytest

from flowjax import __main__ as script


@pytest.fixture
def executed(monkeypatch):
    """Calls of `os.execv`, in an environment without settings for glibc."""
    calls = []
    monkeypatch.setattr(os, "execv", lambda *call: calls.append(call))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("GLIBC_TUNABLES", "")  # so that the test restores the variable
    monkeypatch.delenv("GLIBC_TUNABLES")
    monkeypatch.setattr(sys, "argv", ["flowjax", "pretrain", "--text", "a"])
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", *sys.argv])
    return calls


def test_pretrain_restarts_with_large_pages(executed):
    script.use_large_pages()
    command = [sys.executable, "-m", "flowjax", "pretrain", "--text", "a"]
    assert executed == [(sys.executable, command)]
    assert os.environ["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"
    script.use_large_pages()
    assert len(executed) == 1


def test_settings_of_the_user_are_kept(executed, monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.check=0")
    script.use_large_pages()
    assert not executed


@pytest.mark.parametrize("argv", [["flowjax"], ["flowjax", "fit"], ["flowjax", "--help"]])
def test_other_commands_do_not_restart(executed, monkeypatch, argv):
    monkeypatch.setattr(sys, "argv", argv)
    script.use_large_pages()
    assert not executed


@pytest.mark.parametrize("command", ["encode none x --out y.npy", "pretrain"])
def test_an_error_gives_one_line_and_exit_code_2(command):
    env = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
    argv = [sys.executable, "-m", "flowjax", *command.split()]
    done = subprocess.run(argv, env=env, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"flowjax {command.split()[0]}: ")
    assert done.stderr.count("\n") == 1
