"""Tests of the command: fit, encode, evaluate, ... end to end, and one line for each error."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from devices import xla_flags

from flowjax._version import __version__
from flowjax.commands.main import main

SMALL_GLOW = "--flow glow --flow.levels 1 --flow.depth 1 --flow.width 8".split()
SENTENCES = [f"Person {i} {verb} the {thing}." for i in range(40)
             for verb in ("sees", "buys", "paints") for thing in ("house", "river")]  # fmt: skip


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "sentences.txt"
    path.write_text("\n".join(SENTENCES) + "\n", "utf-8")
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory, text):
    """Folder of a short finished run."""
    out = tmp_path_factory.mktemp("runs") / "mine"
    argv = ["fit", *SMALL_GLOW, "--data", str(text), "--out", str(out)]
    assert main([*argv, "--train.steps", "30"]) == 0
    return out


def fails(capsys, *argv, code=2):
    """Runs a command that must fail and returns its line of error."""
    capsys.readouterr()
    assert main([str(a) for a in argv]) == code
    error = capsys.readouterr().err
    assert "Traceback" not in error
    lines = [line for line in error.splitlines() if line.startswith("flowjax")]
    lines = [line for line in lines if ": warning: " not in line]
    assert len(lines) == 1, error
    return lines[0]


def test_files_of_a_run_folder(finished):
    assert {p.name for p in finished.iterdir()} == {
        "config.toml", "metrics.jsonl", "checkpoints", "embeddings", "model"
    }  # fmt: skip
    names = {p.name for p in (finished / "model").iterdir()}
    assert names >= {"config.json", "flow.safetensors", "tokenizer.json", "README.md"}
    rows = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 30
    assert rows[-1]["bits_per_dim"] < rows[0]["bits_per_dim"]


def test_encode_keeps_order_and_formats_agree(finished, text, tmp_path, capsys):
    for name in ("v.npy", "v.parquet", "v.safetensors"):
        assert main(["encode", str(finished), str(text), "--out", str(tmp_path / name)]) == 0
    assert f"{len(SENTENCES)} sentences" in capsys.readouterr().err
    import pyarrow.parquet
    from safetensors.numpy import load_file

    vectors = np.load(tmp_path / "v.npy")
    assert vectors.shape == (len(SENTENCES), 256) and vectors.dtype == np.float32
    table = pyarrow.parquet.read_table(tmp_path / "v.parquet")
    assert np.array_equal(np.array(table["embedding"].to_pylist(), np.float32), vectors)
    assert np.array_equal(load_file(tmp_path / "v.safetensors")["embeddings"], vectors)
    import flowjax

    model = flowjax.BertFlow.load(finished)
    np.testing.assert_allclose(model.encode(SENTENCES[5:7]), vectors[5:7], atol=2e-4)


def test_score_and_sample(finished, text, tmp_path, capsys):
    assert main(["score", str(finished), str(text), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["sentence"] for row in rows] == SENTENCES
    assert np.isfinite([row["log_prob"] for row in rows]).all()
    assert main(["sample", str(finished), "--n", "7", "--out", str(tmp_path / "s.npy")]) == 0
    assert np.load(tmp_path / "s.npy").shape == (7, 256)


def test_layout_of_the_json_of_evaluate(finished, tmp_path, capsys):
    out = tmp_path / "r.json"
    assert main(["evaluate", str(finished), "--tasks", "sample", "--json", str(out)]) == 0
    results = json.loads(out.read_text())["results"]["sample"]["test"]
    assert set(results) == {"plain", "standardize", "whitening", "glow"}
    for scores in results.values():
        assert scores["pairs"] == 495 and -100 < scores["spearman"] < 100
    assert "Spearman" in capsys.readouterr().out


def test_info(finished, capsys):
    assert main(["info", str(finished), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["run"]["fitted_on"]["sentences"] == len(SENTENCES)
    assert main(["info"]) == 0


def test_config_file_and_dotted_flags(tmp_path, text, capsys):
    config = tmp_path / "c.toml"
    config.write_text(
        f'[data]\nfit = "{text}"\n[flow]\nname = "whitening"\n[encoder]\npooling="mean"'
    )
    out = tmp_path / "run"
    argv = ["fit", "--config", str(config), "--out", str(out), "--flow.shrinkage", "auto"]
    assert main(argv) == 0
    saved = json.loads((out / "model" / "config.json").read_text())
    assert saved["encoder"]["pooling"] == "mean"
    assert saved["flow"]["recipe"] == "whitening"
    assert saved["flow"]["options"]["shrinkage"] == "auto"
    line = fails(capsys, *argv)
    assert "finished run" in line and "--overwrite" in line


BAD_TEXT = {
    "missing.txt": (None, "no such file"),
    "empty.txt": (b"", "expected sentences"),
    "blank.txt": (b"\n \n\n", "expected sentences"),
    "latin.txt": ("Café\n".encode("latin-1"), "expected UTF-8"),
    "picture.png": (b"\x89PNG", "expected .txt"),
    "no_column.csv": (b"a,b\n1,2\n", "expected a column"),
    "broken.jsonl": (b'{"text": "a"}\n{"text"\n', "line 2"),
}


@pytest.mark.parametrize("name", BAD_TEXT)
def test_an_invalid_file_gives_one_line_and_no_output(name, tmp_path, finished, capsys):
    content, expected = BAD_TEXT[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    out = tmp_path / "out"
    line = fails(capsys, "fit", "--data", tmp_path / name, "--out", out)
    assert name in line and expected in line
    assert not out.exists()
    if name == "blank.txt":
        return  # `encode` writes a vector for each empty line
    line = fails(capsys, "encode", finished, tmp_path / name, "--out", tmp_path / "v.npy")
    assert name in line and expected in line
    assert not (tmp_path / "v.npy").exists()


BAD_FLAGS = [
    (["fit", "--train.steps", "x"], "--train.steps"),
    (["fit", "--train.stepz", "3"], "--train.stepz"),
    (["fit", "--flow", "glowing"], "glow_as_released"),
    (["fit", "--flow.levels", "99"], "levels"),
    (["fit", "--flow.whiten-latents", "true"], "expected the new name latent_power (1 for true"),
    (["fit", "--flow", "glow", "--flow.latent-power", "1.5"], "latent_power: expected a number"),
    (["fit", "--flow.latent-power", "half"], "latent-power: expected"),
    (["fit", "--flow", "whitening", "--flow.levels", "2"], "got 'levels'"),
    (["fit", "--encoder.pooling", "max"], "pooling: expected one of"),
    (["fit", "--encoder.max-length", "4096"], "max_length: expected an integer from 3 to"),
    (["fit", "--encoder", "./nowhere"], "./nowhere"),
    (["fit", "--data", "stsb"], "--data-dir"),
    (["fit", "--train.optimizer", "sgd"], "train.optimizer"),
    (["fit", "--train.devices", "99"], "devices: expected an integer from 1 to"),
    (["fit", "--train.devices", "8", "--train.batch-size", "12"], "multiple of 8"),
    (["fit", "--config", "missing.toml"], "missing.toml"),
    (["evaluate", "nowhere"], "nowhere"),
    (["encode", "nowhere", "x.txt", "--out", "v.npy"], "x.txt"),
    (["frobnicate"], "frobnicate"),
]


@pytest.mark.parametrize(("argv", "expected"), BAD_FLAGS, ids=lambda v: "-".join(v)[:40])
def test_an_invalid_flag_gives_one_line(argv, expected, tmp_path, monkeypatch, capsys, text):
    monkeypatch.chdir(tmp_path)
    if argv[0] == "fit":
        argv = [*argv, "--out", "out"] + ([] if "--data" in argv else ["--data", str(text)])
    assert expected in fails(capsys, *argv)


def test_an_unknown_config_field_names_file_and_field(tmp_path, capsys):
    config = tmp_path / "c.toml"
    config.write_text("[train]\nlearning_rat = 1e-3\n")
    line = fails(capsys, "fit", "--config", config, "--out", tmp_path / "out")
    assert "c.toml: train.learning_rat" in line and "learning_rate" in line


def test_existing_files_are_kept_without_overwrite(finished, text, tmp_path, capsys):
    out = tmp_path / "v.npy"
    out.write_bytes(b"precious")
    assert "--overwrite" in fails(capsys, "encode", finished, text, "--out", out)
    assert out.read_bytes() == b"precious"
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "thesis.tex").write_text("precious")
    for more in ([], ["--overwrite"]):
        fails(capsys, "fit", "--data", text, "--out", folder, *more)
        assert (folder / "thesis.tex").read_text() == "precious"


def test_empty_and_long_sentences_are_counted(tmp_path, finished, capsys):
    file = tmp_path / "s.txt"
    file.write_text("One.\n\n" + "word " * 300 + "\n")
    assert main(["encode", str(finished), str(file), "--out", str(tmp_path / "v.npy")]) == 0
    report = capsys.readouterr().err
    assert "3 sentences" in report and "1 empty" in report and "1 truncated" in report
    assert np.isfinite(np.load(tmp_path / "v.npy")).all()


@pytest.mark.faults
@pytest.mark.end_to_end
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_a_checkpoint(tmp_path, text, number, code):
    out = tmp_path / "run"
    # The first metrics come after a hundredth of the steps.
    argv = [sys.executable, "-m", "flowjax", "fit", "--data", str(text), "--out", str(out),
            *SMALL_GLOW, "--train.steps", "50000"]  # fmt: skip
    env = {**os.environ, "XLA_FLAGS": xla_flags(1)}
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=env)
    metrics = out / "metrics.jsonl"
    until = time.monotonic() + 300
    while not (metrics.exists() and metrics.stat().st_size):
        assert process.poll() is None and time.monotonic() < until, process.communicate()[1]
        time.sleep(0.05)
    process.send_signal(number)
    _, error = process.communicate(timeout=300)
    assert process.returncode == code, error
    step = json.loads(metrics.read_text().splitlines()[-1])["step"]
    assert (out / "checkpoints" / str(step)).is_dir()
    assert not (out / "model").exists()


def test_help_of_every_command(capsys, monkeypatch):
    from flowjax.commands.main import COMMANDS

    monkeypatch.setenv("COLUMNS", "80")
    assert main(["--help"]) == 0
    page = capsys.readouterr().out
    assert max(map(len, page.splitlines())) <= 80
    for name in COMMANDS:
        assert name in page
        assert main([name, "--help"]) == 0
        flags = capsys.readouterr().out
        assert f"usage: flowjax {name}" in flags
        assert max(map(len, flags.splitlines())) <= 80


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"flowjax {__version__}\n"
