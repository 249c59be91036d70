"""Paths of the sample data in the package: natural text and labelled pairs."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def sentences_file() -> Path:
    """Returns the path of a text file of 70 documents.

    The file has one sentence per line and a blank line between documents. The texts are by
    Wikinews contributors (CC BY 2.5) and OpenStax (CC BY 4.0), see `README.md` next to it.
    """
    return Path(str(files("flowjax") / "assets" / "sample" / "sentences.txt"))


def pairs_file() -> Path:
    """Returns the path of a TSV of a few hundred sentence pairs with scores 0 to 5."""
    return Path(str(files("flowjax") / "assets" / "sample" / "pairs.tsv"))
