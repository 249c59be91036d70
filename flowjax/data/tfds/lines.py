"""TFDS builder of plain text files, with one example per line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from flowjax.data.tfds.common import InputOrderBuilder
from flowjax.errors import FlowjaxError
from flowjax.files.text import expand_paths, read_lines


class TextLines(InputOrderBuilder):
    """Lines of the `.txt` files (plain, .gz, .xz or .bz2) of a manual folder, sorted by name."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Put UTF-8 files with one sentence per line into the folder."

    def _info(self) -> tfds.core.DatasetInfo:
        text = tfds.features.Text
        return self.in_order({"text": text(), "file": text()}, self.__doc__ or "")

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        folder = self.manual_folder(dl_manager)
        if folder is None:
            raise FlowjaxError("text_lines: expected a manual folder of .txt files, got none")
        return {"train": self._generate_examples(_rows(expand_paths([folder])))}


def _rows(paths: list[Path]) -> Iterator[dict[str, str]]:
    for path in paths:
        for line in read_lines(path):
            yield {"text": line, "file": path.name}


CLASSES = {"text_lines": TextLines}
