"""The script of measurements runs at small sizes, keeps its results and needs few packages."""

import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "benchmarks" / "accelerator.sh"

pytestmark = pytest.mark.end_to_end


@pytest.fixture(scope="module")
def script():
    file = SCRIPT.with_suffix(".py")
    spec = importlib.util.spec_from_file_location("accelerator", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "cell",
    [
        *("encoder", "epoch", "functions", "sentences"),
        pytest.param("mappings", marks=pytest.mark.slow),  # the same functions as epoch
    ],
)
def test_cells_measure_positive_numbers(script, cell):
    results = list(script.CELLS[cell][0](script.SMALL))
    assert results and len({name for name, _ in results}) == len(results)
    for name, values in results:
        numbers = [value for value in values.values() if isinstance(value, float)]
        assert numbers and all(math.isfinite(n) and n > 0 for n in numbers), (name, values)
    rows = [{"cell": cell, "name": name, "values": values} for name, values in results]
    assert script.table(rows).count("\n|") == len(results) + 2


def run(folder, *words):
    """Runs the script where tyro, tensorflow-datasets and other packages cannot be imported."""
    absent = ("tyro", "tensorflow", "tensorflow_datasets", "tomli_w", "docstring_parser", "torch")
    (folder / "sitecustomize.py").write_text(
        "".join(f"import sys; sys.modules[{name!r}] = None\n" for name in absent)
    )
    env = os.environ | {"PYTHON": sys.executable, "PYTHONPATH": str(folder)}
    out = folder / "out"
    command = [str(SCRIPT), *words, "--size", "small", "--out", str(out)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = (out / "accelerator.md").read_text()
    return json.loads((out / "accelerator.json").read_text()), text


def test_failures_and_limits_lose_nothing(tmp_path):
    results, text = run(tmp_path, "machine", "masked_lm", "torch_encoder", "--seconds", "600")
    assert "TFLOP/s" in text and results[0]["name"] == "versions"
    errors = {r["name"]: r["values"].get("error") for r in results if r["cell"] == "cells"}
    assert errors["machine"] is errors["masked_lm"] is None
    assert "torch" in errors["torch_encoder"]
    results, text = run(tmp_path, "machine", "epoch", "--seconds", "5.5")
    errors = {r["name"]: r["values"].get("error") for r in results if r["cell"] == "cells"}
    assert errors == {"machine": "stopped after 1 s", "epoch": "not run: no time left"}
    assert "stopped after 1 s" in text
