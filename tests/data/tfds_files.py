"""Toy files of every data set with a TFDS builder."""

import json

from flowjax.evaluation import STS_YEARS, TASKS

PAIR_TASKS = {spec.builder: task for task, spec in TASKS.items()}


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


def write_all(folder):
    """Writes toy files of every data set, in common layouts."""
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
