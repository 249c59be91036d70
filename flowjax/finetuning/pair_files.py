"""Records of files of sentence pairs: JSON lines, tables, Parquet, SentEval's files and TFDS."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from flowjax.data.formats import counted, open_parquet
from flowjax.data.sentence_files import expand
from flowjax.errors import FlowjaxError
from flowjax.files.json import parse_json
from flowjax.files.remote import is_remote
from flowjax.files.tables import read_cells, read_json
from flowjax.files.text import find_files, read_lines, split_suffix

Record = tuple[str, dict[str, Any]]  # file and line in error messages, values by column
_TABLES = {".tsv": "\t", ".txt": "\t", ".csv": ","}
_JSON = (".jsonl", ".ndjson", ".json")
# Training files of a folder, the preferred format first: SNLI has the same pairs in two formats.
_TRAINING = ("*train*.jsonl*", "*train*.parquet", "*train*.tsv*", "*train*.csv*", "*train*.txt*")
_PARTS = ("s1.", "s2.", "labels.")
_KINDS = ".jsonl, .json, .tsv, .csv, .txt (also compressed), .parquet, s1.*, or tfds:NAME"
_ROWS = 4096


def pair_files(source: str) -> list[str]:
    """Returns the files of a source of pairs.

    Args:
        source: comma-separated files, patterns and folders, or `tfds:NAME[/SPLIT]`. A folder
            stands for its files with `train` in their names.

    Raises:
        FlowjaxError: There is no such file, or a folder has no training file.
    """
    if source.startswith("tfds:"):
        return [source]
    found: list[str] = []
    for path in map(Path, expand(source)):
        found += map(str, _training_files(path) if path.is_dir() else [path])
    for name in found:
        if not is_remote(name) and not Path(name).is_file():
            raise FlowjaxError(f"{name}: expected a file of sentence pairs, got no such file")
    return found


def _training_files(folder: Path) -> list[Path]:
    for pattern in (*_TRAINING, "s1.train*"):
        if files := find_files(folder, pattern):
            return files
    raise FlowjaxError(
        f"{folder}: expected a file with train in its name, got none; name the files to train on"
    )


def read_records(name: str) -> Iterator[Record]:
    """Yields the records of one file of `pair_files`.

    Raises:
        FlowjaxError: The file is damaged or has an unknown format.
    """
    if name.startswith("tfds:"):
        return _from_tfds(name)
    path = Path(name)
    if path.name.startswith("s1."):
        return _from_parts(path)
    _, suffix, _ = split_suffix(path)
    if suffix == ".parquet":
        return _from_parquet(path)
    if suffix in _JSON:
        return _from_json(path, suffix)
    if suffix in _TABLES:
        return _from_table(path, _TABLES[suffix])
    raise FlowjaxError(f"{path}: expected {_KINDS}, got {suffix!r}")


def _from_json(path: Path, suffix: str) -> Iterator[Record]:
    rows: Iterator[tuple[Any, Any]] = read_json(read_lines(path), path)
    word = "line"
    if suffix == ".json" and next(read_lines(path), "").lstrip().startswith("["):
        rows, word = iter(enumerate(parse_json("\n".join(read_lines(path)), path), 1)), "item"
    for number, row in rows:
        where = f"{path}: {word} {number}"
        if not isinstance(row, dict):
            raise FlowjaxError(f"{where}: expected an object, got {type(row).__name__}")
        yield where, row


def _from_table(path: Path, delimiter: str) -> Iterator[Record]:
    # Tables of tabs never quote: the files of SNLI and MultiNLI contain single quotation marks.
    rows = read_cells(read_lines(path), path, delimiter=delimiter, literal=delimiter == "\t")
    header = [cell.strip() for cell in next(rows, (0, []))[1]]
    for number, cells in rows:
        if any(map(str.strip, cells)):
            if len(cells) > len(header):
                expected = f"at most {len(header)} cells like the header"
                got = len(cells)
                raise FlowjaxError(f"{path}: line {number}: expected {expected}, got {got}")
            # Rows of MultiNLI end after the first annotator's label.
            yield f"{path}: line {number}", dict(zip(header, cells, strict=False))


def _from_parquet(path: Path) -> Iterator[Record]:
    with open_parquet(path) as (_, file):
        nested = [name for name in file.schema_arrow.names if name.endswith("_parse")]
        columns = [name for name in file.schema_arrow.names if name not in nested]
        batches = file.iter_batches(batch_size=_ROWS, columns=columns)
        number = 0
        for batch in counted(batches, file.metadata.num_rows, path):
            for row in batch.to_pylist():
                yield f"{path}: row {number}", row
                number += 1


def _from_parts(path: Path) -> Iterator[Record]:
    rest = path.name.removeprefix("s1.")
    files = [path.with_name(part + rest) for part in _PARTS]
    for file in files:
        if not file.is_file():
            raise FlowjaxError(f"{file}: expected a file beside {path.name}, got no such file")
    for number, lines in enumerate(zip_longest(*map(read_lines, files)), 1):
        if None in lines:
            names = " and ".join(file.name for file in files[1:])
            raise FlowjaxError(
                f"{path}: expected as many lines as in {names}, got other numbers of lines"
            )
        first, second, label = lines
        record = {"sentence1": first, "sentence2": second, "label": label}
        yield f"{path}: line {number}", record


def _from_tfds(name: str) -> Iterator[Record]:
    import os

    from flowjax.data.tfds import need_tfds
    from flowjax.data.tfds.records import read_rows
    from flowjax.data.tfds.source import find_prepared, parse_name

    root = os.environ.get("TFDS_DATA_DIR") or Path.home() / "tensorflow_datasets"
    folder, split = find_prepared(Path(root), parse_name(name), name)
    builder = need_tfds().builder_from_directory(str(folder))
    if split is None:
        split = "train" if "train" in builder.info.splits else None
    if split is None or split.partition("[")[0] not in builder.info.splits:
        there = ", ".join(builder.info.splits)
        raise FlowjaxError(f"{name}: expected a split among {there}, got {split!r}")
    for number, row in enumerate(read_rows(builder, split)):
        yield (
            f"{name}: row {number}",
            {
                key: value.decode("utf-8", "replace") if isinstance(value, bytes) else value
                for key, value in row.items()
            },
        )
