"""Files of sentences: text, JSON, CSV, TSV and Parquet, and several files as one source."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from glob import glob
from itertools import chain
from pathlib import Path
from typing import Any

from flowjax.data.fingerprint import Fingerprint, fingerprint
from flowjax.data.formats import read_csv, read_json_file, read_jsonl, read_parquet
from flowjax.errors import FlowjaxError
from flowjax.files import remote
from flowjax.files.text import decode_lines, read_lines, split_suffix

_KINDS = ".txt, .jsonl, .json, .csv or .tsv (also .gz, .xz, .bz2 or .zst), or .parquet"
_ARCHIVES = (".zip", ".tar", ".tgz", ".7z", ".rar")
_READERS: dict[str, Callable[..., Iterator[str]]] = {
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_json_file,
    ".csv": read_csv,
    ".tsv": partial(read_csv, delimiter="\t"),
}


class SentenceFile:
    r"""Sentences of a file, read one at a time in each iteration.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.jsonl"
        >>> _ = path.write_text('{"text": "One."}\n{"text": "Two."}\n')
        >>> list(SentenceFile(path))
        ['One.', 'Two.']
    """

    def __init__(self, path: str | Path, column: str | None = None) -> None:
        """Checks the path without reading the file.

        Args:
            path: `.txt` (one sentence per line), `.jsonl`, `.json` (an array, or JSON lines),
                `.csv`, `.tsv` or `.parquet` file. All formats but Parquet may be compressed
                (`.gz`, `.xz`, `.bz2`, `.zst`), and a URL such as `s3://bucket/a.txt`. `"-"` is
                standard input with one sentence per line, which can be read only once.
            column: name of the field with the sentence; `sentence` or `text` by default. In JSON,
                `a.b` is the field b of the object a.

        Raises:
            FlowjaxError: The file is missing, has an unknown suffix, or has no columns and
                `column` is given.
        """
        # A URL stays text: a `Path` would shorten its slashes.
        self.path: Any = remote.as_url(path) if remote.is_remote(path) else Path(path)
        self.column = column
        self.is_stream = str(path) == "-"
        self.name = "standard input" if self.is_stream else str(self.path)
        self._version: str | None = None
        self._begun = False
        _, suffix, packed = ("", "", "") if self.is_stream else split_suffix(self.path)
        self.kind = suffix or ".txt"
        if not self.is_stream:
            self._check(suffix, packed)
        if column is not None and self.kind == ".txt":
            raise FlowjaxError(
                f"column: expected none for {self.name}, which has a sentence per line, got "
                f"{column!r}"
            )

    def _check(self, suffix: str, packed: str) -> None:
        if isinstance(self.path, str):
            kind = remote.kind_of(self.path)
        else:
            kind = "file" if self.path.is_file() else "folder" if self.path.is_dir() else None
        if kind != "file":
            found = "no such file"
            if kind == "folder":
                found = f"a folder; for its files, use a pattern such as '{self.path}/*.txt'"
            raise FlowjaxError(f"{self.path}: expected a file of sentences, got {found}")
        kinds = (".txt", *_READERS) if packed else (".txt", ".parquet", *_READERS)
        if self.kind not in kinds:
            advice = "; unpack the archive" if suffix in _ARCHIVES else ""
            got = f"{suffix + packed!r}{advice}"
            raise FlowjaxError(f"{self.path}: expected {_KINDS}, got {got}")

    def __iter__(self) -> Iterator[str]:
        if self.is_stream:
            if self._begun:
                raise FlowjaxError("standard input: expected a single iteration, got a second one")
            self._begun = True
            return decode_lines(sys.stdin.buffer, self.name)
        return self._unchanged() if isinstance(self.path, str) else self._sentences()

    def _sentences(self) -> Iterator[str]:
        if self.kind == ".parquet":
            return read_parquet(self.path, self.column)
        lines, read = read_lines(self.path), _READERS.get(self.kind)
        return read(lines, self.name, self.column) if read else lines

    def _unchanged(self) -> Iterator[str]:
        """Yields the sentences of an object, which must be the same in all iterations."""
        self._same_version()
        yield from self._sentences()
        self._same_version()

    def _same_version(self) -> None:
        if isinstance(self.path, str):
            self._version = self._version or remote.version(self.path)
            remote.check_version(self.path, self._version)

    def fingerprint(self) -> str | None:
        """Returns a hash of the file's bytes and the column; None for standard input."""
        if self.is_stream:
            return None
        digest = Fingerprint()
        digest.add_text(self.column or "")
        self._same_version()
        digest.add_file(self.path)
        self._same_version()
        return str(digest)


class SentenceFiles:
    """Sentences of several files, one file after another.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "b.txt").write_text("Two.")
        >>> _ = (folder / "a.txt").write_text("One.")
        >>> files = [SentenceFile(path) for path in expand(f"{folder}/*.txt")]
        >>> list(SentenceFiles(files))
        ['One.', 'Two.']
    """

    is_stream = False

    def __init__(self, files: Sequence[SentenceFile]) -> None:
        """Stores the files in their order."""
        self.files = files
        self.name = ",".join(file.name for file in files)

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self.files)

    def fingerprint(self) -> str:
        """Returns a hash of the bytes of all files and of the column."""
        return fingerprint(str(file.fingerprint()) for file in self.files)


def expand(text: str | Path) -> list[str | Path]:
    """Returns the paths of a comma-separated list of paths and patterns, in its order.

    Args:
        text: the list; `"-"`, a `Path`, and the name of an existing file are single paths. The
            files of a pattern are sorted by name. A path or a pattern can be a URL, such as
            `s3://bucket/part-*.txt`.

    Raises:
        FlowjaxError: No file matches a pattern, or the list contains `"-"`.
    """
    if isinstance(text, Path) or text == "-" or Path(text).exists():
        return [text]
    found: list[str | Path] = []
    for part in filter(None, map(str.strip, text.split(","))):
        if not set(part) & set("*?[") or Path(part).exists():
            found.append(part)
            continue
        if remote.is_remote(part):
            matches = remote.matching(part)
        else:
            matches = sorted(path for path in glob(part, recursive=True) if Path(path).is_file())
        if not matches:
            raise FlowjaxError(f"{part}: expected a pattern of files, got no matching file")
        found += matches
    if "-" in found:
        raise FlowjaxError(f"{text}: expected files only, got - (standard input)")
    return found or [text]
