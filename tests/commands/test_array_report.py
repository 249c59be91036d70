"""`flowjax analyze --array`: the report of vectors without text."""

import csv
import json

import jax
import numpy as np
import pytest

import flowjax
from flowjax import flows
from flowjax.commands.main import main

ROWS = np.random.default_rng(0).normal([9, -9, 50], [1, 0.1, 9], (500, 3)).astype(np.float16)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    rows = ROWS.copy()
    rows[77] = [20, -9, 50]
    np.save(folder / "x.npy", rows)
    flow = flows.whitening(3, power=0.5)
    flowjax.save_flow(folder / "run", flow, flow.init(jax.random.key(0), ROWS.astype(np.float32)))
    words = ["analyze", folder / "run", "--array", folder / "x.npy", "--out", folder / "report"]
    assert main([*map(str, words)]) == 0
    return folder / "report"


def test_the_report_has_isotropy_and_densities(report):
    found = json.loads((report / "report.json").read_text("utf-8"))
    names = sorted(path.name for path in report.iterdir())
    assert sorted(found["files"]) == names and {"spectrum.png", "lowest.csv"} <= set(names)
    with (report / "isotropy.csv").open(encoding="utf-8") as file:
        cosines = {row["vectors"]: float(row["mean_cosine"]) for row in csv.DictReader(file)}
    assert cosines["plain"] > 0.9 and abs(cosines["whitening"]) < 0.1
    with (report / "lowest.csv").open(encoding="utf-8") as file:
        lowest = next(csv.DictReader(file))
    assert lowest["row"] == "77" and float(lowest["log_prob"]) < -40
    page = (report / "index.html").read_text("utf-8")
    assert "whitening, power 0.5" in page and "whitening of the array is in-sample" in page
    assert "not recorded" in page and "numpy" in page  # a flow without facts about its fit
    assert "sentence" not in page.lower() and "BERT" not in page.replace("BERT-flow", "")


def test_errors_are_one_line(report, tmp_path, capsys):
    run, out = report.parent / "run", ["--out", tmp_path / "report"]
    for words, message in (
        (["--array", report.parent / "x.npy", "--tasks", "stsb"], "--tasks: expected none with"),
        (["--array", tmp_path / "no.npy"], "got no such file"),
        ([], "give the vectors with --array"),
    ):
        assert main([*map(str, ["analyze", run, *words, *out])]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())
