"""Every public function has an Example that runs, and importing the flows stays light."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys

import jax
import pytest

import flowjax.bijectors
import flowjax.flows

MODULES = [
    "flowjax.types",
    "flowjax.optimizers",
    "flowjax.bijectors",
    "flowjax.flows",
    *(
        f"{package.__name__}.{module.name}"
        for package in (flowjax.bijectors, flowjax.flows)
        for module in pkgutil.iter_modules(package.__path__)
    ),
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)  # XLA's time is nearly all of it
    try:
        result = doctest.testmod(importlib.import_module(name))
    finally:
        jax.config.update("jax_disable_most_optimizations", before)
    assert not result.failed


@pytest.mark.parametrize("package", [flowjax.bijectors, flowjax.flows])
def test_every_public_function_has_an_example(package):
    for name in package.__all__:
        thing = getattr(package, name)
        if inspect.isfunction(thing):
            assert ">>> " in (inspect.getdoc(thing) or ""), name


def test_import_is_light():
    """jax, numpy and flax only: nothing that reads data, plots or trains."""
    code = (
        "import sys, flowjax.flows, flowjax.bijectors, flowjax.types;"
        "mine = {m for m in sys.modules if m.startswith('flowjax.')};"
        "own = [m for m in mine if m.split('.')[1] not in "
        "('types', 'bijectors', 'flows', '_version')];"
        "heavy = ('torch', 'tensorflow', 'transformers', 'matplotlib', 'tensorflow_datasets');"
        "print(own + [m for m in heavy if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_bijectors_do_not_import_flows():
    code = "import sys, flowjax.bijectors; print([m for m in sys.modules if 'flowjax.flows' in m])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
