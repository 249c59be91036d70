"""Tests of the command on arrays: fit-array, sample, score, plot."""

import json

import numpy as np
import pytest

import flowjax
from flowjax.commands.main import main


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    file = tmp_path_factory.mktemp("rows") / "x.npy"
    np.save(file, np.random.default_rng(0).normal([3, -2], [1, 0.1], (500, 2)))
    return file


@pytest.fixture(scope="module")
def run(data):
    """Run folder of the default flow on two columns."""
    argv = ["fit-array", data, "--out", data.parent / "run", "--train.steps", 60,
            "--train.validation", 0.2]  # fmt: skip
    assert main([str(a) for a in argv]) == 0
    return data.parent / "run"


def test_sample_and_plot(data, run, tmp_path):
    x = np.load(data)
    assert main(["sample", str(run), "--n", "2000", "--out", str(tmp_path / "s.npy")]) == 0
    sample = np.load(tmp_path / "s.npy")
    np.testing.assert_allclose(sample.mean(0), x.mean(0), atol=0.3)
    assert main(["plot", str(run)]) == 0
    assert (run / "curves.png").stat().st_size > 5000


def test_score_prints_the_log_density_of_each_row(data, run, capsys):
    flow, params = flowjax.load_flow(run)
    expected = flow.log_prob(params, np.load(data))
    assert main(["score", str(run), str(data)]) == 0
    values = [float(line) for line in capsys.readouterr().out.splitlines()]
    np.testing.assert_allclose(values, expected, atol=1e-3)
    assert main(["score", str(run), str(data), "--json"]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["row"] == 499 and abs(last["log_prob"] - float(expected[499])) < 1e-3


INVALID = {
    "nan.npy": (np.where(np.arange(18).reshape(9, 2) == 9, np.nan, 1.0), "row 4, column 1"),
    "flat.npy": (np.ones(5), "expected rows of shape"),
    "none.npy": (None, "none.npy"),
    "text.npy": ("hello", "expected a .npy array, got: another kind of file"),
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_arrays_give_one_line(name, run, tmp_path, capsys):
    rows, message = INVALID[name]
    if isinstance(rows, str):
        (tmp_path / name).write_text(rows)
    elif rows is not None:
        np.save(tmp_path / name, rows)
    file, out = str(tmp_path / name), tmp_path / "out"
    for argv in (["fit-array", file, "--out", str(out)], ["score", str(run), file]):
        assert main(argv) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1 and message in lines[0], lines
    assert not out.exists()


ERRORS = {
    "patience": "train.validation: expected a fraction above 0 if patience is given",
    "batch-size": "train.batch_size: expected an integer of at least 1, got 0",
    "optimizer": "train.optimizer: expected one of adam",
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_invalid_option_leaves_no_run_folder(name, data, tmp_path, capsys):
    value = {"patience": "2", "batch-size": "0", "optimizer": "sgd"}[name]
    out = tmp_path / "run"
    assert main(["fit-array", str(data), f"--train.{name}", value, "--out", str(out)]) == 2
    assert ERRORS[name] in capsys.readouterr().err and not out.exists()


def test_rows_of_another_width_raise(run, tmp_path, capsys):
    np.save(tmp_path / "w.npy", np.ones((4, 3)))
    assert main(["score", str(run), str(tmp_path / "w.npy")]) == 2
    assert "w.npy: expected (n, 2) for " in capsys.readouterr().err


@pytest.mark.parametrize("command", ["evaluate", "encode"])
def test_a_run_of_arrays_is_no_model_of_sentences(command, run, tmp_path, capsys):
    (tmp_path / "a.txt").write_text("One.\n")
    more = {"evaluate": [], "encode": [str(tmp_path / "a.txt"), "--out", str(tmp_path / "v.npy")]}
    assert main([command, str(run), *more[command]]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "expected a model of sentences, got a flow of arrays" in line
