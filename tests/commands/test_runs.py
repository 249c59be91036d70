"""Tests of run folders: what `--overwrite` deletes, locks, and runs without a saved state."""

import dataclasses
import os
import shutil
import subprocess
import sys

import pytest

from flowjax.commands.main import main
from flowjax.commands.runs import open_run, run_files
from flowjax.config import FitArrayConfig, FitConfig, TrainConfig
from flowjax.errors import FlowjaxError
from flowjax.files.replace import entries

CONFIG = FitConfig()
OTHER = dataclasses.replace(CONFIG, train=TrainConfig(learning_rate=1e-4))


def run(out, config=CONFIG, command="fit", overwrite=False):
    with open_run(out, config, command=command, overwrite=overwrite):
        assert (out / ".lock").exists()
    assert not (out / ".lock").exists()


def write(out, *names):
    for name in names:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("x")


STATE = "checkpoints/50/state/x"
FILES = (STATE, "metrics.jsonl", "embeddings/manifest.json", "embeddings/vectors.npy")


@pytest.fixture
def unfinished(tmp_path):
    """Folder of an unfinished run, with a file and a folder of the user."""
    out = tmp_path / "run"
    run(out)
    write(out, *FILES, "notes.txt", "report/index.html", "vectors.npy")
    return out


USER = ["notes.txt", "report/index.html", "vectors.npy"]
FOREIGN = {
    "another tool": {"config.toml": 'title = "my site"\n', "thesis.md": ""},
    "tables of the same names": {"config.toml": "[train]\nsteps = 3\n[flow]\n", "a.py": ""},
    "a saved model": {"model/config.json": '{"format": 3, "flow": {}}'},
    "files": {"thesis.md": ""},
    "a folder": {"a/b": ""},
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_folder_of_the_user_is_kept(name, tmp_path):
    for file, text in FOREIGN[name].items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)
    before = entries(tmp_path)
    for overwrite in (False, True):
        with pytest.raises(FlowjaxError, match="got a folder of other files"):
            run(tmp_path, overwrite=overwrite)
    assert entries(tmp_path) == before
    (tmp_path / "file").touch()
    with pytest.raises(FlowjaxError, match="got a file"):
        run(tmp_path / "file", overwrite=True)


def test_overwrite_deletes_the_files_of_the_run_and_keeps_all_others(unfinished):
    assert run_files(unfinished)[1] == set(USER)
    run(unfinished, OTHER, overwrite=True)
    assert entries(unfinished) == ["config.toml", *USER]


@pytest.mark.parametrize("place", ["embeddings/mine.npy", "checkpoints/notes.txt", "model/x"])
def test_files_of_the_user_in_a_subfolder_of_the_run_are_kept(unfinished, place):
    write(unfinished, place)
    if place.startswith("model"):
        (unfinished / "model/config.json").write_text('{"format": 3, "flow": {}}')
    before = entries(unfinished)
    with pytest.raises(FlowjaxError, match=f"only files of the run .*, got {place}; move that"):
        run(unfinished, overwrite=True)
    assert entries(unfinished) == before


def test_a_failed_move_keeps_the_run(unfinished, monkeypatch):
    before, real = entries(unfinished), os.replace

    def busy(source, target):
        if str(source).endswith("/metrics.jsonl"):
            raise OSError(16, "Device or resource busy")
        real(source, target)

    monkeypatch.setattr(os, "replace", busy)
    with pytest.raises(OSError):
        run(unfinished, overwrite=True)
    assert entries(unfinished) == before


def test_an_unfinished_run_needs_its_config_and_its_command(unfinished):
    run(unfinished)
    assert STATE in entries(unfinished)
    with pytest.raises(FlowjaxError, match=r"train\.learning_rate = 0\.0001, got one with 0\.001"):
        run(unfinished, OTHER)
    with pytest.raises(FlowjaxError, match="expected a run of flowjax fit-array, got one of flow"):
        run(unfinished, FitArrayConfig(), command="fit-array x.npy")
    (unfinished / "model").mkdir()
    with pytest.raises(FlowjaxError, match="got a finished run; use --overwrite"):
        run(unfinished)


@pytest.mark.parametrize("left", [(), ("checkpoints/0/state/x",), ("metrics.jsonl",)])
@pytest.mark.parametrize("text", [None, "# flowjax fit --config\n[train]\nrate = 1\n"])
def test_a_run_without_a_saved_state_does_not_block_the_next(tmp_path, left, text):
    run(tmp_path)
    write(tmp_path, *left, "embeddings/manifest.json")
    if text:  # the config of an earlier release, which is invalid now
        (tmp_path / "config.toml").write_text(text)
    run(tmp_path, OTHER)
    expected = ["config.toml"] if text else ["config.toml", "embeddings/manifest.json"]
    assert entries(tmp_path) == expected, "vectors of the same sentences are kept"
    run(tmp_path, FitArrayConfig(), command="fit-array x.npy")


def test_vectors_of_other_sentences_do_not_block_a_run_without_a_saved_state(tmp_path, capsys):
    text, out = tmp_path / "text.txt", tmp_path / "run"
    argv = ["fit", "--data", str(text), "--out", str(out), "--flow", "standardize"]
    for letter in "ab":
        text.write_text("".join(f"{letter} {i}\n" for i in range(30)))
        assert main(argv) == 0, capsys.readouterr().err
        shutil.rmtree(out / "model")  # as if the run had been stopped before the fit


def test_a_run_that_was_killed_while_it_wrote_its_config_is_started_again(tmp_path):
    write(tmp_path, ".config.toml.partial", ".lock")
    run(tmp_path)
    assert entries(tmp_path) == ["config.toml"]


def test_a_run_in_use_is_refused(tmp_path):
    out = tmp_path / "run"
    code = (
        "import sys; from pathlib import Path; from flowjax.files.lock import locked\n"
        "with locked(Path(sys.argv[1]), 'x'): print(flush=True); sys.stdin.read()"
    )
    run(out)
    argv = [sys.executable, "-c", code, out / ".lock"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(argv, **pipes) as process:
        process.stdout.readline()
        for overwrite in (False, True):
            with pytest.raises(FlowjaxError, match=f"in use by process {process.pid} on "):
                run(out, overwrite=overwrite)
        process.stdin.close()
    run(out)
