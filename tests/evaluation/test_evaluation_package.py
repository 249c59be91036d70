"""Examples in docstrings run, and the packages import nothing heavy."""

import ast
import doctest
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import flowjax.evaluation
import flowjax.plots

PACKAGES = (flowjax.evaluation, flowjax.plots)
MODULES = [
    f"{package.__name__}.{module.name}"
    for package in PACKAGES
    for module in pkgutil.iter_modules(package.__path__)
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_every_public_function_has_an_example():
    for package in PACKAGES:
        for name in package.__all__:
            thing = getattr(package, name)
            documented = not callable(thing) or ">>>" in (thing.__doc__ or "")
            assert documented or name in ("PairTask", "evaluate_vectors"), name


@pytest.mark.parametrize("name", MODULES)
def test_allowed_imports(name):
    tree = ast.parse(Path(importlib.import_module(name).__file__).read_text())
    found = [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    found += [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    allowed = ("flowjax.evaluation", "flowjax.plots", "flowjax.files", "flowjax.errors")
    assert all(m.startswith(allowed) for m in found if m.startswith("flowjax"))
    heavy = {"jax", "flax", "torch", "tensorflow", "transformers", "tensorflow_datasets"}
    assert not heavy & {module.split(".")[0] for module in found}


def test_import_loads_nothing_heavy():
    code = "import sys, flowjax.evaluation, flowjax.plots; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert loaded.returncode == 0, loaded.stderr
    heavy = {
        "scipy",
        "jax",
        "matplotlib",
        "torch",
        "tensorflow",
        "tensorflow_datasets",
        "transformers",
        "rich",
    }
    assert not heavy & set(loaded.stdout.split())
