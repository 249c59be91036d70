"""TFDS builders of graded sentence pairs: STS benchmark, SICK, STS12 to STS16, QNLI.

The files are found and parsed by `flowjax.evaluation`, so a data set says the same here and there.
"""

from __future__ import annotations

import abc
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from flowjax.data.tfds.common import InputOrderBuilder, one_folder
from flowjax.evaluation.locate import STS_YEARS, find_task, load_task

_STS = "http://ixa2.si.ehu.eus/stswiki/images"
URLS = {
    "stsb": f"{_STS}/4/48/Stsbenchmark.tar.gz",
    "sickr": "https://zenodo.org/record/2787612/files/SICK.zip",
    "sts12": f"{_STS}/4/40/STS2012-en-test.zip",
    "sts13": f"{_STS}/2/2f/STS2013-en-test.zip",
    "sts14": f"{_STS}/8/8c/STS2014-en-test.zip",
    "sts15": f"{_STS}/d/da/STS2015-en-test.zip",
    "sts16": f"{_STS}/9/98/STS2016-en-test.zip",
    "qnli": "https://dl.fbaipublicfiles.com/glue/data/QNLIv2.zip",
}


class _Pairs(InputOrderBuilder, skip_registration=True):  # type: ignore[call-arg]
    """What the pair builders share; a subclass says which task it is."""

    @abc.abstractmethod
    def _task(self) -> str:
        """The task's name in `URLS`."""

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "sentence1": tfds.features.Text(),
            "sentence2": tfds.features.Text(),
            "score": np.float64,
            "subset": tfds.features.Text(),
        }
        return self.in_order(features, self.__doc__ or "")

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        task = self._task()
        folder = self.manual_folder(dl_manager)
        if folder is not None:
            try:
                find_task(task, folder)
            except ValueError:
                if self.manual_only:
                    raise
                folder = None  # a folder for all data sets, without this one
        if folder is None:
            folder = self._downloaded(task, Path(dl_manager.download_and_extract(URLS[task])))
        splits = load_task(task, folder).splits
        return {name: self._generate_examples(self._rows(x)) for name, x in splits.items()}

    def _downloaded(self, task: str, folder: Path) -> Path:
        """The folder that `load_task` reads, somewhere in an unpacked archive."""
        if task == "sickr":
            return split_sick(folder)
        if task in STS_YEARS:
            return plain_names(one_folder(folder, "STS*.input.*.txt"))
        return one_folder(folder, "sts-train.csv" if task == "stsb" else "dev.tsv")

    def _rows(self, subsets: Any) -> Iterator[tuple[int, dict[str, Any]]]:
        key = 0
        for subset, pairs in subsets.items():
            for first, second, score in zip(
                pairs.sentences1, pairs.sentences2, pairs.gold.tolist(), strict=True
            ):
                row = {"sentence1": first, "sentence2": second, "score": score, "subset": subset}
                yield key, row
                key += 1


class StsbPairs(_Pairs):
    """The STS benchmark: sentence pairs graded 0 to 5."""

    VERSION = tfds.core.Version("1.0.0")

    def _task(self) -> str:
        return "stsb"


class SickPairs(_Pairs):
    """SICK-R: sentence pairs graded 1 to 5 for relatedness. Not for commercial use."""

    VERSION = tfds.core.Version("1.0.0")

    def _task(self) -> str:
        return "sickr"


class StsPairs(_Pairs):
    """STS12 to STS16: sentence pairs graded 0 to 5; `subset` names the part of the year."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [  # noqa: RUF012 - what TFDS expects
        tfds.core.BuilderConfig(name=year, description=f"The test set of {year.upper()}.")
        for year in STS_YEARS
    ]

    def _task(self) -> str:
        return self.builder_config.name


class QnliPairs(_Pairs):
    """GLUE QNLI: a question, a sentence, and score 1 where the sentence answers it, else 0."""

    VERSION = tfds.core.Version("1.0.0")

    def _task(self) -> str:
        return "qnli"


def split_sick(folder: Path) -> Path:
    """SICK.txt of the archive, which names each pair's set, to the three files of SemEval 2014."""
    folder = one_folder(folder, "SICK.txt")
    files = {
        "TRAIN": "SICK_train.txt",
        "TRIAL": "SICK_trial.txt",
        "TEST": "SICK_test_annotated.txt",
    }
    header, *lines = (folder / "SICK.txt").read_text("utf-8").splitlines()
    place = header.split("\t").index("SemEval_set")
    for name, file in files.items():
        chosen = [line for line in lines if line.split("\t")[place].strip() == name]
        (folder / file).write_text("\n".join([header, *chosen]) + "\n", "utf-8")
    return folder


def plain_names(folder: Path) -> Path:
    """STS16's files say `STS2016.input`; the readers want `STS.input`."""
    for path in folder.glob("STS20*.txt"):
        plain = folder / re.sub(r"^STS20\d\d\.", "STS.", path.name)
        if not plain.exists():
            shutil.copyfile(path, plain)
    return folder
