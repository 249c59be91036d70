"""What the builders share: manual folders, the input's order, ArrayRecord."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds


class InputOrderBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """A builder that keeps the order of its files and takes them from a manual folder first."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "The files are downloaded unless the manual folder has them, in the layout that "
        "flowjax.evaluation.load_task reads."
    )

    # Set where the user has named the manual folder: then nothing is downloaded in its stead.
    manual_only = False

    def in_order(self, features: dict[str, Any], description: str) -> tfds.core.DatasetInfo:
        """The data set's info; rows are written as they come."""
        return tfds.core.DatasetInfo(
            builder=self,
            description=description,
            features=tfds.features.FeaturesDict(features),
            disable_shuffling=True,
        )

    def _generate_examples(self, rows: Iterable[Any]) -> Iterator[Any]:
        return iter(rows)

    def manual_folder(self, dl_manager: Any) -> Path | None:
        """The folder with files on disk, or None where there is none."""
        try:
            return Path(dl_manager.manual_dir)
        except AssertionError:  # how TFDS says that it is missing or empty
            return None

    def may_download(self, wanted: str) -> None:
        """Refuses to, where the user has named a folder."""
        if self.manual_only:
            raise ValueError(f"{self.name}: expected {wanted} in the manual folder, found none")


def one_folder(folder: Path, pattern: str) -> Path:
    """The folder below `folder` that holds files of a pattern.

    Raises:
        ValueError: none does.
    """
    for path in sorted(folder.rglob(pattern)):
        if "__MACOSX" not in path.parts:
            return path.parent
    raise ValueError(f"{folder}: expected {pattern} in the downloaded archive, found none")
