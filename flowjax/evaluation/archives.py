"""Conversion of unpacked task archives to the file names that the readers expect."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from flowjax.files.text import find_files, read_lines

SICK_FILES = {
    "train": "SICK_train.txt",
    "dev": "SICK_trial.txt",
    "test": "SICK_test_annotated.txt",
}


def split_sick(folder: Path) -> None:
    """Splits SICK.txt into the train, trial and test files of SemEval 2014, in the same folder.

    Args:
        folder: folder of the unpacked archive. The column `SemEval_set` of SICK.txt names the
            split of each pair.
    """
    for path in find_files(folder, "SICK.txt"):
        header, *lines = read_lines(path)
        column = header.split("\t").index("SemEval_set")
        for name, file in zip(("TRAIN", "TRIAL", "TEST"), SICK_FILES.values(), strict=True):
            chosen = [line for line in lines if line.split("\t")[column].strip() == name]
            path.with_name(file).write_text("\n".join([header, *chosen]) + "\n", "utf-8")


def rename_sts(folder: Path) -> None:
    """Copies the files `STS2016.*.txt` of an unpacked archive to `STS.*.txt`."""
    for path in find_files(folder, "STS20*.txt"):
        plain = path.with_name(re.sub(r"^STS20\d\d\.", "STS.", path.name))
        if not plain.exists():
            shutil.copyfile(path, plain)
