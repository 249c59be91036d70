"""TFDS builder of the sentence pairs of SNLI and MultiNLI, the paper's NLI training data."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from flowjax.data.formats import pick_column
from flowjax.data.tfds.common import InputOrderBuilder, downloaded
from flowjax.errors import FlowjaxError
from flowjax.files.tables import read_json
from flowjax.files.text import find_files, read_lines

URLS = {
    "snli": "https://nlp.stanford.edu/projects/snli/snli_1.0.zip",
    "mnli": "https://cims.nyu.edu/~sbowman/multinli/multinli_1.0.zip",
}
_SPLITS = {"snli": ("train", "dev", "test"), "mnli": ("train", "dev_matched", "dev_mismatched")}
_STEMS = {"snli": "snli_1.0_", "mnli": "multinli_1.0_"}
_FIELDS = ("sentence1", "sentence2", "label")
Row = dict[str, str]


class NliSentences(InputOrderBuilder):
    """Builder of SNLI or MultiNLI: sentence pairs with labels (`-` if annotators disagreed)."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [  # noqa: RUF012 - TFDS expects a mutable list
        tfds.core.BuilderConfig(name="snli", description="SNLI 1.0"),
        tfds.core.BuilderConfig(name="mnli", description="MultiNLI 1.0"),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        features = {name: tfds.features.Text() for name in _FIELDS}
        return self.in_order(features, self.__doc__ or "")

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        config: Any = self.builder_config
        corpus = config.name
        folder = self.manual_folder(dl_manager)
        found = find_nli(corpus, folder) if folder else {}
        if not found and not self.manual_only:
            folder = downloaded(dl_manager, URLS[corpus])
            found = find_nli(corpus, folder)
        if not found:
            raise FlowjaxError(
                f"{folder}: expected {_STEMS[corpus]}*.jsonl or s1.*, got no such file"
            )
        return {
            split: self._generate_examples(read(path)) for split, (read, path) in found.items()
        }


def find_nli(corpus: str, folder: Path) -> dict[str, tuple[Any, Path]]:
    """Returns the reader and the file of each split of a corpus, below a folder.

    Two layouts are supported: the published `snli_1.0_dev.jsonl`, and SentEval's `s1.dev`,
    `s2.dev` and `labels.dev`.

    Args:
        corpus: `snli` or `mnli`.
        folder: folder to search.

    Returns:
        `{split: (reader, path)}`, empty if no file is found.
    """
    found: dict[str, tuple[Any, Path]] = {}
    for split in _SPLITS[corpus]:
        if published := find_files(folder, f"{_STEMS[corpus]}{split}.jsonl"):
            found[split] = (read_published, published[0])
        elif corpus == "snli" and (parts := find_files(folder, f"s1.{split}")):
            found[split] = (read_parts, parts[0])
    return found


def read_published(path: Path) -> Iterator[Row]:
    """Yields the pairs of a published JSON-lines file.

    Raises:
        FlowjaxError: A line is not JSON or lacks a field.
    """
    for number, row in read_json(read_lines(path), path):
        names = ("sentence1", "sentence2", "gold_label")
        cells = (row[pick_column(row, f"{path}: line {number}", name)] for name in names)
        yield dict(zip(_FIELDS, cells, strict=True))


def read_parts(path: Path) -> Iterator[Row]:
    """Yields the pairs of the three files of a split in SentEval's layout.

    Args:
        path: path of the first file, `s1.SPLIT`.

    Raises:
        FlowjaxError: `s2.SPLIT` or `labels.SPLIT` is missing or has another number of lines.
    """
    split = path.name.removeprefix("s1.")
    files = [path, path.with_name(f"s2.{split}"), path.with_name(f"labels.{split}")]
    for lines in zip_longest(*map(read_lines, files)):
        if None in lines:
            raise FlowjaxError(
                f"{path}: expected as many lines as in s2.{split} and labels.{split}, got other "
                "numbers of lines"
            )
        yield dict(zip(_FIELDS, lines, strict=True))


CLASSES = {"nli_sentences": NliSentences}
