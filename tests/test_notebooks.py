"""The notebooks run, hold no outputs, say what you will see, and define nothing reusable."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NAMES = (
    *("density_2d", "anisotropy", "own_sentences", "own_vectors", "whitening_or_flow"),
    "data_parallel",
    "thresholds",
)
# Those that embed the sample take longer; one of the others is about devices, one about flows.
QUICK = ("density_2d", "data_parallel")


def run(*command, folder, **options):
    # As a user runs them: without the eight devices that the tests have.
    env = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    env |= {"MPLBACKEND": "Agg", "HF_HUB_OFFLINE": "1"}
    return subprocess.run(command, cwd=folder, env=env, text=True, capture_output=True, **options)


def test_these_are_all():
    assert {path.name for path in FOLDER.iterdir() if path.is_file()} == {f"{n}.py" for n in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_source(name):
    source = (FOLDER / f"{name}.py").read_text("utf-8")
    cells = re.split(r"(?m)^# %%", source)[1:]
    assert cells[0].startswith(" [markdown]")
    assert re.search(r"(?m)^# # \w", cells[0]) and "You will see" in cells[0]
    assert "# %matplotlib inline" in source  # a comment for Python, a command for a notebook
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


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in NAMES]
)
def test_runs_as_a_script(name, tmp_path):
    done = run(sys.executable, FOLDER / f"{name}.py", folder=tmp_path, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip()
    assert not list(tmp_path.iterdir())  # nothing is left behind
    if name == "data_parallel":
        assert "8 devices: 0, 1" in done.stdout
        apart = [float(line.rsplit(" ", 1)[1]) for line in done.stdout.splitlines()
                 if "largest difference" in line]  # fmt: skip
        assert len(apart) == 3 and max(apart) < 1e-4
    if name == "own_sentences":
        found = dict(
            re.findall(r"(?m)^(plain|standardize|whitening\w*) +(\d+\.\d+)$", done.stdout)
        )
        assert len(found) == 4 and "the same vectors: True" in done.stdout
        assert f"largest: {max(found, key=lambda kind: float(found[kind]))}" in done.stdout
        plain, flow = done.stdout.split("\nplain\n")[1].split("\nflow\n")
        cosines = [
            [float(n) for n in re.findall(r"(?m)^ +(-?\d\.\d\d)  ", t)] for t in (plain, flow)
        ]
        assert len(cosines[0]) == len(cosines[1]) == 5
        assert max(map(abs, cosines[1])) < min(cosines[0])  # "closer to zero"
    if name == "own_vectors":
        plain, flow = re.search(r"plain (\S+), flow (\S+)\n", done.stdout).groups()
        assert abs(float(flow)) < 0.05 < float(plain)
        known, strange = map(int, re.findall(r"(-?\d+) nats\n", done.stdout))
        assert strange < known
        # "in the third decimal place"
        assert 0.0005 < float(re.search(r"results: (\S+)\n", done.stdout)[1]) < 0.01
        found = {name: float(x) for x, name in re.findall(r"(?m)^(\d+\.\d)%  (.+)$", done.stdout)}
        assert found[done.stdout.split("highest: ")[1].strip()] == max(found.values())
    if name == "thresholds":
        found = re.findall(r"nominal +([\d.]+)% .* measured +([\d.]+)%", done.stdout)
        assert len(found) == 3 and abs(float(found[0][1]) - 5) < 1  # "near the nominal ones"
        found = re.findall(
            r"nominal +([\d.]+)% +before +([\d.]+)% +after \w+ +([\d.]+)%", done.stdout
        )
        for nominal, before, after in (map(float, row) for row in found):
            assert abs(after - nominal) < abs(before - nominal)  # "nearer to the nominal ones"
        assert "warnings: 1" in done.stdout
    if name == "density_2d":
        gauss, flow = (float(n) for n in re.findall(r"(-?[\d.]+) nats on held-out", done.stdout))
        assert flow > gauss + 0.5


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_runs_as_a_notebook_and_shows_its_figures(name, tmp_path, monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    monkeypatch.delenv("MPLBACKEND", raising=False)
    jupytext = pytest.importorskip("jupytext")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = jupytext.read(FOLDER / f"{name}.py")
    kernel = nbclient.NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    kernel.execute()
    kinds = {kind for cell in notebook.cells for output in cell.get("outputs", ())
             for kind in output.get("data", {})}  # fmt: skip
    assert "image/png" in kinds
