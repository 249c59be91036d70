"""The import graph: what may import what, and what `import flowjax` must not load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "flowjax"

# A package may import those on its left; what is not listed is free.
FORBIDDEN = {
    "types": {"bijectors", "flows", "training", "fitting", "model", "cli", "encoder", "data"},
    "bijectors": {"flows", "training", "fitting", "model", "cli", "encoder", "data"},
    "flows": {"training", "fitting", "model", "cli", "commands", "encoder", "data"},
    "encoder": {"bijectors", "flows", "fitting", "model", "cli", "commands"},
    "data": {"bijectors", "flows", "training", "fitting", "model", "cli", "commands"},
    "evaluation": {"bijectors", "flows", "training", "fitting", "model", "cli", "commands"},
    "devices": {"bijectors", "flows", "training", "fitting", "model", "cli", "commands"},
    "processes": {
        "devices",
        "bijectors",
        "flows",
        "training",
        "fitting",
        "model",
        "cli",
        "commands",
    },
    "step": {"bijectors", "flows", "training", "fitting", "model", "cli", "commands", "data"},
    "training": {"bijectors", "flows", "fitting", "model", "cli", "commands"},
    "passes": {"training", "fitting", "model", "cli", "commands"},
    "fit_data": {"bijectors", "flows", "training", "fitting", "model", "cli", "commands"},
    "record": {"fitting", "model", "cli", "commands"},
    "fitting": {"model", "cli", "commands"},
    "saved_flow": {"training", "fitting", "model", "cli", "commands", "encoder"},
    "model": {"cli", "commands"},
}


def imports_of(path: Path) -> set[str]:
    """Names right under `flowjax` that a file imports, at the top or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            if node.module == "flowjax":
                found |= {alias.name for alias in node.names}
            elif node.module.startswith("flowjax."):
                found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("flowjax.")}
    return found


@pytest.mark.parametrize("name", FORBIDDEN)
def test_import_direction(name):
    package = ROOT / name
    files = list(package.rglob("*.py")) if package.is_dir() else [ROOT / f"{name}.py"]
    assert files and all(file.exists() for file in files)
    for file in files:
        assert not imports_of(file) & FORBIDDEN[name], file


def test_relative_imports_are_not_used():
    for file in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), file


@pytest.mark.parametrize("module", ["flowjax", "flowjax.cli", "flowjax.model", "flowjax.flows"])
def test_heavy_packages_are_not_loaded(module):
    code = (
        f"import sys, {module}\n"
        "heavy = {'tensorflow', 'tensorflow_datasets', 'torch', 'transformers', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)), 'jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded, jax = done.stdout.strip().rsplit(" ", 1)
    assert loaded == "[]"
    if module in ("flowjax", "flowjax.cli"):
        assert jax == "False"


def test_public_names():
    import flowjax

    for name in flowjax.__all__:
        assert getattr(flowjax, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = flowjax.nonsense


def test_only_devices_names_devices():
    for file in ROOT.rglob("*.py"):
        text = file.read_text("utf-8")
        if file.name != "devices.py":
            for word in ("jax.pmap", "shard_map(", "NamedSharding", "make_array_from"):
                assert word not in text, f"{file} names devices: {word}"
