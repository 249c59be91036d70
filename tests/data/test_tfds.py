"""TFDS without TensorFlow: prepared data sets are read by name, with all examples in order."""

import shutil
import struct

import numpy as np
import pytest
from tfds_files import PAIR_TASKS, write

pytest.importorskip("tensorflow_datasets")

from flowjax.data.sentences import open_source, read_sentences
from flowjax.data.tfds import builder, prepare
from flowjax.data.tfds.records import tfrecords
from flowjax.data.tfds.source import TfdsSource, parse_name
from flowjax.evaluation import STS_YEARS, load_task


@pytest.fixture(scope="module")
def prepared(manual, tmp_path_factory):
    """Folder with all data sets prepared."""
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
    """Returns all examples of a split, read by `as_data_source`."""
    source = made.as_data_source(split=split)
    return [
        {k: v.decode() if isinstance(v, bytes) else float(v) for k, v in source[i].items()}
        for i in range(len(source))
    ]


@pytest.mark.parametrize("name", PAIR_TASKS)
def test_pairs_equal_those_of_evaluation(name, prepared, manual):
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


def test_column_argument(prepared):
    with pytest.raises(ValueError, match=r"column: expected 'sentence1' as in tfds:.*, got"):
        open_source("tfds:stsb_pairs/test:sentence1", "sentence2")
    assert list(open_source("tfds:stsb_pairs/test", "sentence1")) == ["One test 0.", "One test 1."]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "tfds:nope",
            r"expected a prepared data set in .*nope, got none; prepared data sets: nli_sentences",
        ),
        ("tfds:stsb_pairs:9.9.9", "expected a prepared data set"),
        ("tfds:stsb_pairs/valid", "expected a split among train, dev, test, got 'valid'"),
        ("tfds:stsb_pairs/train[:x]", "expected a split among"),
        (
            "tfds:stsb_pairs/train/more",
            r"expected one split after stsb_pairs, got \['train', 'more'\]",
        ),
        (
            "tfds:stsb_pairs:score",
            "expected text in 'score', got the text features sentence1, sentence2, sub",
        ),
        ("tfds:sts_pairs", "choose a config: sts_pairs/sts12 or sts13"),
        ("tfds:", r"expected tfds:NAME\[/SPLIT\]\[:COLUMN\]"),
        ("tfds:../up", "expected tfds:NAME"),
        ("tfds:a//b", "expected tfds:NAME"),
    ],
)
def test_wrong_names(prepared, name, message):
    with pytest.raises(ValueError, match=message):
        open_source(name)


def test_error_of_an_unprepared_data_set_has_the_command(tmp_path):
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
    """TFRecord, TensorFlow's default format, is read without TensorFlow."""
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
