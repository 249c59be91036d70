"""PyPI's `flowjax` has our import name: an environment with both is refused in one line."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import flowjax
from flowjax import _installation


def run(code, path):
    env = os.environ | {"PYTHONPATH": f"{path}{os.pathsep}{Path(flowjax.__file__).parents[1]}"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=path, env=env, capture_output=True, text=True)


@pytest.fixture
def other(tmp_path):
    """A folder with the metadata of PyPI's flowjax."""
    (tmp_path / "flowjax-19.1.2.dist-info").mkdir()
    metadata = "Metadata-Version: 2.1\nName: flowjax\nVersion: 19.1.2\n"
    (tmp_path / "flowjax-19.1.2.dist-info" / "METADATA").write_text(metadata)
    return tmp_path


def test_import_fails_beside_the_other_library(other):
    done = run("import flowjax", other)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: flowjax: expected bert-flowjax alone")
    assert "19.1.2" in last and "pip uninstall flowjax" in last


def test_the_command_fails_beside_the_other_library(other):
    # The other library has replaced `flowjax/__init__.py`, so that our check there does not run.
    theirs = other / "flowjax"
    theirs.mkdir()
    ours = str(Path(flowjax.__file__).parent)
    (theirs / "__init__.py").write_text(f"__path__.append({ours!r})\n")
    code = "from flowjax.__main__ import main; main()"
    done = run(code, other)
    assert done.returncode == 2 and not done.stdout
    assert len(done.stderr.splitlines()) == 1 and "19.1.2" in done.stderr


def test_a_removed_init_is_reported(monkeypatch):
    monkeypatch.setattr(flowjax, "__file__", None)
    assert "flowjax/__init__.py" in _installation.problem()


def test_no_problem_here():
    assert _installation.problem() is None


def test_type_checkers_do_not_see_getattr():
    """With a visible `__getattr__`, mypy accepts `flowjax.BertFlw()`."""
    tree = ast.parse(Path(flowjax.__file__).read_text("utf-8"))
    assert "__getattr__" not in {getattr(node, "name", "") for node in tree.body}
