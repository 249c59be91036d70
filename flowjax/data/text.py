"""Lines of text from plain or compressed files, one at a time and with clear errors."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

_OPENERS = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
# What damaged compression raises: a cut file, a wrong header or checksum, broken blocks.
_DAMAGE = (EOFError, OSError, lzma.LZMAError, zlib.error)
_BOM = b"\xef\xbb\xbf"


def open_binary(path: str | Path) -> IO[bytes]:
    """Opens a file for reading bytes, decompressing `.gz`, `.xz` and `.bz2` on the way.

    Args:
        path: a file that exists.

    Raises:
        ValueError: the file is missing, is a folder, or may not be read.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path}: expected a file, got a folder")
    try:
        return _OPENERS.get(path.suffix.lower(), open)(path, "rb")  # type: ignore[operator]
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except OSError as error:
        raise ValueError(f"{path}: expected a readable file: {error.strerror}") from None


def read_lines(path: str | Path) -> Iterator[str]:
    r"""Yields a text file's lines without their line ends.

    A byte-order mark is dropped. `\n` and `\r\n` end a line and nothing else does: characters such
    as U+2028 occur inside sentences.

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
    r"""Decodes the lines of a binary stream; `name` is what errors call it.

    Raises:
        ValueError: see `read_lines`.

    Example:
        >>> list(decode_lines([b"caf\xe9"], "menu"))
        Traceback (most recent call last):
        ValueError: menu: expected UTF-8 text, line 1 has byte 0xe9 at position 4
    """
    number, skipped = 0, 0
    try:
        for number, line in enumerate(file, 1):
            # The mark is cut off by hand: "utf-8-sig" would count an error's position without it.
            skipped = len(_BOM) if number == 1 and line.startswith(_BOM) else 0
            yield line[skipped:].removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name}: expected UTF-8 text, line {number} has byte "
            f"0x{error.object[error.start]:02x} at position {skipped + error.start + 1}"
        ) from None
    except _DAMAGE as error:
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
        elif path.exists():  # first, for a name that has a bracket in it
            here = [path]
        elif any(c in str(item) for c in "*?["):
            here = sorted(path.parent.glob(path.name))
        else:
            here = []
        if not here:
            raise ValueError(f"{item}: expected a text file, a folder of .txt files or a pattern")
        found += here
    return found
