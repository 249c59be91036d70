"""The notebooks are executed, complete and small, and their text agrees with their outputs."""

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"
NAMES = (
    *("own_sentences", "own_vectors", "anisotropy", "thresholds", "density_2d", "data_parallel"),
)


@pytest.fixture(scope="module")
def script():
    """Module of the script that executes and checks notebooks."""
    loader = SourceFileLoader("notebooks_script", str(ROOT / ".ci" / "notebooks"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    module = importlib.util.module_from_spec(spec)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module


def path_of(name):
    return FOLDER / f"{name}.ipynb"


def cells_of(name, kind):
    notebook = json.loads(path_of(name).read_text("utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def printed(cells):
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    return "".join("".join(output["text"]) for output in outputs if "text" in output)


def test_these_are_all():
    assert {path.name for path in FOLDER.iterdir() if path.is_file()} == {
        f"{name}.ipynb" for name in NAMES
    }


@pytest.mark.parametrize("name", NAMES)
def test_is_executed_and_agrees_with_its_outputs(name, script):
    assert script.check(path_of(name)) == []
    code = cells_of(name, "code")
    statements(name, printed(code))
    kinds = {
        kind for cell in code for output in cell["outputs"] for kind in output.get("data", ())
    }
    assert "image/png" in kinds
    if name == "own_sentences":  # "the fit returns its start, this Gaussian"
        results = [
            "".join(o["data"]["text/plain"]) for c in code for o in c["outputs"] if "data" in o
        ]
        found = re.search(
            r"validation_nll_nats: (\S+),.*validation_gaussian_nll_nats: (\S+),", str(results)
        )
        assert found and found[1] == found[2]


@pytest.mark.parametrize("name", NAMES)
def test_source(name):
    texts = ["".join(cell["source"]) for cell in cells_of(name, "markdown")]
    assert re.match(r"# \w", texts[0]) and "In this notebook you learn" in texts[0]
    assert "## What to try next" in texts[-1]
    source = "\n".join("".join(cell["source"]) for cell in cells_of(name, "code"))
    tree = ast.parse(source)
    imported = {
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    assert any(module.split(".")[0] == "flowjax" for module in imported)
    reusable = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    assert not [node for node in ast.walk(tree) if isinstance(node, reusable)]
    assert "://" not in source


DAMAGES = {
    "no outputs": (lambda nb: nb["cells"][1].update(execution_count=None), "executed once"),
    "other code": (lambda nb: nb["cells"][1].update(source=["x = 2"]), "a change after them"),
    "an error": (
        lambda nb: nb["cells"][1].update(outputs=[{"output_type": "error"}]),
        "no errors",
    ),
    "a local path": (
        lambda nb: nb["cells"][1].update(outputs=[{"output_type": "stream", "text": "/tmp/x"}]),
        "no local paths",
    ),
    "large": (lambda nb: nb.update(more="x" * 300_000), "at most 300,000 bytes"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_check_finds_damages(damage, script, tmp_path, capsys):
    code = {"cell_type": "code", "source": ["x = 1"], "outputs": [], "execution_count": 1}
    notebook = {"cells": [{"cell_type": "markdown", "source": ["# Title"]}, code], "metadata": {}}
    notebook["metadata"]["executed"] = script.digest(notebook)
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps(notebook))
    assert script.main(["--check", str(path)]) == 0
    change, expected = DAMAGES[damage]
    change(notebook)
    path.write_text(json.dumps(notebook))
    assert script.main(["--check", str(path)]) == 1
    assert expected in capsys.readouterr().out


def statements(name, text):
    """Checks what the text of a notebook says about its printed outputs."""
    if name == "data_parallel":
        assert "8 devices: 0, 1" in text
        apart = [float(n) for n in re.findall(r"largest difference (\S+)", text)]
        assert len(apart) == 3 and max(apart) < 1e-4
    if name == "own_sentences":
        found = dict(re.findall(r"(?m)^(plain|standardize|whitening\w*) +(\d+\.\d+)$", text))
        assert len(found) == 4 and "the same vectors: True" in text
        assert f"largest: {max(found, key=lambda kind: float(found[kind]))}" in text
        plain, flow = text.split("\nplain\n")[1].split("\nflow\n")
        cosines = [
            [float(n) for n in re.findall(r"(?m)^ +(-?\d\.\d\d)  ", t)] for t in (plain, flow)
        ]
        assert len(cosines[0]) == len(cosines[1]) == 5
        assert max(map(abs, cosines[1])) < min(cosines[0])  # "closer to zero"
    if name == "own_vectors":
        found = {k: map(float, v) for k, *v in
                 re.findall(r"(?m)^(\w+) +random (\S+), neighbours (\S+)$", text)}  # fmt: skip
        (plain, _), (flow, near) = found["plain"], found["whitening"]
        assert abs(flow) < 0.05 < plain and flow < near
        known, strange = map(int, re.findall(r"(-?\d+) nats\n", text))
        assert strange < known
        # "differ a little"
        assert "exit code 0" in text and 0 < float(re.search(r"results: (\S+)\n", text)[1]) < 0.02
        found = {name: float(x) for x, name in re.findall(r"(?m)^(\d+\.\d)%  (.+)$", text)}
        assert found[text.split("highest: ")[1].strip()] == max(found.values())
    if name == "anisotropy":
        found = {k: list(map(float, v)) for k, *v in re.findall(
            r"(?m)^(\w+) +random +(\S+) ± (\S+) +related +(\S+)$", text)}  # fmt: skip
        assert found["plain"][0] > 0.2 > max(abs(found[k][0]) for k in ("whitening", "glow"))
        assert all(related > random for random, _, related in found.values())
        assert len(re.findall(r"(?m)^\w+ +[\d.]+  \[[\d.]+, [\d.]+\]$", text)) == 3
    if name == "thresholds":
        found = re.findall(r"nominal +([\d.]+)% .* measured +([\d.]+)%", text)
        assert len(found) == 3 and abs(float(found[0][1]) - 5) < 1  # "near the nominal ones"
        found = re.findall(r"nominal +([\d.]+)% +before +([\d.]+)% +after \w+ +([\d.]+)%", text)
        assert len(found) == 2
        for nominal, before, after in (map(float, row) for row in found):
            assert abs(after - nominal) < abs(before - nominal)  # "nearer to the nominal ones"
        assert "warnings: 1" in text
    if name == "density_2d":
        gauss, flow = (float(n) for n in re.findall(r"(-?[\d.]+) nats on held-out", text))
        assert flow > gauss + 0.5


@pytest.mark.end_to_end
def test_runs_as_a_script(tmp_path):
    """Runs one notebook without a kernel; a slow test executes all of them in a kernel."""
    # The settings of users: the tests compile with other flags.
    tests_only = ("XLA_FLAGS", "JAX_DISABLE_MOST_OPTIMIZATIONS")
    env = {k: v for k, v in os.environ.items() if k not in tests_only} | {"MPLBACKEND": "Agg"}
    source = "\n".join("".join(cell["source"]) for cell in cells_of("data_parallel", "code"))
    run = [sys.executable, "-c", source]
    done = subprocess.run(run, cwd=tmp_path, env=env, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr[-2000:]
    statements("data_parallel", done.stdout)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_executes_in_a_kernel(name, script, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    notebook = nbformat.read(path_of(name), 4)
    script.run(notebook)
    statements(name, printed(notebook.cells))


@pytest.mark.slow
def test_progress_and_results_in_jupyter(script):
    """A cell that ends in a fit shows its progress and a short result with a curve."""
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    code = (
        "import numpy as np, flowjax\n"
        "x = np.random.default_rng(0).normal(size=(400, 3)).astype('f4')\n"
        "flow = flowjax.flows.realnvp(3, depth=2, width=8)\n"
        "flowjax.fit(flow, x, key=0, steps=60, batch_size=64, show_progress_bar=True)"
    )
    quiet = code.replace("=True", "=False") + "\nflow"
    sources = [code, quiet, "flowjax.BertFlow('minibert', flow='whitening')"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in sources])
    script.run(notebook)
    first, second, third = (cell.outputs for cell in notebook.cells)
    bars = [o.data["text/plain"] for o in first if o.output_type == "display_data"]
    assert len(bars) == 1 and bars[0].startswith("fitting: 60 of 60 steps, ")
    (result,) = (o.data for o in first if o.output_type == "execute_result")
    assert "<svg" in result["text/html"] and len(result["text/plain"]) < 500
    (flow,) = second
    assert len(flow.data["text/plain"]) < 300 and " at 0x" not in flow.data["text/plain"]
    (model,) = third
    assert len(model.data["text/plain"]) < 300 and " at 0x" not in model.data["text/plain"]
