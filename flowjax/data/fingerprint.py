"""Hashes of sentences, rows and files, for manifests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from flowjax.files.remote import is_remote, open_remote


class Fingerprint:
    """Running SHA-256 hash; `str` returns its first 16 hexadecimal digits.

    Example:
        >>> both = Fingerprint()
        >>> both.add(["One."])
        >>> both.add(["Two."])
        >>> str(both) == fingerprint(["One.", "Two."])
        True
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, sentences: Iterable[str] | np.ndarray) -> None:
        """Adds sentences in their order, each followed by a line end; or rows of numbers."""
        if isinstance(sentences, np.ndarray):
            self._digest.update(np.ascontiguousarray(sentences).data)
            return
        for sentence in sentences:
            self._digest.update(sentence.encode("utf-8", "surrogatepass"))
            self._digest.update(b"\n")

    def add_text(self, text: str) -> None:
        """Adds a text without a line end."""
        self._digest.update(text.encode())

    def add_file(self, path: str | Path) -> None:
        """Adds the bytes of a file, or of an object in object storage."""
        if is_remote(path):
            with open_remote(path) as file:
                while block := file.read(1 << 20):
                    self._digest.update(block)
            return
        with Path(path).open("rb") as file:
            hashlib.file_digest(file, lambda: self._digest)

    def __str__(self) -> str:
        return self._digest.hexdigest()[:16]


def fingerprint(sentences: Iterable[str] | np.ndarray) -> str:
    """Returns the hash of a sequence of sentences or of rows; it depends on their order."""
    digest = Fingerprint()
    digest.add(sentences)
    return str(digest)
