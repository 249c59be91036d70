"""Where a benchmark lies under a data folder, and `load_task`, which reads it from there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from flowjax.evaluation.readers import read_qnli, read_sick, read_sts_year, read_stsb
from flowjax.evaluation.tasks import Pairs, PairTask

STS_YEARS = ("sts12", "sts13", "sts14", "sts15", "sts16")
TASKS = ("stsb", "sickr", *STS_YEARS, "qnli")

# Folders in which the tasks' own folders may lie: ours, and SentEval's data/downstream/STS.
_PARENTS = (
    *("", "sts", "STS", "downstream", "downstream/STS"),
    *("data/downstream", "data/downstream/STS", "glue_data"),
)
_FOLDERS = {
    "stsb": ("stsb", "STSBenchmark", "stsbenchmark"),
    "sickr": ("sick", "SICK", "sickr"),
    "qnli": ("qnli", "QNLI"),
} | {year: (year.upper(), f"{year.upper()}-en-test", year) for year in STS_YEARS}
_FILES: dict[str, tuple[Callable[[Path], Pairs], dict[str, str]]] = {
    "stsb": (read_stsb, {s: f"sts-{s}.csv" for s in ("train", "dev", "test")}),
    "sickr": (
        read_sick,
        {"train": "SICK_train.txt", "dev": "SICK_trial.txt", "test": "SICK_test_annotated.txt"},
    ),
    "qnli": (read_qnli, {"train": "train.tsv", "dev": "dev.tsv"}),
}


def load_task(name: str, data_dir: str | Path) -> PairTask:
    r"""Reads a benchmark from a data folder.

    The folder may be the parent of ``stsb/``, ``sick/``, ``sts/STS12/`` and ``qnli/``, SentEval's
    ``data`` or ``data/downstream``, or the task's own folder.

    Args:
        name: ``stsb``, ``sickr``, ``sts12`` to ``sts16`` or ``qnli``; case and hyphens do not
            matter.
        data_dir: The folder.

    Returns:
        The task. STS12 to STS16 have the one split ``test``. A split whose file is missing is
        left out with a note in ``task.notes``, as are unscored pairs and gold without input.

    Raises:
        ValueError: For an unknown name; where nothing is found, with the places tried; for a file
            that is damaged, with the line.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp()) / "STS12"
        >>> folder.mkdir()
        >>> _ = (folder / "STS.input.toy.txt").write_text("a b\ta c\nd\te\n")
        >>> _ = (folder / "STS.gs.toy.txt").write_text("4.5\n\n")
        >>> task = load_task("STS12", folder.parent)
        >>> task.counts()
        {'test': {'toy': {'pairs': 1, 'skipped': 1}}}
        >>> task.notes
        ('toy: 1 of 2 pairs have no gold score and are skipped',)
    """
    key = re.sub(r"[-_ ]", "", name.lower())
    if key not in TASKS:
        raise ValueError(f"task: expected one of {', '.join(TASKS)}, got {name!r}")
    folder = find_task(key, data_dir)
    if key in STS_YEARS:
        subsets, notes = read_sts_year(folder)
        return PairTask(
            key, {"test": subsets}, grouped=True, notes=tuple(notes), source=str(folder)
        )
    read, files = _FILES[key]
    splits, missing = {}, []
    for split, file in files.items():
        if (folder / file).is_file():
            splits[split] = {key: read(folder / file)}
        elif (key, split) != ("qnli", "train"):  # table 4 is about dev: train is optional
            missing.append(f"{split}: no file {folder / file}, so this split is left out")
    metric = "auc" if key == "qnli" else "correlation"
    return PairTask(key, splits, metric=metric, notes=tuple(missing), source=str(folder))


def find_task(key: str, data_dir: str | Path) -> Path:
    """The folder that holds a task's files, or a ValueError that lists the places tried."""
    base = Path(data_dir)
    if not base.is_dir():
        raise ValueError(f"{base}: expected a folder with {key}, got no such folder")
    for parent in _PARENTS:
        for folder in _FOLDERS[key]:
            if _holds(key, base / parent / folder):
                return base / parent / folder
    # The folder itself, unless its name says that it is another year: all years' files look alike.
    year = re.search(r"sts-?(1[2-6])", base.resolve().name.lower())
    other = key in STS_YEARS and year is not None and f"sts{year[1]}" != key
    if not other and _holds(key, base):
        return base
    wanted = "STS.input.*.txt" if key in STS_YEARS else " or ".join(_FILES[key][1].values())
    raise ValueError(
        f"{key}: expected {wanted} in {base}, or in a folder {' or '.join(_FOLDERS[key])} of it "
        f"or of its {', '.join(_PARENTS[1:])}; got no such file"
    )


def _holds(key: str, folder: Path) -> bool:
    if key in STS_YEARS:
        return any(folder.glob("STS.input.*.txt"))
    return any((folder / file).is_file() for file in _FILES[key][1].values())
