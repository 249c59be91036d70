"""Output of `flowjax score`, and the error of `flowjax encode` about an interrupted job."""

import csv
import json

import numpy as np
import pytest

from flowjax.commands import score
from flowjax.commands.main import main
from flowjax.data.sentences import SentenceFile
from flowjax.data.store import EmbeddingStore
from flowjax.model import BertFlow

TEXTS = ["plain", "two\nlines", "a\r\nb\rc", "a\ttab", "x\u2028y\u2029z\x85w\x0b\x0c\x1c", " é "]


@pytest.fixture
def scored(tmp_path, monkeypatch, capsys):
    class Model:
        def log_prob(self, sentences):
            return np.arange(len(sentences), dtype=np.float32)

    monkeypatch.setattr(BertFlow, "load", lambda _: Model())
    path = tmp_path / "a.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([["text"], *([text] for text in TEXTS)])

    def run(**options):
        score.run(score.Args(str(tmp_path / "run"), str(path), **options))
        return capsys.readouterr().out

    return run


def test_every_sentence_is_one_line_of_two_columns(scored):
    lines = scored().splitlines()  # splits at every line end of Unicode
    assert [line.split("\t")[0] for line in lines] == [f"{i}.0000" for i in range(len(TEXTS))]
    assert all(line.count("\t") == 1 for line in lines)
    assert lines[1].endswith("two lines") and lines[2].endswith("a b c")
    assert lines[-1] == "5.0000\t é "


def test_json_keeps_the_sentence(scored):
    rows = [json.loads(line) for line in scored(json=True).splitlines()]
    kept = [text.replace("\r\n", "\n") for text in TEXTS]  # the reader of lines removes them
    assert [row["sentence"].replace("\r\n", "\n") for row in rows] == kept


def test_an_interrupted_encode_of_other_input_is_explained(tmp_path, capsys):
    """The store next to the output is hidden, so that the error must say where it comes from."""
    for name in ("first", "second"):
        (tmp_path / f"{name}.txt").write_text(f"A {name} sentence.\n")
    manifest = {"source_hash": SentenceFile(tmp_path / "first.txt").fingerprint()}
    out = tmp_path / "e.npy"
    EmbeddingStore(tmp_path / ".e.npy.store", {"flow_hash": None, **manifest}, dim=256)
    argv = ["encode", "minibert", str(tmp_path / "second.txt"), "--out", str(out)]
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert ".e.npy.store: expected vectors of " in error and "Traceback" not in error
    assert f"an interrupted job with --out {out} left this folder" in error
    assert main([*argv, "--overwrite"]) == 0 and np.load(out).shape == (1, 256)
