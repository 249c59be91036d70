"""Output of `flowjax score`: one line and two columns per sentence, for any sentence."""

import csv
import json

import numpy as np
import pytest

from flowjax.commands import score
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
