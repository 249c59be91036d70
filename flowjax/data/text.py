"""Lines of text from plain or compressed files, one at a time and with clear errors."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

_OPENERS = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}


def open_binary(path: str | Path) -> IO[bytes]:
    """Opens a file for reading bytes, decompressing `.gz`, `.xz` and `.bz2` on the way.

    Args:
        path: a file that exists.

    Raises:
        ValueError: the file is missing or is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path}: expected a file, got a folder")
    if not path.exists():
        raise ValueError(f"{path}: no such file")
    return _OPENERS.get(path.suffix.lower(), open)(path, "rb")  # type: ignore[operator]


def read_lines(path: str | Path) -> Iterator[str]:
    r"""Yields a text file's lines without their line ends.

    A byte-order mark is dropped; `\r\n` counts as one line end.

    Args:
        path: UTF-8 text, plain or compressed (`.gz`, `.xz`, `.bz2`).

    Raises:
        ValueError: the file is missing, or is not UTF-8 (named with its line and byte), or its
            compression is damaged.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.txt"
        >>> _ = path.write_text("one\ntwo\n")
        >>> list(read_lines(path))
        ['one', 'two']
    """
    with open_binary(path) as file:
        yield from decode_lines(file, str(path))


def decode_lines(file: Iterable[bytes], name: str) -> Iterator[str]:
    """Decodes the lines of a binary stream; `name` is what errors call it."""
    number = 0
    try:
        for number, line in enumerate(file, 1):
            yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name}: expected UTF-8 text, line {number} has byte "
            f"0x{error.object[error.start]:02x} at position {error.start + 1}"
        ) from None
    except (EOFError, OSError, lzma.LZMAError) as error:
        raise ValueError(f"{name}: cannot read on after line {number}: {error}") from None


def expand_paths(paths: Iterable[str | Path]) -> list[Path]:
    """Resolves files, folders (their text files, sorted) and glob patterns to a list of files.

    Raises:
        ValueError: one of them names nothing.
    """
    found: list[Path] = []
    for item in paths:
        path = Path(item)
        if path.is_dir():
            here = sorted(p for p in path.iterdir() if ".txt" in p.suffixes)
        elif any(c in str(item) for c in "*?["):
            here = sorted(path.parent.glob(path.name))
        else:
            here = [path] if path.exists() else []
        if not here:
            raise ValueError(f"{item}: expected a text file, a folder of .txt files or a pattern")
        found += here
    return found
