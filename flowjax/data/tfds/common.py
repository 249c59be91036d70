"""Base class of the TFDS builders: manual download folders, examples in the order of the files."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import downloader

from flowjax.errors import FlowjaxError
from flowjax.files.text import find_files


class InputOrderBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg, misc]
    """Builder that keeps the examples in file order and prefers a manual folder to a download."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = "Optional: the files that flowjax.evaluation.load_task reads."

    # True if the user chose the manual folder; the builder then downloads no files.
    manual_only = False

    def in_order(self, features: dict[str, Any], description: str) -> tfds.core.DatasetInfo:
        """Returns the `DatasetInfo` of a data set whose examples are not shuffled."""
        return tfds.core.DatasetInfo(
            builder=self,
            description=description,
            features=tfds.features.FeaturesDict(features),
            disable_shuffling=True,
        )

    def _generate_examples(self, rows: Iterable[Any]) -> Iterator[Any]:
        return iter(enumerate(rows))

    def manual_folder(self, dl_manager: Any) -> Path | None:
        """Returns the manual folder, or None if it is missing or empty."""
        try:
            return Path(dl_manager.manual_dir)
        except AssertionError:  # raised by TFDS for a missing or empty folder
            return None


def downloaded(dl_manager: Any, url: str) -> Path:
    """Downloads and unpacks an archive, with two retries.

    Raises:
        FlowjaxError: The archive cannot be downloaded.
    """
    log, retries = logging.getLogger("urllib3.connectionpool"), downloader.MAX_RETRIES
    level = log.level
    # The ten retries of TFDS take minutes without a network, and log each attempt.
    downloader.MAX_RETRIES = 2
    log.setLevel(logging.ERROR)
    try:
        return Path(dl_manager.download_and_extract(url))
    except Exception as error:  # errors of requests, of TFDS and of the file system
        reason = textwrap.shorten(str(error), 200)
        raise FlowjaxError(
            f"{url}: expected a download, got {type(error).__name__}: {reason}; download the file "
            "elsewhere and give its folder as manual_dir"
        ) from None
    finally:
        downloader.MAX_RETRIES = retries
        log.setLevel(level)


def one_folder(folder: Path, patterns: Collection[str]) -> Path:
    """Returns the first folder below `folder` with a file that matches one of the patterns.

    Raises:
        FlowjaxError: No file matches.
    """
    found = [path for pattern in patterns for path in find_files(folder, pattern)]
    if not found:
        raise FlowjaxError(f"{folder}: expected {' or '.join(patterns)}, got no such file")
    return found[0].parent
