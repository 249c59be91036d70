"""Location of the files of a benchmark task, and `load_task`, which reads the task."""

from __future__ import annotations

import re
from pathlib import Path

from flowjax.errors import FlowjaxError
from flowjax.evaluation.registry import TASKS, TaskSpec
from flowjax.evaluation.tasks import Pairs, PairTask

# Subfolders of a data folder that may hold the task folders, in the layouts of flowjax, SentEval
# and GLUE.
_PARENTS = (
    *("", "sts", "STS", "downstream", "downstream/STS"),
    *("data/downstream", "data/downstream/STS", "glue_data"),
)


def load_task(name: str, data_dir: str | Path) -> PairTask:
    r"""Returns a benchmark task, read from a data folder.

    Args:
        name: key of `TASKS`, such as `stsb`, `sickr`, `sts12` or `qnli`. Case, hyphens,
            underscores and spaces are ignored.
        data_dir: folder that contains `stsb/`, `sick/`, `sts/STS12/` and `qnli/`, the folder
            `data` or `data/downstream` of SentEval, or the folder of the task.

    Returns:
        The task. STS12 to STS16 have a single split, `test`. `task.notes` lists the splits whose
        file is missing, the pairs without a score and the gold scores without an input file.

    Raises:
        FlowjaxError: The name is unknown, no file is found (the message lists the searched
            folders), or a file is damaged (the message names the line).

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
        raise FlowjaxError(f"task: expected one of {', '.join(TASKS)}, got {name!r}")
    spec, folder = TASKS[key], find_task(key, data_dir)
    splits: dict[str, dict[str, Pairs]] = {}
    notes: list[str] = []
    if spec.read_folder is not None:
        splits["test"], notes = spec.read_folder(folder)
    for split, file in spec.files.items():
        if spec.read is not None and (folder / file).is_file():
            splits[split] = {key: spec.read(folder / file)}
        elif split not in splits and split not in spec.optional:
            notes.append(f"{split}: no file {folder / file}, so this split is omitted")
    return PairTask(key, splits, spec.metric, spec.grouped, tuple(notes), str(folder))


def find_task(key: str, data_dir: str | Path) -> Path:
    """Returns the folder with the files of a task.

    Args:
        key: a key of `TASKS`.
        data_dir: see `load_task`.

    Raises:
        FlowjaxError: No file of the task is found; the message lists the searched folders.
    """
    spec, base = TASKS[key], Path(data_dir)
    if not base.is_dir():
        raise FlowjaxError(
            f"{base}: expected a folder with the files of task {key}, got no such folder"
        )
    for parent in _PARENTS:
        for folder in spec.folders:
            if spec.is_in(base / parent / folder):
                return base / parent / folder
    if spec.is_in(base) and not _is_other_year(key, spec, base):
        return base
    raise FlowjaxError(
        f"{key}: expected {' or '.join(spec.files.values())} in {base}, in its subfolder "
        f"{' or '.join(spec.folders)}, or in such a subfolder of its {', '.join(_PARENTS[1:])}; "
        "got no such file"
    )


def _is_other_year(key: str, spec: TaskSpec, folder: Path) -> bool:
    """Returns True if the folder name contains another year of STS, which has equal file names."""
    year = re.search(r"sts-?(1[2-6])", folder.resolve().name.lower())
    return spec.grouped and year is not None and f"sts{year[1]}" != key
