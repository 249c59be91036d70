"""The import graph: what may import what, and what `import flowjax` must not load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "flowjax"

# What each package or top-level module may import from flowjax, besides `errors`. `commands` may
# import all of it.
CORE = {"types", "parallel", "data", "training"}
ALLOWED = {
    "types": set(),
    "literals": set(),
    "progress": set(),
    "files": set(),
    "evaluation": {"files"},
    "parallel": {"types"},
    "bijectors": {"types"},
    "flows": {"types", "bijectors"},
    "data": {"types", "parallel", "files", "evaluation"},
    "encoder": {"types", "parallel", "files", "data", "progress", "evaluation"},
    "training": {"types", "parallel", "files", "data"},
    "fitting": {*CORE, "bijectors", "flows", "progress"},
    "config": {"types", "flows"},
    "pretraining": {*CORE, "files", "encoder", "config"},
    "saving": {"types", "files", "bijectors", "flows", "encoder", "_version"},
    "calibration": {
        *CORE,
        "files",
        "evaluation",
        "bijectors",
        "flows",
        "encoder",
        "fitting",
        "saving",
        "report",
        "progress",
        "_version",
    },
    "finetuning": {
        *CORE,
        "files",
        "encoder",
        "config",
        "evaluation",
        "calibration",
        "_version",
    },
    "model": {*CORE, "bijectors", "flows", "encoder", "fitting", "saving", "calibration"},
    "loading": {"files", "encoder", "saving", "model"},
    "ray": {"files", "data", "encoder", "model", "loading"},
    "transformer": {"types", "data", "flows", "fitting"},
    "compare": {"types", "evaluation", "flows", "calibration", "model"},
    "sentence_transformers": {"types", "parallel", "flows", "fitting", "saving", "model"},
    "plots": {"types", "files", "evaluation"},
    "report": {"files", "evaluation", "plots", "_version"},
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


@pytest.mark.parametrize("name", ALLOWED)
def test_import_direction(name):
    package = ROOT / name
    files = list(package.rglob("*.py")) if package.is_dir() else [ROOT / f"{name}.py"]
    assert files and all(file.exists() for file in files)
    for file in files:
        assert imports_of(file) - {name, "errors", "literals", "_lazy"} <= ALLOWED[name], file


def test_every_package_has_a_place_in_the_order():
    names = {
        path.stem
        for path in ROOT.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    rest = {
        "__init__",
        "__main__",
        "__pycache__",
        "_version",
        "_installation",
        "_lazy",
        "py",
        "assets",
        "commands",
        "errors",
    }
    assert names - rest == set(ALLOWED)


def test_no_module_imports_itself_through_others():
    """The table has no cycles, so neither have the packages."""
    left = {name: set(allowed) & set(ALLOWED) for name, allowed in ALLOWED.items()}
    while left:
        free = [name for name, allowed in left.items() if not allowed & set(left)]
        assert free, left
        for name in free:
            del left[name]


def test_relative_imports_are_not_used():
    for file in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), file


def test_heavy_packages_are_not_loaded():
    """The import and the command start without jax; the rest of the library without these."""
    code = (
        "import sys, flowjax, flowjax.commands.main\n"
        "print('jax' in sys.modules)\n"
        "import flowjax.flows, flowjax.model\n"
        "heavy = {'tensorflow', 'tensorflow_datasets', 'torch', 'transformers', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["False", "[]"]


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
