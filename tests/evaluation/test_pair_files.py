"""Files of labelled pairs of users: formats, columns, delimiters, and errors."""

import csv
import gzip
import io
import json

import pytest
from toy_files import write

from flowjax.errors import FlowjaxError
from flowjax.evaluation import load_pairs

USER = [("4.5", "He said: yes", "She"), ("", "no score", "here"), ("0", "b", "c")]


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl"])
def test_user_pairs_in_three_formats(tmp_path, suffix):
    if suffix == ".jsonl":
        rows = (
            f'{{"score": {s or "null"}, "sentence1": "{a}", "sentence2": "{b}"}}'
            for s, a, b in USER
        )
        text = "\n".join(rows)
    else:
        join = ("\t" if suffix == ".tsv" else ",").join
        text = "\n".join(join(row) for row in [("score", "sentence1", "sentence2"), *USER])
    task = load_pairs(write(tmp_path / f"mine{suffix}", text))
    assert task.name == "mine"
    assert task.pairs("test").gold.tolist() == [4.5, 0.0]
    assert task.counts() == {"test": {"mine": {"pairs": 2, "skipped": 1}}}
    assert task.notes == ("1 pairs have no gold score and are skipped",)
    assert task.sentences() == ["He said: yes", "She", "b", "c"]
    assert task.sentences(unscored=True)[-2:] == ["no score", "here"]


def test_user_csv_has_quotes_and_any_order_of_columns(tmp_path):
    text = 'sentence2,id,score,sentence1\n"a, b",7,3,"say ""hi"""\n'
    pairs = load_pairs(write(tmp_path / "x.csv", text)).pairs("test")
    assert (pairs.sentences1, pairs.sentences2) == (('say "hi"',), ("a, b",))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "x.tsv",
            "score\ta\tb\n1\tx\ty\n",
            "line 1: expected the columns score or label, sentence1, sentence2, got 'score', 'a'",
        ),
        (
            "x.tsv",
            "score\tsentence1\tsentence2\n1\tx\n",
            "line 2: expected 3 cells like the header, got 2",
        ),
        ("x.tsv", "score\tsentence1\tsentence2\n", "expected scored pairs, got none"),
        ("x.csv", 'score,sentence1,sentence2\n1,"x,y\n', "expected CSV"),
        ("x.jsonl", "{]\n", "line 1: expected JSON"),
        (
            "x.jsonl",
            '{"score": 1, "sentence1": "a"}\n',
            "line 1: expected the columns score or label, .* got 'score', 'sentence1'",
        ),
        (
            "x.jsonl",
            '{"score": 1, "sentence1": 3, "sentence2": "a"}\n',
            "line 1: expected text in 'sentence1', got int",
        ),
        ("x.parquet", "?", "expected a .tsv, .csv, .txt or .jsonl file .*got '.parquet'"),
        ("x.csv.zip", "?", "got '.zip'"),
        ("x.csv", "score,sentence1,sentence2,score\n1,a,b,2\n", "one column 'score', got several"),
        ("x.tsv", "label\tsentence1\tsentence2\nyes\ta\tb\n", "line 2: expected a number"),
    ],
)
def test_user_pairs_errors(tmp_path, name, text, message):
    with pytest.raises(ValueError, match=message):
        load_pairs(write(tmp_path / name, text))


def test_user_pairs_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"none\.tsv: expected a readable file"):
        load_pairs(tmp_path / "none.tsv")


ROWS = [("1", "the cat; sat", 'he said "hi"'), ("0", "婚礼", "a, b"), ("1", "x", "y")]


def table(delimiter, order=(0, 1, 2), *, header=(), more=()):
    lines = [header, *([*more, *(row[i] for i in order)] for row in ROWS)]
    return "".join(delimiter.join(cells) + "\n" for cells in lines if cells)


def quoted(delimiter, *header):
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows([header, *ROWS])
    return out.getvalue()


# Layouts of public data sets: LCQMC, ATEC, the Chinese STS-B, exports of pandas and spreadsheets.
LAYOUTS = {
    "lcqmc.tsv": (table("\t", (1, 2, 0)), {"columns": (3, 1, 2)}),
    "lcqmc-header.tsv": (
        table("\t", (1, 2, 0), header=["text_a", "text_b", "label"]),
        {"columns": ("label", "text_a", "text_b")},
    ),
    "atec.csv": (table("\t", (1, 2, 0), more=["7"]), {"columns": (4, 2, 3), "delimiter": "\t"}),
    "stsb-zh.txt": (
        table("||", (1, 2, 0), more=["id"]),
        {"columns": (4, 2, 3), "delimiter": "||"},
    ),
    "label.tsv": (table("\t", header=["label", "sentence1", "sentence2"]), {}),
    "excel.csv": (quoted(";", "score", "sentence1", "sentence2"), {"delimiter": ";"}),
    "pandas.tsv": (quoted("\t", "score", "sentence1", "sentence2"), {}),
    "own.jsonl": (
        "\n".join(json.dumps({"y": int(s), "a": a, "b": b}) for s, a, b in ROWS),
        {"columns": ("y", "a", "b")},
    ),
    "bool.jsonl": (
        "\n".join(json.dumps({"y": s == "1", "a": a, "b": b}) for s, a, b in ROWS),
        {"columns": ("y", "a", "b")},
    ),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("end", ["", "\n", "\n  \n\n"])
def test_layouts_of_pair_files(tmp_path, name, packed, end):
    """The pairs are the same for every layout, also compressed and with blank lines at the end."""
    text, options = LAYOUTS[name]
    path = tmp_path / (name + ".gz" * packed)
    path.write_bytes((gzip.compress if packed else bytes)((text + end).encode("utf-8-sig")))
    task = load_pairs(path, **options)
    assert task.name == name.rsplit(".", 1)[0]
    pairs = task.pairs("test")
    assert list(zip(pairs.gold, pairs.sentences1, pairs.sentences2, strict=True)) == [
        (float(score), a, b) for score, a, b in ROWS
    ]


def test_rows_of_empty_cells_are_no_pairs(tmp_path):
    text = "score,sentence1,sentence2,\n1,a,b,\n,,,\n ,,, \n0,c,d,\n,,,\n"
    task = load_pairs(write(tmp_path / "x.csv", text))
    assert (len(task.pairs("test")), task.notes) == (2, ())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "x.tsv",
            {"columns": ("label", "a")},
            "columns: expected three names, or three positions",
        ),
        ("x.tsv", {"columns": (1, 1, 2)}, "columns: expected three names, .* got 1, 1, 2"),
        ("x.tsv", {"columns": (0, 1, 2)}, "columns: expected"),
        ("x.tsv", {"columns": (1, "a", "b")}, "columns: expected"),
        ("x.tsv", {"columns": (4, 1, 2)}, "line 1: expected at least 4 cells, got 3; see the del"),
        ("x.tsv", {"columns": (1, 2, 3)}, "line 1: expected a number as the score, got 'label'"),
        ("x.tsv", {"columns": ("a", "b", "c")}, "expected the columns a, b, c, got 'label', 'a'"),
        ("x.tsv", {"delimiter": ";"}, "expected the columns score or label"),
        ("x.jsonl", {"columns": (1, 2, 3)}, "expected names of columns and no delimiter for JSON"),
        ("x.jsonl", {"delimiter": ";"}, "expected names of columns and no delimiter for JSON"),
    ],
)
def test_options_that_do_not_fit(tmp_path, name, options, message):
    path = write(tmp_path / name, table("\t", header=["label", "a", "b"]))
    with pytest.raises(FlowjaxError, match=message):
        load_pairs(path, **options)
