"""TFDS builders: archives, manual folders, and errors of wrong ones."""

import dataclasses
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tfds_files import PAIR_TASKS, QNLI, SICK_HEADER, nli_row, sick, write

pytest.importorskip("tensorflow_datasets")

from flowjax.data import tfds as package
from flowjax.data.tfds import BUILDERS, builder, prepare
from flowjax.data.tfds.nli import URLS as NLI_URLS
from flowjax.data.tfds.source import TfdsSource
from flowjax.evaluation import TASKS, load_task

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


class Downloads:
    """Download manager whose archives are folders on disk."""

    def __init__(self, archives):
        self._archives = archives

    @property
    def manual_dir(self):
        raise AssertionError("Manual directory not enabled.")

    def download_and_extract(self, url):
        return self._archives[url]


def splits_of(name, archives, tmp_path):
    made = builder(name, tmp_path / "data")
    found = made._split_generators(Downloads(archives))
    return {split: [row for _, row in rows] for split, rows in found.items()}


@pytest.mark.parametrize("name", ["stsb_pairs", "nli_sentences/snli"])
def test_a_failed_download_is_one_line(tmp_path, monkeypatch, name):
    """Runs the real download manager against a closed port, with few retries."""
    url = "http://127.0.0.1:9/archive.zip"
    monkeypatch.setitem(TASKS, "stsb", dataclasses.replace(TASKS["stsb"], url=url))
    monkeypatch.setitem(NLI_URLS, "snli", url)
    with pytest.raises(ValueError, match="expected a download, got ConnectionError") as caught:
        prepare(name, data_dir=tmp_path)
    assert str(caught.value).startswith(url) and "\n" not in str(caught.value)


def test_downloaded_archives(tmp_path, manual):
    """Published archives have other file names and folders than `load_task` expects."""
    year = tmp_path / "zip" / "sts2016-english-with-gs-v1.0"
    for subset in ("headlines", "plagiarism"):
        write(year / f"STS2016.input.{subset}.txt", "a\tb\tsource\tsource", "c\td\tx\ty")
        write(year / f"STS2016.gs.{subset}.txt", "4", "")
    found = splits_of("sts_pairs/sts16", {TASKS["sts16"].url: tmp_path / "zip"}, tmp_path)
    assert [row["subset"] for row in found["test"]] == ["headlines", "plagiarism"]

    write(
        tmp_path / "sick" / "SICK.txt",
        SICK_HEADER,
        *(sick(i, ["TRAIN", "TRIAL", "TEST"][i % 3]) for i in range(7)),
    )
    found = splits_of("sick_pairs", {TASKS["sickr"].url: tmp_path / "sick"}, tmp_path)
    assert {split: len(rows) for split, rows in found.items()} == {"train": 3, "dev": 2, "test": 2}
    assert found["dev"][1]["sentence1"] == "A cat 4."

    shutil.copytree(manual / "stsb", tmp_path / "tar" / "stsbenchmark")
    write(tmp_path / "tar" / "__MACOSX" / "sts-train.csv", "junk")
    found = splits_of("stsb_pairs", {TASKS["stsb"].url: tmp_path / "tar"}, tmp_path)
    assert {split: len(rows) for split, rows in found.items()} == {"train": 5, "dev": 3, "test": 2}

    write(tmp_path / "glue" / "QNLI" / "dev.tsv", *QNLI)
    found = splits_of("qnli_pairs", {TASKS["qnli"].url: tmp_path / "glue"}, tmp_path)
    assert [row["score"] for row in found["dev"]] == [1.0, 0.0]

    write(tmp_path / "snli" / "snli_1.0" / "snli_1.0_dev.jsonl", nli_row(0))
    write(tmp_path / "snli" / "__MACOSX" / "snli_1.0_test.jsonl", "junk")
    found = splits_of("nli_sentences/snli", {NLI_URLS["snli"]: tmp_path / "snli"}, tmp_path)
    assert list(found) == ["dev"] and found["dev"][0]["label"] == "neutral"
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"expected multinli_1\.0_\*\.jsonl or s1"):
        splits_of("nli_sentences/mnli", {NLI_URLS["mnli"]: tmp_path / "empty"}, tmp_path)


def test_mistakes(tmp_path, manual):
    for name, message in [
        ("nope", "expected one of stsb_pairs"),
        ("sts_pairs", "expected sts_pairs/sts12 or sts_pairs/sts13"),
        ("sts_pairs/sts99", "expected sts_pairs/sts12"),
        ("stsb_pairs/x", "expected stsb_pairs, got 'stsb_pairs/x'"),
    ]:
        with pytest.raises(ValueError, match=message):
            builder(name, tmp_path)
    with pytest.raises(ValueError, match="expected a folder with the files of stsb_pairs"):
        prepare("stsb_pairs", data_dir=tmp_path, manual_dir=tmp_path / "none")
    for name, folder, message in [
        ("stsb_pairs", manual / "qnli", "stsb: expected sts-train.csv"),
        ("nli_sentences/mnli", manual / "qnli", "expected multinli"),
    ]:
        with pytest.raises(ValueError, match=message):  # a manual folder: nothing is downloaded
            prepare(name, data_dir=tmp_path, manual_dir=folder)
    damaged = tmp_path / "damaged"
    write(damaged / "snli" / "s1.dev", "a", "b")
    write(damaged / "snli" / "s2.dev", "a")
    write(damaged / "snli" / "labels.dev", "neutral", "neutral")
    with pytest.raises(ValueError, match="expected as many lines"):
        prepare("nli_sentences/snli", data_dir=tmp_path / "data", manual_dir=damaged)
    with pytest.raises(ValueError, match="expected a prepared data set"):
        TfdsSource("tfds:nli_sentences/snli", data_dir=tmp_path / "data")


def test_tensorflow_is_not_imported(manual, tmp_path):
    """A package `tensorflow` that fails on import precedes the real one on the path."""
    write(tmp_path / "tensorflow" / "__init__.py", "raise ImportError('not here')")
    code = (
        "import sys\n"
        "import flowjax.data.sentences, flowjax.data.store, flowjax.data.tfds\n"
        "heavy = {'tensorflow_datasets', 'tensorflow', 'jax', 'pyarrow', 'tokenizers'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "from flowjax.data.sentences import open_source\n"
        "from flowjax.data.tfds import prepare\n"
        "prepare('stsb_pairs', data_dir=sys.argv[2], manual_dir=sys.argv[1])\n"
        "print(len(list(open_source('tfds:stsb_pairs'))))\n"
        "assert 'tensorflow' not in sys.modules and 'jax' not in sys.modules\n"
    )
    root = Path(package.__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code, str(manual), str(tmp_path / "data")],
        env={"PYTHONPATH": f"{tmp_path}:{root}", "TFDS_DATA_DIR": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "20"


def test_the_module_is_a_command(manual, tmp_path, monkeypatch, capsys):
    from flowjax.data.tfds.__main__ import main

    arguments = ["qnli_pairs", "--data-dir", str(tmp_path), "--manual-dir"]
    monkeypatch.setattr("sys.argv", ["x", *arguments, str(manual)])
    assert main() == 0
    assert "qnli_pairs: {'dev': 2}" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["x", *arguments, str(tmp_path / "none")])
    assert main() == 2
    assert "expected a folder with the files" in capsys.readouterr().err


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared data here")
def test_real_files(tmp_path):
    counts = {
        "stsb_pairs": {"train": 5749, "dev": 1500, "test": 1379},
        "sts_pairs/sts12": {"test": 3108},
    }
    for name, splits in counts.items():
        made = prepare(name, data_dir=tmp_path, manual_dir=SHARED)
        assert {s: info.num_examples for s, info in made.info.splits.items()} == splits
        task = load_task(PAIR_TASKS[name], SHARED)
        texts = list(TfdsSource(f"tfds:{name}", data_dir=tmp_path))
        assert hashlib.sha256("\n".join(texts).encode()).digest() == (
            hashlib.sha256("\n".join(task.sentences()).encode()).digest()
        )


def test_every_builder_is_known():
    for base in BUILDERS:
        name = {"sts_pairs": "sts_pairs/sts12", "nli_sentences": "nli_sentences/snli"}.get(
            base, base
        )
        assert builder(name).name == base
