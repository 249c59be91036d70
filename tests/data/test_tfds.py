"""TFDS without TensorFlow: builders keep every row in order; prepared data sets read by name."""

import hashlib
import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow_datasets")

from flowjax.data import tfds as package
from flowjax.data.sentences import open_source, read_sentences
from flowjax.data.tfds import BUILDERS, builder, prepare
from flowjax.data.tfds.nli import URLS as NLI_URLS
from flowjax.data.tfds.pairs import URLS
from flowjax.data.tfds.records import tfrecords
from flowjax.data.tfds.source import TfdsSource, parse_name
from flowjax.evaluation import STS_YEARS, load_task

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def write(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines), "utf-8")


def sick(i, split):
    return f"{i}\tA cat {i}.\tA dog {i}.\tNEUTRAL\t{1 + i / 2}\t{split}"


SICK_HEADER = "pair_ID\tsentence_A\tsentence_B\tentailment_label\trelatedness_score\tSemEval_set"
QNLI = [
    "index\tquestion\tsentence\tlabel",
    "0\tWho came?\tShe did.\tentailment",
    "1\tWhy?\tRain fell.\tnot_entailment",
]


def nli_row(i):
    row = {
        "sentence1": f"Na\u00efve {i}.",
        "sentence2": f'A "quote" {i}.',
        "gold_label": "neutral",
    }
    return json.dumps(row)


@pytest.fixture(scope="module")
def manual(tmp_path_factory):
    """Tiny files of every data set, in the layouts that people have."""
    folder = tmp_path_factory.mktemp("manual")
    for split, rows in (("train", 5), ("dev", 3), ("test", 2)):
        lines = [
            f"news\tfile\t2012\t{i:04d}\t{i / 2}\tOne {split} {i}.\tTwo \u4e2d {i}."
            for i in range(rows)
        ]
        write(folder / "stsb" / f"sts-{split}.csv", *lines)
    for name, split in (("train", "TRAIN"), ("trial", "TRIAL"), ("test_annotated", "TEST")):
        write(
            folder / "sick" / f"SICK_{name}.txt", SICK_HEADER, *(sick(i, split) for i in range(3))
        )
    for year in STS_YEARS:
        for subset in ("OnWN", "headlines"):
            base = folder / "sts" / year.upper()
            write(base / f"STS.input.{subset}.txt", f"a {year}\tb {subset}", "c\td", "e\tf")
            write(base / f"STS.gs.{subset}.txt", "4.5", "", "1")
    write(folder / "qnli" / "dev.tsv", *QNLI)
    for split in ("dev", "test"):
        write(folder / "snli" / f"s1.{split}", "First one .", "Second one .")
        write(folder / "snli" / f"s2.{split}", "Its pair .", "Another .")
        write(folder / "snli" / f"labels.{split}", "neutral", "entailment")
    write(folder / "mnli" / "multinli_1.0_train.jsonl", nli_row(0), nli_row(1))
    write(folder / "mnli" / "multinli_1.0_dev_matched.jsonl", nli_row(2))
    return folder


@pytest.fixture(scope="module")
def prepared(manual, tmp_path_factory):
    """All of them prepared."""
    root = tmp_path_factory.mktemp("tfds")
    names = ["stsb_pairs", "sick_pairs", "qnli_pairs", "nli_sentences/snli", "nli_sentences/mnli"]
    for name in [*names, *(f"sts_pairs/{year}" for year in STS_YEARS)]:
        prepare(name, data_dir=root, manual_dir=manual)
    lines = tmp_path_factory.mktemp("lines")
    write(lines / "b.txt", "From b.", "", "Last.")
    write(lines / "a.txt", *(f"Line {i}." for i in range(2000)))
    prepare("text_lines", data_dir=root, manual_dir=lines)
    return root


@pytest.fixture(autouse=True)
def data_dir(request, monkeypatch):
    if "prepared" in request.fixturenames:
        monkeypatch.setenv("TFDS_DATA_DIR", str(request.getfixturevalue("prepared")))


def rows_of(made, split):
    """All rows of a split through as_data_source."""
    source = made.as_data_source(split=split)
    return [
        {k: v.decode() if isinstance(v, bytes) else float(v) for k, v in source[i].items()}
        for i in range(len(source))
    ]


PAIR_TASKS = {
    "stsb_pairs": "stsb",
    "sick_pairs": "sickr",
    "qnli_pairs": "qnli",
    **{f"sts_pairs/{year}": year for year in STS_YEARS},
}


@pytest.mark.parametrize("name", PAIR_TASKS)
def test_pairs_are_those_of_evaluation(name, prepared, manual):
    task = load_task(PAIR_TASKS[name], manual)
    made = builder(name, prepared)
    assert set(made.info.splits) == set(task.splits)
    for split, subsets in task.splits.items():
        expected = [
            {"sentence1": a, "sentence2": b, "score": score, "subset": subset}
            for subset, pairs in subsets.items()
            for a, b, score in zip(
                pairs.sentences1, pairs.sentences2, pairs.gold.tolist(), strict=True
            )
        ]
        assert rows_of(made, split) == expected
    assert list(open_source(f"tfds:{name}")) == task.sentences()


def test_nli(prepared):
    assert rows_of(builder("nli_sentences/snli", prepared), "dev") == [
        {"sentence1": "First one .", "sentence2": "Its pair .", "label": "neutral"},
        {"sentence1": "Second one .", "sentence2": "Another .", "label": "entailment"},
    ]
    assert list(open_source("tfds:nli_sentences/mnli/dev_matched")) == [
        "Na\u00efve 2.",
        'A "quote" 2.',
    ]


def test_text_lines(prepared):
    texts = [f"Line {i}." for i in range(2000)] + ["From b.", "", "Last."]
    assert list(open_source("tfds:text_lines")) == texts
    assert read_sentences("tfds:text_lines/train[1998:]") == ([*texts[1998:2001], "Last."], 1)
    assert list(open_source("tfds:text_lines:file"))[-1] == "b.txt"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tfds:stsb_pairs/dev", ["One dev 0.", "Two \u4e2d 0.", "One dev 1.", "Two \u4e2d 1."]),
        ("tfds:stsb_pairs/dev:sentence1", ["One dev 0.", "One dev 1.", "One dev 2."]),
        ("tfds:stsb_pairs:1.0.0/test[:1]:sentence2,sentence1", ["Two \u4e2d 0.", "One test 0."]),
        ("tfds:stsb_pairs/test+dev[:1]:sentence1", ["One test 0.", "One test 1.", "One dev 0."]),
        ("tfds:sts_pairs/sts16/test:subset", ["OnWN", "OnWN", "headlines", "headlines"]),
    ],
)
def test_names(prepared, name, expected):
    source = open_source(name)
    found = list(source)
    assert found[: len(expected)] == expected and list(source) == found
    assert source.name == name and not source.is_stream


def test_a_column_given_apart(prepared):
    assert list(open_source("tfds:stsb_pairs/test", "sentence1")) == ["One test 0.", "One test 1."]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "tfds:nope",
            r"expected a prepared data set in .*nope, got none; there are: nli_sentences",
        ),
        ("tfds:stsb_pairs:9.9.9", "expected a prepared data set"),
        ("tfds:stsb_pairs/valid", "expected a split among train, dev, test, got 'valid'"),
        ("tfds:stsb_pairs/train[:x]", "expected a split among"),
        ("tfds:stsb_pairs/train/more", "expected one split after stsb_pairs, got 'train/more'"),
        ("tfds:stsb_pairs:score", "expected text in 'score', one of sentence1, sentence2, sub"),
        ("tfds:sts_pairs", "expected a config of sts_pairs: sts12, sts13"),
        ("tfds:", r"expected tfds:NAME\[/SPLIT\]\[:COLUMN\]"),
        ("tfds:../up", "expected tfds:NAME"),
        ("tfds:a//b", "expected tfds:NAME"),
    ],
)
def test_wrong_names(prepared, name, said):
    with pytest.raises(ValueError, match=said):
        open_source(name)


def test_unprepared_ones_of_ours_say_how(tmp_path):
    with pytest.raises(ValueError, match=r"prepare it: python -m flowjax\.data\.tfds stsb_pairs"):
        TfdsSource("tfds:stsb_pairs", data_dir=tmp_path)


def test_parse_name():
    assert parse_name("tfds:a/b:1.2.3/train[10:20]:x/y,z") == (
        ["a", "b", "train[10:20]"],
        "1.2.3",
        "x/y,z",
    )
    assert parse_name("tfds:a:1.2.3") == (["a"], "1.2.3", None)
    assert parse_name("tfds:a/train[:50%]") == (["a", "train[:50%]"], None, None)


def test_fingerprints(prepared, tmp_path):
    def of(name, root=prepared):
        return TfdsSource(name, data_dir=root).fingerprint()

    names = ["tfds:stsb_pairs", "tfds:stsb_pairs/dev", "tfds:stsb_pairs/dev:sentence1"]
    assert len({of(name) for name in names}) == 3
    shutil.copytree(prepared / "stsb_pairs", tmp_path / "stsb_pairs")
    assert of(names[0], tmp_path) == of(names[0])
    file = next((tmp_path / "stsb_pairs").rglob("*array_record*"))
    file.write_bytes(file.read_bytes() + b"x")
    assert of(names[0], tmp_path) != of(names[0])


def test_a_data_set_prepared_as_tfrecord(prepared, tmp_path):
    """As TensorFlow writes it by default: read without TensorFlow all the same."""
    from array_record.python import array_record_module

    old, new = prepared / "stsb_pairs" / "1.0.0", tmp_path / "other_set" / "1.0.0"
    shutil.copytree(old, new)
    made = builder("stsb_pairs", prepared)
    for split in made.info.splits:
        path = new / f"stsb_pairs-{split}.array_record-00000-of-00001"
        reader = array_record_module.ArrayRecordReader(str(path))
        records = reader.read_all()
        reader.close()
        path.unlink()
        with (new / f"other_set-{split}.tfrecord-00000-of-00001").open("wb") as file:
            for record in records:
                file.write(struct.pack("<Q", len(record)) + b"...." + record + b"....")
    info = (new / "dataset_info.json").read_text()
    info = info.replace('"array_record"', '"tfrecord"').replace('"stsb_pairs"', '"other_set"')
    (new / "dataset_info.json").write_text(info)
    for end in ("", "/train", "/train[1:3]+test", "/dev:sentence2"):
        source = TfdsSource(f"tfds:other_set{end}", data_dir=tmp_path)
        assert list(source) == list(open_source(f"tfds:stsb_pairs{end}"))
    path = new / "other_set-dev.tfrecord-00000-of-00001"
    whole = path.read_bytes()
    for cut in (1, 5, len(whole) - 20):
        path.write_bytes(whole[:-cut])
        with pytest.raises(ValueError, match="expected whole records"):
            list(tfrecords(path))


class Downloads:
    """A download manager whose archives are folders on disk."""

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


def test_downloaded_archives(tmp_path, manual):
    """The archives as they are published: names and folders of their own."""
    year = tmp_path / "zip" / "sts2016-english-with-gs-v1.0"
    for subset in ("headlines", "plagiarism"):
        write(year / f"STS2016.input.{subset}.txt", "a\tb\tsource\tsource", "c\td\tx\ty")
        write(year / f"STS2016.gs.{subset}.txt", "4", "")
    found = splits_of("sts_pairs/sts16", {URLS["sts16"]: tmp_path / "zip"}, tmp_path)
    assert [row["subset"] for row in found["test"]] == ["headlines", "plagiarism"]

    write(
        tmp_path / "sick" / "SICK.txt",
        SICK_HEADER,
        *(sick(i, ["TRAIN", "TRIAL", "TEST"][i % 3]) for i in range(7)),
    )
    found = splits_of("sick_pairs", {URLS["sickr"]: tmp_path / "sick"}, tmp_path)
    assert {split: len(rows) for split, rows in found.items()} == {"train": 3, "dev": 2, "test": 2}
    assert found["dev"][1]["sentence1"] == "A cat 4."

    shutil.copytree(manual / "stsb", tmp_path / "tar" / "stsbenchmark")
    write(tmp_path / "tar" / "__MACOSX" / "sts-train.csv", "junk")
    found = splits_of("stsb_pairs", {URLS["stsb"]: tmp_path / "tar"}, tmp_path)
    assert {split: len(rows) for split, rows in found.items()} == {"train": 5, "dev": 3, "test": 2}

    write(tmp_path / "glue" / "QNLI" / "dev.tsv", *QNLI)
    found = splits_of("qnli_pairs", {URLS["qnli"]: tmp_path / "glue"}, tmp_path)
    assert [row["score"] for row in found["dev"]] == [1.0, 0.0]

    write(tmp_path / "snli" / "snli_1.0" / "snli_1.0_dev.jsonl", nli_row(0))
    write(tmp_path / "snli" / "__MACOSX" / "snli_1.0_test.jsonl", "junk")
    found = splits_of("nli_sentences/snli", {NLI_URLS["snli"]: tmp_path / "snli"}, tmp_path)
    assert list(found) == ["dev"] and found["dev"][0]["label"] == "neutral"
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"expected multinli_1\.0_\*\.jsonl, found none"):
        splits_of("nli_sentences/mnli", {NLI_URLS["mnli"]: tmp_path / "empty"}, tmp_path)


def test_mistakes(tmp_path, manual):
    for name, said in [
        ("nope", "expected one of stsb_pairs"),
        ("sts_pairs", "expected sts_pairs/sts12 or sts13"),
        ("sts_pairs/sts99", "expected sts_pairs/sts12"),
        ("stsb_pairs/x", "expected stsb_pairs$"),
    ]:
        with pytest.raises(ValueError, match=said):
            builder(name, tmp_path)
    with pytest.raises(ValueError, match="expected the folder with the files of stsb_pairs"):
        prepare("stsb_pairs", data_dir=tmp_path, manual_dir=tmp_path / "none")
    for name, folder, said in [
        ("stsb_pairs", manual / "qnli", "stsb: expected sts-train.csv"),
        ("nli_sentences/mnli", manual / "qnli", "expected multinli"),
    ]:
        with pytest.raises(ValueError, match=said):  # named by the user: nothing is downloaded
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
    """A stand-in that fails on import is found before any real one."""
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
    assert "expected the folder with the files" in capsys.readouterr().err


def test_as_data_fit_and_as_input(prepared, tmp_path):
    from flowjax.commands import encode
    from flowjax.commands.fit import load_sentences
    from flowjax.config import DataConfig, FitConfig

    config = FitConfig(data=DataConfig(fit="tfds:stsb_pairs/train:sentence2"))
    source, name = load_sentences(config)
    assert name == "tfds:stsb_pairs/train:sentence2" and len(list(source)) == 5
    out = tmp_path / "a.npy"
    encode.run(encode.Args(run="minibert", input="tfds:stsb_pairs/train", out=out))
    assert np.load(out).shape == (10, 256)


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
