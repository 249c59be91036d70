"""Commands that fit: length, likelihood, warnings, `--quiet`, and progress without a terminal."""

import json
import logging

import numpy as np
import pytest

from flowjax import progress
from flowjax.commands.main import main
from flowjax.commands.plot import read_metrics

SENTENCES = [f"Person {i} {verb} the {thing}." for i in range(50)
             for verb in ("sees", "buys", "paints") for thing in ("house", "river")]  # fmt: skip
FLOW = ["--flow", "glow", "--flow.levels", "1", "--flow.depth", "1", "--flow.width", "4"]


def command(capsys, *argv, code=0):
    capsys.readouterr()
    assert main([str(word) for word in argv]) == code
    return capsys.readouterr()


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fits")
    mix = np.array([[1, 2, 0], [0, 1, 3], [0, 0, 0.1]])
    np.save(folder / "x.npy", np.random.default_rng(0).normal(size=(60, 3)) @ mix + 5)
    return folder


@pytest.fixture(scope="module")
def fitted(rows):
    """Run folder of `fit-array` with the default length and held-out examples."""
    argv = ["fit-array", rows / "x.npy", "--out", rows / "run", "--train.validation", 0.25, *FLOW]
    assert main([str(word) for word in argv]) == 0
    return rows / "run"


def test_info_describes_the_finished_flow(fitted, rows, capsys):
    found = json.loads(command(capsys, "info", fitted, "--json").out)["run"]
    facts = found["fitted_on"]
    assert found["state"] == "finished" and facts["steps"] == 200  # 200 passes of one step
    assert facts["examples"] == 45 and facts["validation_examples"] == 15
    scores = command(capsys, "score", fitted, rows / "x.npy").out.split()
    both = 45 * facts["nll_nats"] + 15 * facts["validation_nll_nats"]
    assert both == pytest.approx(-sum(map(float, scores)), abs=0.1)
    last = read_metrics(fitted)[-1]
    assert last["step"] == 200 and "grad_norm" in last
    assert {f"finished_{k}": v for k, v in facts.items()}.items() >= {
        k: v for k, v in last.items() if k.startswith("finished_")
    }.items()
    assert last["finished_validation_gaussian_nll_nats"] == facts["validation_gaussian_nll_nats"]


def test_score_selects_the_least_and_most_likely_rows(fitted, rows, capsys):
    file = rows / "x.npy"
    scores = [float(word) for word in command(capsys, "score", fitted, file).out.split()]
    order = np.argsort(scores).tolist()
    for flag, expected in (("--top", order[::-1][:3]), ("--bottom", order[:3])):
        lines = command(capsys, "score", fitted, file, flag, 3).out.splitlines()
        assert [int(line.split("\t")[1]) for line in lines] == expected
        lines = command(capsys, "score", fitted, file, flag, 3, "--json").out.splitlines()
        assert [json.loads(line)["row"] for line in lines] == expected
    for flags in (["--top", 0], ["--bottom", -1], ["--top", 1, "--bottom", 1]):
        error = command(capsys, "score", fitted, file, *flags, code=2).err
        assert "expected" in error and len(error.splitlines()) == 1


def test_a_model_folder_has_the_likelihood_of_its_model(tmp_path, capsys):
    (tmp_path / "s.txt").write_text("\n".join(SENTENCES) + "\n", "utf-8")
    argv = ["fit", "--data", tmp_path / "s.txt", "--out", tmp_path / "run", *FLOW]
    printed = command(capsys, *argv, "--train.steps", 20)
    assert "NLL on the 300 training examples, nats per example: glow" in printed.out
    scores = command(capsys, "score", tmp_path / "run", tmp_path / "s.txt", "--json").out
    mean = np.mean([json.loads(line)["log_prob"] for line in scores.splitlines()])
    facts = json.loads(command(capsys, "info", tmp_path / "run", "--json").out)["run"]["fitted_on"]
    assert facts["nll_nats"] == pytest.approx(-mean, abs=0.05)
    card = (tmp_path / "run/model/README.md").read_text("utf-8")
    assert f"- nll_nats: {facts['nll_nats']}" in card and "- gaussian_nll_nats: " in card


def test_warnings_are_one_line_and_quiet_hides_them(rows, capsys):
    np.save(rows / "equal.npy", np.ones((50, 3)))
    argv = ["fit-array", rows / "equal.npy", "--flow", "whitening", "--out"]
    lines = command(capsys, *argv, rows / "a").err.splitlines()
    (line,) = [line for line in lines if "equal examples" in line]
    assert line.startswith("flowjax fit-array: warning: data: expected different examples, got 50")
    assert command(capsys, *argv, rows / "b", "--quiet").err == ""
    assert logging.getLogger("flowjax").level == logging.NOTSET


def test_fit_needs_data(tmp_path, capsys):
    (line,) = command(capsys, "fit", "--out", tmp_path / "run", code=2).err.splitlines()
    assert "--data: expected a file" in line and "--data sample" in line
    assert not (tmp_path / "run").exists()


def test_progress_without_a_terminal_is_logged(monkeypatch, caplog):
    monkeypatch.setattr(progress, "LOG_EVERY", 0.0)
    with caplog.at_level(logging.INFO, "flowjax"), progress.track("fitting", 9, unit="steps") as a:
        a(4, "3.2 bits/dim")
    assert caplog.messages[0].startswith("fitting: 4 of 9 steps, ")
    assert caplog.messages[0].endswith(" left, 3.2 bits/dim")
    caplog.clear()
    monkeypatch.setattr(progress, "LOG_EVERY", 30.0)
    with caplog.at_level(logging.INFO, "flowjax"), progress.track("fitting", 9, unit="steps") as a:
        a(4)
    with progress.track("fitting", None, unit="steps", show_progress_bar=False) as a:
        a(4)
    assert not caplog.messages


def test_help_lists_the_flags_of_all_commands(capsys):
    assert "--quiet" in command(capsys, "--help").out
    page = command(capsys, "encode", "--help").out
    assert "--quiet" in page and "--verbose" in page
