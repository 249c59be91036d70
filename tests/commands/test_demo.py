"""`flowjax demo`: the check and the model of the embedded text."""

import contextlib
import io
import json

import numpy as np
import pytest

from flowjax import BertFlow
from flowjax.commands import demo
from flowjax.commands.main import main

pytestmark = pytest.mark.end_to_end


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder of a demo and its lines; whitening is quick, because it is not trained."""
    out = tmp_path_factory.mktemp("demo") / "run"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        flags = ["--encoder", "minibert", "--flow", "whitening"]
        assert main(["demo", "--out", str(out), *flags]) == 0
    return out, printed.getvalue().splitlines()


def test_the_demo_writes_a_page_with_figures_and_a_model(finished):
    out, _ = finished
    for name in ("index.html", "gain.png", "cosines.png", "spectra.png"):
        assert (out / "check" / name).stat().st_size > 1000
    report = json.loads((out / "check" / "report.json").read_text("utf-8"))
    assert "flowjax demo --encoder minibert" in json.dumps(report)
    assert report["about"]["Text"] == "the embedded sample"
    model = BertFlow.load(out)
    assert model.flow_name == "whitening" and model.encode(["A cat."]).shape == (1, 256)


def test_calibration_helps_on_the_embedded_text(finished):
    _, lines = finished
    assert lines[0].startswith("Use whitening with power ")
    (marked,) = (line for line in lines if line.startswith("* "))
    assert marked.startswith("* whitening^")
    assert not any(line.startswith("* plain") for line in lines)


def test_the_output_has_80_columns_and_three_different_neighbours(finished):
    _, lines = finished
    assert max(map(len, lines)) <= 80
    (names,) = {
        line.split()[0] for line in lines if line.startswith("  whitening^") and "..." in line
    }
    shown = [line for line in lines if line.startswith(("  query  ", "  plain   ", f"  {names} "))]
    start = [i for i, line in enumerate(shown) if line.startswith("  query")]
    assert len(start) == demo.QUERIES
    for i in start:
        plain, calibrated = (line.split(maxsplit=1)[1] for line in shown[i + 1 : i + 3])
        assert plain != calibrated


def test_a_finished_demo_is_kept(finished, capsys):
    out, _ = finished
    assert main(["demo", "--out", str(out)]) != 0
    assert "use --overwrite" in capsys.readouterr().err


def test_the_nearest_vector_is_not_the_vector_itself():
    vectors = np.array([[1.0, 0.0], [5.0, 1.0], [-1.0, 0.2], [-9.0, 0.0]])
    assert demo.neighbours(vectors).tolist() == [1, 0, 3, 2]
