"""TFDS builder of SNLI's and MultiNLI's sentence pairs: what the paper's NLI flow is fitted on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from flowjax.data.formats import pick_column
from flowjax.data.text import read_lines
from flowjax.data.tfds.common import InputOrderBuilder

URLS = {
    "snli": "https://nlp.stanford.edu/projects/snli/snli_1.0.zip",
    "mnli": "https://cims.nyu.edu/~sbowman/multinli/multinli_1.0.zip",
}
_SPLITS = {
    "snli": ("train", "dev", "test"),
    "mnli": ("train", "dev_matched", "dev_mismatched"),
}
_STEMS = {"snli": "snli_1.0_", "mnli": "multinli_1.0_"}
Row = dict[str, str]


class NliSentences(InputOrderBuilder):
    """SNLI or MultiNLI: pairs of sentences, and how they relate (`-` where people disagreed)."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [  # noqa: RUF012 - what TFDS expects
        tfds.core.BuilderConfig(name="snli", description="SNLI 1.0"),
        tfds.core.BuilderConfig(name="mnli", description="MultiNLI 1.0"),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        text = tfds.features.Text
        features = {"sentence1": text(), "sentence2": text(), "label": text()}
        return self.in_order(features, self.__doc__ or "")

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        corpus = self.builder_config.name
        folder = self.manual_folder(dl_manager)
        found = find_nli(corpus, folder) if folder else {}
        if not found:
            self.may_download(f"{_STEMS[corpus]}*.jsonl or s1.*, s2.*, labels.*")
            archive = Path(dl_manager.download_and_extract(URLS[corpus]))
            found = find_nli(corpus, archive)
            if not found:
                raise ValueError(f"{archive}: expected {_STEMS[corpus]}*.jsonl, found none")
        return {
            split: self._generate_examples(enumerate(read(path)))
            for split, (read, path) in found.items()
        }


def find_nli(corpus: str, folder: Path) -> dict[str, tuple[Any, Path]]:
    """The splits of a corpus in a folder or below: `{split: (reader, path)}`, empty where none is.

    Two layouts are known: the published `snli_1.0_dev.jsonl`, and SentEval's `s1.dev`, `s2.dev`
    and `labels.dev`.
    """
    found: dict[str, tuple[Any, Path]] = {}
    for split in _SPLITS[corpus]:
        published = _first(folder, f"{_STEMS[corpus]}{split}.jsonl")
        if published:
            found[split] = (read_published, published)
        elif corpus == "snli" and (parts := _first(folder, f"s1.{split}")):
            found[split] = (read_parts, parts)
    return found


def read_published(path: Path) -> Iterator[Row]:
    """Rows of a published JSON-lines file.

    Raises:
        ValueError: a line that is not JSON or lacks a field.
    """
    for number, line in enumerate(read_lines(path), 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{path}: line {number} is not JSON: {error}") from None
        where = f"{path}: line {number}"
        yield {
            "sentence1": row[pick_column(row, where, "sentence1")],
            "sentence2": row[pick_column(row, where, "sentence2")],
            "label": row[pick_column(row, where, "gold_label")],
        }


def read_parts(path: Path) -> Iterator[Row]:
    """Rows of SentEval's three files, of which `path` is the first, `s1.SPLIT`.

    Raises:
        ValueError: one is missing or of another length.
    """
    split = path.name.removeprefix("s1.")
    files = [path, path.with_name(f"s2.{split}"), path.with_name(f"labels.{split}")]
    try:
        for first, second, label in zip(*map(read_lines, files), strict=True):
            yield {"sentence1": first, "sentence2": second, "label": label}
    except ValueError as error:
        if "zip()" not in str(error):
            raise
        raise ValueError(
            f"{path}: expected as many lines in s2.{split} and labels.{split}"
        ) from None


def _first(folder: Path, name: str) -> Path | None:
    paths = (p for p in sorted(folder.rglob(name)) if "__MACOSX" not in p.parts)
    return next(paths, None)
