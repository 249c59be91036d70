"""Readers of labelled sentence pairs: STS benchmark, SICK-R, STS12 to STS16, QNLI, user files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from flowjax.errors import FlowjaxError
from flowjax.evaluation.tasks import Pairs, PairTask
from flowjax.files.tables import json_text, read_cells, read_json, read_table
from flowjax.files.text import read_lines

QNLI_LABELS = {"entailment": 1.0, "1": 1.0, "not_entailment": 0.0, "0": 0.0}
_COLUMNS = ("score", "sentence1", "sentence2")
Row = tuple[int, str, str, str]  # line number, score or label, first sentence, second sentence


def read_stsb(path: Path) -> Pairs:
    """Returns the pairs of an STS benchmark file.

    The columns are genre, file, year, id, score, sentence1, sentence2 [, licence fields]. They are
    separated by tabs in spite of the suffix .csv, and never quoted.
    """
    rows = []
    for number, cells in read_cells(_lines(path), path, tabs=True):
        if len(cells) < 7:
            raise FlowjaxError(
                f"{path}: line {number}: expected at least 7 tab-separated columns, "
                f"got {len(cells)}"
            )
        rows.append((number, cells[4], cells[5], cells[6]))
    return _pairs(rows, path)


def read_sick(path: Path) -> Pairs:
    """Returns the pairs of a SICK file: TSV with a header, scores 1 to 5 for relatedness."""
    return _pairs(_table(path, ("relatedness_score", "sentence_A", "sentence_B")), path)


def read_qnli(path: Path) -> Pairs:
    """Returns the pairs of a GLUE QNLI file (TSV): question, sentence, and 1 for entailment."""
    rows = []
    for number, label, question, sentence in _table(path, ("label", "question", "sentence")):
        if label not in QNLI_LABELS:
            raise FlowjaxError(
                f"{path}: line {number}: expected the label entailment or not_entailment, "
                f"got {label!r}"
            )
        rows.append((number, str(QNLI_LABELS[label]), question, sentence))
    return _pairs(rows, path)


def read_sts_year(folder: Path) -> tuple[dict[str, Pairs], list[str]]:
    """Returns the subsets of one year of STS and notes on omissions.

    Each subset is a file `STS.input.NAME.txt` with its gold scores in `STS.gs.NAME.txt`. An empty
    gold line is a pair without a score. The files named `ALL` repeat the other files and are
    ignored.

    Args:
        folder: folder with the files of one year.

    Returns:
        `({NAME: Pairs}, notes)` in the order of the names. The notes list the pairs without a
        score and the gold scores without an input file (STS13's SMT needs a licence).

    Raises:
        FlowjaxError: gold scores are missing or do not match the pairs, or there are no pairs.
    """
    inputs, golds = _named(folder, "STS.input."), _named(folder, "STS.gs.")
    notes = [
        f"{name}: gold scores but no input file ({path}), so it is left out"
        for name, path in golds.items()
        if name not in inputs
    ]
    subsets = {}
    for name, path in inputs.items():
        if name not in golds:
            raise FlowjaxError(
                f"{path}: expected its gold scores in STS.gs.{name}.txt, got no file"
            )
        lines, scores = _lines(path), _lines(golds[name])
        if len(lines) != len(scores):
            raise FlowjaxError(
                f"{golds[name]}: expected as many gold scores as {path} has pairs, {len(lines)}, "
                f"got {len(scores)}"
            )
        pairs = _pairs(_aligned(lines, scores, path), path, golds[name])
        if pairs.skipped:
            notes.append(
                f"{name}: {pairs.skipped} of {len(lines)} pairs have no gold score and are skipped"
            )
        if len(pairs):
            subsets[name] = pairs
    if not subsets:
        raise FlowjaxError(f"{folder}: expected pairs with gold scores, got none")
    return subsets, notes


def load_pairs(path: str | Path, *, name: str | None = None, split: str = "test") -> PairTask:
    r"""Returns the labelled pairs of a user's file as a task with one split and one subset.

    Args:
        path: `.tsv` (never quoted) or `.csv` with a header that has the columns `score`,
            `sentence1` and `sentence2`, or `.jsonl` with these keys. Scores may have any scale. A
            row with an empty or null score is skipped and counted.
        name: name of the task; the file's stem by default.
        split: name of the split.

    Raises:
        FlowjaxError: a column, a score or a sentence is missing or malformed; the message has the
            file and the line.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "mine.tsv"
        >>> _ = path.write_text("score\tsentence1\tsentence2\n4.5\tHello.\tHi.\n")
        >>> load_pairs(path).pairs("test").gold
        array([4.5])
    """
    path = Path(path)
    table = partial(_table, wanted=_COLUMNS)
    readers = {".tsv": table, ".txt": table, ".csv": partial(table, tabs=False)}
    suffix = path.suffix.lower()
    if suffix != ".jsonl" and suffix not in readers:
        raise FlowjaxError(f"{path}: expected a .tsv, .csv or .jsonl file, got {path.suffix!r}")
    pairs = _pairs(_json_rows(path) if suffix == ".jsonl" else readers[suffix](path), path)
    if not len(pairs):
        raise FlowjaxError(f"{path}: expected scored pairs, got none")
    name = name or path.stem
    notes = [f"{pairs.skipped} pairs have no gold score and are skipped"] if pairs.skipped else []
    return PairTask(name, {split: {name: pairs}}, notes=tuple(notes), source=str(path))


def _lines(path: Path) -> list[str]:
    lines = list(read_lines(path))
    if not lines:
        raise FlowjaxError(f"{path}: expected lines of text, got an empty file")
    return lines


def _named(folder: Path, prefix: str) -> dict[str, Path]:
    found = {p.name[len(prefix) : -4]: p for p in sorted(folder.glob(f"{prefix}*.txt"))}
    found.pop("ALL", None)
    return found


def _aligned(lines: list[str], scores: list[str], path: Path) -> Iterator[Row]:
    for number, (line, score) in enumerate(zip(lines, scores, strict=True), start=1):
        cells = line.split("\t")  # STS16 has two more columns, the sources of the sentences
        if len(cells) < 2:
            raise FlowjaxError(
                f"{path}: line {number}: expected two sentences with a tab between, got {line!r}"
            )
        yield number, score, cells[0], cells[1]


def _table(path: Path, wanted: tuple[str, ...], *, tabs: bool = True) -> Iterator[Row]:
    header, rows = read_table(_lines(path), path, tabs=tabs)
    names = [name.strip() for name in header]
    if not set(wanted) <= set(names):
        raise FlowjaxError(
            f"{path}: line 1: expected a header with the columns {', '.join(wanted)}, "
            f"got {header!r}"
        )
    score, first, second = (names.index(name) for name in wanted)
    for number, cells in rows:
        yield number, cells[score], cells[first], cells[second]


def _json_rows(path: Path) -> Iterator[Row]:
    for number, row in read_json(_lines(path), path):
        if not isinstance(row, dict) or not set(_COLUMNS) <= set(row):
            raise FlowjaxError(
                f"{path}: line {number}: expected an object with the keys {', '.join(_COLUMNS)}, "
                f"got {str(row)[:80]}"
            )
        first, second = (json_text(row[key], path, number, repr(key)) for key in _COLUMNS[1:])
        yield number, "" if row["score"] is None else str(row["score"]), first, second


def _pairs(rows: Iterable[Row], path: Path, gold_path: Path | None = None) -> Pairs:
    scored, unscored = [], []
    for number, score, first, second in rows:
        first, second = first.strip(), second.strip()
        if not score.strip():
            unscored.append((first, second))
            continue
        value = _score(score, gold_path or path, number)
        if not first or not second:
            raise FlowjaxError(f"{path}: line {number}: expected two sentences, got an empty one")
        scored.append((first, second, value))
    return Pairs(
        tuple(row[0] for row in scored),
        tuple(row[1] for row in scored),
        np.array([row[2] for row in scored], dtype=np.float64),
        tuple(unscored),
    )


def _score(text: str, path: Path, number: int) -> float:
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise FlowjaxError(f"{path}: line {number}: expected a number as the score, got {text!r}")
    return score
