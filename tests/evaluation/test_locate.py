"""Benchmark tasks: folder layouts, a new entry of the table, published sizes."""

import pytest
from toy_files import SICK_HEADER, stsb_line, write

from flowjax.evaluation import TASKS, load_task

STS12 = {"STS.input.toy.txt": "a\tb\nc\td\n", "STS.gs.toy.txt": "1\n2\n"}
STSB = {
    f"sts-{s}.csv": stsb_line(i, f"{s} a", "b") for i, s in enumerate(("train", "dev", "test"))
}
SICK = {
    f"SICK_{name}.txt": SICK_HEADER + f"1\t{name} a\tb\t4.5\tNEUTRAL\n"
    for name in ("train", "trial", "test_annotated")
}
QNLI = {"dev.tsv": "index\tquestion\tsentence\tlabel\n0\tq\ts\tentailment\n"}


@pytest.mark.parametrize(
    ("name", "files", "folder"),
    [
        ("stsb", STSB, "stsb"),
        ("stsb", STSB, "downstream/STS/STSBenchmark"),
        ("STS-B", STSB, ""),
        ("sickr", SICK, "sick"),
        ("SICK-R", SICK, "downstream/SICK"),
        ("sickr", SICK, "data/downstream/SICK"),
        ("sts12", STS12, "sts/STS12"),
        ("sts12", STS12, "STS12-en-test"),
        ("sts12", STS12, "downstream/STS/STS12-en-test"),
        ("sts12", STS12, ""),
        ("qnli", QNLI, "qnli"),
        ("qnli", QNLI, "QNLI"),
        ("qnli", QNLI, ""),
    ],
)
def test_layouts(tmp_path, name, files, folder):
    for file, text in files.items():
        write(tmp_path / folder / file, text)
    task = load_task(name, tmp_path)
    assert task.name in TASKS
    assert task.notes == ()
    expected = {"sts12": ["test"], "qnli": ["dev"]}.get(task.name, ["train", "dev", "test"])
    assert list(task.splits) == expected
    assert (tmp_path / folder).resolve() == tmp_path.__class__(task.source).resolve()


def test_target_sentences_are_train_dev_and_test(tmp_path):
    for file, text in STSB.items():
        write(tmp_path / file, text)
    task = load_task("stsb", tmp_path)
    assert task.sentences() == ["train a", "b", "dev a", "b", "test a", "b"]
    assert task.sentences(unique=True) == ["train a", "b", "dev a", "test a"]
    assert task.sentences(["dev"]) == ["dev a", "b"]
    with pytest.raises(ValueError, match="expected splits among train, dev, test, got"):
        task.sentences(["validation"])


def test_a_missing_split_is_noted(tmp_path):
    write(tmp_path / "sts-test.csv", STSB["sts-test.csv"])
    task = load_task("stsb", tmp_path)
    assert list(task.splits) == ["test"]
    assert [note.split(":")[0] for note in task.notes] == ["train", "dev"]


def test_another_years_folder_is_not_taken(tmp_path):
    for file, text in STS12.items():
        write(tmp_path / "STS14" / file, text)
    with pytest.raises(ValueError, match="sts12: expected"):
        load_task("sts12", tmp_path / "STS14")
    assert load_task("sts14", tmp_path / "STS14").pairs("test").gold.tolist() == [1.0, 2.0]


def test_error_of_a_missing_folder_has_the_searched_places(tmp_path):
    with pytest.raises(ValueError, match=r"STS13 or STS13-en-test or sts13, .*downstream/STS"):
        load_task("sts13", tmp_path)
    with pytest.raises(ValueError, match="got no such folder"):
        load_task("stsb", tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"task: expected one of stsb, sickr, .* got 'mrpc'"):
        load_task("mrpc", tmp_path)


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("stsb", {"train": 5749, "dev": 1500, "test": 1379}),
        ("sickr", {"train": 4500, "dev": 500, "test": 4927}),
        ("sts12", {"test": 3108}),
        ("sts14", {"test": 3750}),
        ("qnli", {"dev": 5463}),
    ],
)
def test_real_sizes(real_data, name, sizes):
    task = load_task(name, real_data)
    assert {split: len(task.pairs(split)) for split in task.splits} == sizes
    assert task.notes == ()
    assert len(task.sentences()) == 2 * sum(sizes.values())


def test_real_subsets_and_score_ranges(real_data):
    sts12 = load_task("sts12", real_data).splits["test"]
    assert {name: len(pairs) for name, pairs in sts12.items()} == {
        "MSRpar": 750,
        "MSRvid": 750,
        "SMTeuroparl": 459,
        "surprise.OnWN": 750,
        "surprise.SMTnews": 399,
    }
    for name, low, high in (("stsb", 0, 5), ("sickr", 1, 5), ("sts14", 0, 5), ("qnli", 0, 1)):
        task = load_task(name, real_data)
        gold = [task.pairs(split).gold for split in task.splits]
        assert min(g.min() for g in gold) == low
        assert max(g.max() for g in gold) == high
