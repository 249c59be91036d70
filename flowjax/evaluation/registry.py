"""Definitions of the benchmark tasks; a new task needs only an entry in `TASKS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from flowjax.evaluation.archives import SICK_FILES, rename_sts, split_sick
from flowjax.evaluation.readers import read_qnli, read_sick, read_sts_year, read_stsb
from flowjax.evaluation.tasks import Pairs


@dataclass(frozen=True)
class TaskSpec:
    """Definition of a benchmark task: files, reader, metric and TFDS builder.

    Exactly one of `read` and `read_folder` is set. The property `grouped` is derived.

    Attributes:
        files: file name or glob pattern of each split.
        folders: alternative names of the subfolder of the data folder that holds the files.
        read: function that reads the file of one split.
        read_folder: function that reads a task folder that has only a `test` split with several
            subsets. It returns the subsets and notes about missing files.
        metric: `"correlation"` (Spearman and Pearson) or `"auc"`.
        optional: splits that may be missing without a note.
        builder: name of the TFDS builder, followed by a slash and a config if it has configs.
        description: description of the TFDS data set.
        url: URL of the published archive.
        unpack: function that writes the files of the extracted archive under the names in `files`.

    Example:
        >>> TASKS["sickr"].files["dev"], TASKS["qnli"].metric, TASKS["sts12"].grouped
        ('SICK_trial.txt', 'auc', True)
    """

    files: Mapping[str, str]
    folders: tuple[str, ...]
    read: Callable[[Path], Pairs] | None = None
    read_folder: Callable[[Path], tuple[dict[str, Pairs], list[str]]] | None = None
    metric: str = "correlation"
    optional: tuple[str, ...] = ()
    builder: str = ""
    description: str = ""
    url: str = ""
    unpack: Callable[[Path], None] | None = None

    @property
    def grouped(self) -> bool:
        """True for a task whose subsets are reported as all, mean and wmean."""
        return self.read_folder is not None

    def is_in(self, folder: Path) -> bool:
        """Returns True if a folder contains a file of the task."""
        return any(p.is_file() for pattern in self.files.values() for p in folder.glob(pattern))


_STS = "http://ixa2.si.ehu.eus/stswiki/images"
_STS_ARCHIVES = {
    "sts12": "4/40/STS2012-en-test.zip",
    "sts13": "2/2f/STS2013-en-test.zip",
    "sts14": "8/8c/STS2014-en-test.zip",
    "sts15": "d/da/STS2015-en-test.zip",
    "sts16": "9/98/STS2016-en-test.zip",
}
STS_YEARS = tuple(_STS_ARCHIVES)

TASKS: dict[str, TaskSpec] = {
    "stsb": TaskSpec(
        files={split: f"sts-{split}.csv" for split in ("train", "dev", "test")},
        folders=("stsb", "STSBenchmark", "stsbenchmark"),
        read=read_stsb,
        builder="stsb_pairs",
        description="STS benchmark: sentence pairs scored 0 to 5.",
        url=f"{_STS}/4/48/Stsbenchmark.tar.gz",
    ),
    "sickr": TaskSpec(
        files=SICK_FILES,
        folders=("sick", "SICK", "sickr"),
        read=read_sick,
        builder="sick_pairs",
        description="SICK-R: pairs scored 1 to 5 for relatedness. Not for commercial use.",
        url="https://zenodo.org/record/2787612/files/SICK.zip",
        unpack=split_sick,
    ),
    **{
        year: TaskSpec(
            files={"test": "STS.input.*.txt"},
            folders=(year.upper(), f"{year.upper()}-en-test", year),
            read_folder=read_sts_year,
            builder=f"sts_pairs/{year}",
            description=f"Test set of {year.upper()}: sentence pairs of subsets, scored 0 to 5.",
            url=f"{_STS}/{archive}",
            unpack=rename_sts,
        )
        for year, archive in _STS_ARCHIVES.items()
    },
    "qnli": TaskSpec(
        files={"train": "train.tsv", "dev": "dev.tsv"},
        folders=("qnli", "QNLI"),
        read=read_qnli,
        metric="auc",
        optional=("train",),  # table 4 of arXiv 2011.05864 reports dev only
        builder="qnli_pairs",
        description="GLUE QNLI: question and sentence, score 1 for entailment and 0 otherwise.",
        url="https://dl.fbaipublicfiles.com/glue/data/QNLIv2.zip",
    ),
}
