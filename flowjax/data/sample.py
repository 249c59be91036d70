"""Paths of the sample data in the package: sentences and labelled pairs."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def sentences_file() -> Path:
    """Returns the path of a text file of a few thousand sentences, one per line."""
    return Path(str(files("flowjax") / "assets" / "sample" / "sentences.txt"))


def pairs_file() -> Path:
    """Returns the path of a TSV of a few hundred sentence pairs with scores 0 to 5."""
    return Path(str(files("flowjax") / "assets" / "sample" / "pairs.tsv"))
