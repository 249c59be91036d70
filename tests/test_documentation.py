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

import flowjax
import flowjax.bijectors
import flowjax.flows

MODULES = [
    module.name
    for module in pkgutil.walk_packages(flowjax.__path__, "flowjax.")
    if not module.name.endswith("__main__")
]
# Every public function of these has an example; of the packages, what they export.
LIBRARY = [
    importlib.import_module(f"flowjax.{name}")
    for name in (
        "fitting.fit",
        "fitting.passes",
        "fitting.rows",
        "fitting.validation",
        "saving.flow",
        "training",
        "training.dispatch",
        "training.evaluation",
        "training.loop",
        "training.optimizers",
        "training.released",
        "training.schedules",
        "training.step",
    )
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


@pytest.mark.parametrize("package", [flowjax.bijectors, flowjax.flows, *LIBRARY], ids=str)
def test_every_public_function_has_an_example(package):
    here = [name for name in vars(package) if not name.startswith("_")]
    for name in getattr(package, "__all__", here):
        thing = getattr(package, name)
        own = hasattr(package, "__all__") or getattr(thing, "__module__", "") == package.__name__
        if inspect.isfunction(thing) and own:
            assert ">>> " in (inspect.getdoc(thing) or ""), name


def test_import_is_light():
    """jax, numpy and flax only: nothing that reads data, plots or trains."""
    code = (
        "import sys, flowjax.flows, flowjax.bijectors, flowjax.types;"
        "mine = {m for m in sys.modules if m.startswith('flowjax.')};"
        "own = [m for m in mine if m.split('.')[1] not in "
        "('types', 'errors', 'bijectors', 'flows', '_version')];"
        "heavy = ('torch', 'tensorflow', 'transformers', 'matplotlib', 'tensorflow_datasets');"
        "print(own + [m for m in heavy if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_bijectors_do_not_import_flows():
    code = "import sys, flowjax.bijectors; print([m for m in sys.modules if 'flowjax.flows' in m])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
