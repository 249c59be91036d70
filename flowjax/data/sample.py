"""The embedded sample: sentences and graded pairs that this project wrote for itself."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def sentences_file() -> Path:
    """A text file of a few thousand sentences, one a line."""
    return Path(str(files("flowjax") / "assets" / "sample" / "sentences.txt"))


def pairs_file() -> Path:
    """A TSV of a few hundred sentence pairs graded 0 to 5; its README says how."""
    return Path(str(files("flowjax") / "assets" / "sample" / "pairs.tsv"))
