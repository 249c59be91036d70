"""Lines of plain and compressed text files."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

from flowjax.errors import FlowjaxError
from flowjax.files import remote

# Largest line in bytes. A small compressed file can hold a line that fills the memory.
MAX_LINE = 64 << 20
# Suffixes of files whose lines are not text alone.
_NOT_LINES = {".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".zip", ".tar", ".7z"}
# Exceptions that damaged compressed files raise.
_DAMAGE = (EOFError, OSError, lzma.LZMAError, zlib.error)
_BOM = b"\xef\xbb\xbf"


def _open_zstd(path: Any, mode: str) -> IO[bytes]:
    try:
        import pyarrow
    except ImportError:
        raise FlowjaxError(
            f"{path}: expected an installed pyarrow to read .zst, got none; "
            "pip install 'bert-flowjax[parquet]'"
        ) from None
    stream = path if hasattr(path, "read") else pyarrow.OSFile(str(path), mode)
    return io.BufferedReader(pyarrow.CompressedInputStream(stream, "zstd"))


# Function that opens a compressed file, by file suffix.
OPENERS: dict[str, Callable[..., Any]] = {
    ".gz": gzip.open,
    ".xz": lzma.open,
    ".bz2": bz2.open,
    ".zst": _open_zstd,
}


def split_suffix(path: str | Path) -> tuple[str, str, str]:
    """Returns the file name without suffixes, the suffix of the format, and of the compression.

    Suffixes are returned in lower case.

    Example:
        >>> split_suffix("data/pairs.v2.TSV.gz"), split_suffix("notes")
        (('pairs.v2', '.tsv', '.gz'), ('notes', '', ''))
    """
    name, packed = Path(path), ""
    if name.suffix.lower() in OPENERS:
        name, packed = name.with_suffix(""), name.suffix.lower()
    return name.stem, name.suffix.lower(), packed


def open_binary(path: str | Path) -> IO[bytes]:
    """Opens a file for reading bytes and decompresses `.gz`, `.xz`, `.bz2` and `.zst`.

    Args:
        path: path of an existing file, or URL of an object in object storage.

    Raises:
        FlowjaxError: The file is missing, is a folder, or cannot be opened, or pyarrow is missing
            for `.zst`.
    """
    opener = OPENERS.get(Path(path).suffix.lower(), open)
    if remote.is_remote(path):
        stream = remote.open_remote(path)
        return stream if opener is open else opener(stream, "rb")  # type: ignore[no-any-return]
    try:
        opened: IO[bytes] = opener(path, "rb")
        return opened
    except OSError as error:
        got = error.strerror or str(error)
        raise FlowjaxError(f"{path}: expected a readable file, got: {got}") from None


def read_lines(path: str | Path) -> Iterator[str]:
    r"""Yields the lines of a text file without their line ends.

    A byte order mark is removed. Only `\n` and `\r\n` end a line, because other separators such as
    U+2028 occur inside of sentences.

    Args:
        path: UTF-8 text, plain or compressed (`.gz`, `.xz`, `.bz2`, `.zst`).

    Raises:
        FlowjaxError: The file cannot be opened, is damaged, is not UTF-8 (the message names the
            line and the byte), or has a line of more than `MAX_LINE` bytes.

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
    r"""Yields the decoded lines of a binary stream without their line ends.

    Args:
        file: binary stream that yields lines.
        name: name of the stream in error messages.

    Raises:
        FlowjaxError: The stream cannot be read, is not UTF-8, or has a line that is too long.

    Example:
        >>> list(decode_lines([b"caf\xe9"], "menu"))
        Traceback (most recent call last):
        flowjax.errors.FlowjaxError: menu: line 1: expected UTF-8 text, got byte 0xe9 at position 4
    """
    number, skipped = 0, 0
    if isinstance(file, io.IOBase):
        file = iter(partial(file.readline, MAX_LINE + 1), b"")
    try:
        for number, line in enumerate(file, 1):
            if len(line) > MAX_LINE:
                raise FlowjaxError(
                    f"{name}: line {number}: expected at most {MAX_LINE >> 20} MiB, got a longer "
                    "line"
                )
            # The codec "utf-8-sig" would omit the byte order mark from the error position.
            skipped = len(_BOM) if number == 1 and line.startswith(_BOM) else 0
            yield line[skipped:].removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError as error:
        byte, position = error.object[error.start], skipped + error.start + 1
        got = f"byte 0x{byte:02x} at position {position}"
        raise FlowjaxError(f"{name}: line {number}: expected UTF-8 text, got {got}") from None
    except _DAMAGE as error:
        raise FlowjaxError(
            f"{name}: expected a readable stream after line {number}, got: {error}"
        ) from None


def expand_paths(paths: Iterable[str | Path]) -> list[Any]:
    """Returns the text files of a list of paths; URLs of object storage stay text.

    Args:
        paths: files, folders (their text files, sorted by name) and glob patterns; also URLs.

    Raises:
        FlowjaxError: A path or a pattern matches no file, or a file is a table or an archive.
    """
    found: list[Any] = []
    for item in paths:
        path = Path(item)
        files: list[Any]
        if remote.is_remote(item):
            files = _remote_texts(remote.as_url(item))
        elif path.is_dir():
            files = sorted(p for p in path.iterdir() if ".txt" in p.suffixes)
        elif path.exists():  # checked before the pattern: a file name may contain a bracket
            files = [path]
        else:
            files = sorted(path.parent.glob(path.name))
        if not files:
            raise FlowjaxError(
                f"{item}: expected a file, a folder of .txt files or a pattern, got no file"
            )
        found += files
    for path in found:
        if split_suffix(path)[1] in _NOT_LINES:
            suffix = Path(path).suffix
            raise FlowjaxError(f"{path}: expected lines of text, got a {suffix} file")
    return found


def _remote_texts(url: str) -> list[str]:
    kind = remote.kind_of(url)
    if kind == "folder":
        names = [name for name in remote.entries_of(url) if ".txt" in Path(name).suffixes]
        return [remote.join(url, name) for name in names if "/" not in name]
    return [url] if kind == "file" else remote.matching(url)


def find_files(folder: Path, pattern: str) -> list[Path]:
    """Returns the sorted files below a folder that match a pattern, except macOS metadata."""
    return sorted(p for p in folder.rglob(pattern) if "__MACOSX" not in p.parts and p.is_file())
