"""Sentence source of any prepared TFDS data set, named `tfds:NAME[/SPLIT][:COLUMN]`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any, NamedTuple

from flowjax.data.fingerprint import Fingerprint
from flowjax.data.formats import COLUMNS
from flowjax.data.tfds import BUILDERS, need_tfds
from flowjax.data.tfds.records import read_rows
from flowjax.errors import FlowjaxError

_VERSION = re.compile(r"\d+\.\d+\.\d+")
# Column names of sentence pairs.
_PAIRS = (("sentence1", "sentence2"), ("premise", "hypothesis"), ("question1", "question2"))
_COLUMN = re.compile(r"[A-Za-z_][\w/,. -]*")


class TfdsSource:
    """Sentences of a data set that is already prepared."""

    is_stream = False

    def __init__(
        self, name: str, column: str | None = None, *, data_dir: str | Path | None = None
    ) -> None:
        """Opens a data set.

        Args:
            name: `tfds:NAME[/CONFIG][:VERSION][/SPLIT][:COLUMN]`. The default is the newest
                version and all splits; a split has the syntax of TFDS (`train[:10%]`).
            column: comma-separated names of text features. The default is `sentence`, `text`, both
                sentences of a pair, or the only text feature.
            data_dir: folder of the prepared data sets; `$TFDS_DATA_DIR` or
                `~/tensorflow_datasets` by default.

        Raises:
            FlowjaxError: The data set, the split or the text feature does not exist; the message
                lists the existing names.
        """
        tfds = need_tfds()
        self.name = name
        wanted = parse_name(name)
        if column and wanted.column and column != wanted.column:
            raise FlowjaxError(f"column: expected {wanted.column!r} as in {name}, got {column!r}")
        root = data_dir or os.environ.get("TFDS_DATA_DIR") or Path.home() / "tensorflow_datasets"
        self._folder, split = find_prepared(Path(root), wanted, name)
        self._builder = tfds.builder_from_directory(str(self._folder))
        splits = self._builder.info.splits
        self._splits = [split] if split else list(splits)
        try:
            sum(splits[s].num_examples for s in self._splits)  # TFDS raises for an unknown split
        except (ValueError, KeyError):
            there = ", ".join(splits)
            raise FlowjaxError(f"{name}: expected a split among {there}, got {split!r}") from None
        self._columns: list[str] = self._pick(column or wanted.column)

    def __iter__(self) -> Iterator[str]:
        for split in self._splits:
            for number, row in enumerate(read_rows(self._builder, split)):
                for column in self._columns:
                    value = reduce(getitem, column.split("/"), row)
                    yield self._decode(value, f"{split} row {number}")

    def fingerprint(self) -> str:
        """Returns a hash of the files of the data set, the splits and the columns."""
        digest = Fingerprint()
        digest.add_text(repr((self._splits, self._columns)))
        for path in sorted(self._folder.iterdir()):
            if path.is_file() and not path.name.startswith("."):
                digest.add_text(path.name)
                digest.add_file(path)
        return str(digest)

    def _pick(self, column: str | None) -> list[str]:
        there = sorted(_text_features(self._builder.info.features))
        if column:
            choices = [tuple(c.strip() for c in column.split(","))]
        else:
            choices = [*((c,) for c in COLUMNS), *_PAIRS]
            choices += [tuple(there)] if len(there) == 1 else []
        for columns in choices:
            if all(c in there for c in columns):
                return list(columns)
        wanted = f"text in {column!r}" if column else "a column after a colon"
        found = ", ".join(there) or "(none)"
        raise FlowjaxError(f"{self.name}: expected {wanted}, got the text features {found}")

    def _decode(self, value: Any, where: str) -> str:
        if isinstance(value, str):
            return value
        try:
            return bytes(value).decode("utf-8")
        except (UnicodeDecodeError, TypeError) as error:
            raise FlowjaxError(
                f"{self.name}: {where}: expected UTF-8 text, got: {error}"
            ) from None


class Wanted(NamedTuple):
    """Parts of the name of a data set; `path` holds the name, the config and the split."""

    path: list[str]
    version: str | None
    column: str | None


def parse_name(name: str) -> Wanted:
    """Returns the parts of `tfds:NAME[/CONFIG][:VERSION][/SPLIT][:COLUMN]`.

    Raises:
        FlowjaxError: The name does not have this form.

    Example:
        >>> parse_name("tfds:glue/qnli:1.0.0/train[:9]:question")
        Wanted(path=['glue', 'qnli', 'train[:9]'], version='1.0.0', column='question')
    """
    rest, column, version = name.removeprefix("tfds:"), None, None
    before, colon, after = rest.rpartition(":")
    if colon and _COLUMN.fullmatch(after):
        rest, column = before, after
    if found := re.search(rf":({_VERSION.pattern})(?=/|$)", rest):
        rest, version = rest[: found.start()] + rest[found.end() :], found[1]
    path = rest.split("/")
    if not all(path) or not re.fullmatch(r"\w+", path[0]):
        raise FlowjaxError(f"source: expected tfds:NAME[/SPLIT][:COLUMN], got {name!r}")
    return Wanted(path, version, column)


def find_prepared(root: Path, wanted: Wanted, name: str) -> tuple[Path, str | None]:
    """Returns the folder of a prepared data set, and the split in its name (None if absent).

    Args:
        root: folder of the prepared data sets.
        wanted: parts of the name.
        name: the whole name, for error messages.

    Raises:
        FlowjaxError: The data set is not prepared; the message lists the prepared data sets, or
            contains the command that prepares the wanted data set.
    """
    base, *rest = wanted.path
    folder = root / base
    if rest and (folder / rest[0]).is_dir():
        folder, rest = folder / rest[0], rest[1:]
    versions = _versions(folder)
    if wanted.version:
        versions = [v for v in versions if v == wanted.version]
    if not versions:
        place = root / "/".join(wanted.path)
        if configs := sorted(p.name for p in _folders(folder) if _versions(p)):
            advice = f"choose a config: {base}/{' or '.join(configs)}"
        elif base in BUILDERS:
            advice = f"prepare it: python -m flowjax.data.tfds {base} --data-dir {root}"
        else:
            found = (p.name for p in _folders(root) if any(map(_versions, [p, *_folders(p)])))
            advice = f"prepared data sets: {', '.join(sorted(found)) or 'none'}"
        raise FlowjaxError(f"{name}: expected a prepared data set in {place}, got none; {advice}")
    if len(rest) > 1:
        raise FlowjaxError(f"{name}: expected one split after {folder.name}, got {rest}")
    return folder / versions[-1], rest[0] if rest else None


def _versions(folder: Path) -> list[str]:
    """Returns the versions of a data set in a folder, oldest first."""
    names = (path.parent.name for path in folder.glob("*/dataset_info.json"))
    return sorted(filter(_VERSION.fullmatch, names), key=lambda v: [*map(int, v.split("."))])


def _folders(folder: Path) -> list[Path]:
    return [p for p in folder.glob("*") if p.is_dir() and not p.name.startswith(".")]


def _text_features(features: Any, prefix: str = "") -> Iterator[str]:
    """Yields the names of the scalar text features; slashes join the parts of nested names."""
    for name, feature in features.items():
        if hasattr(feature, "items"):
            yield from _text_features(feature, f"{prefix}{name}/")
        elif type(feature).__name__ == "Text" or (
            type(feature).__name__ in ("Tensor", "Scalar")
            and feature.shape == ()
            and feature.np_dtype in (object, str, bytes)
        ):
            yield f"{prefix}{name}"
