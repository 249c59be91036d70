"""Readers of the benchmarks' files: STS benchmark, SICK-R, STS12 to STS16, QNLI, own pairs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from flowjax.evaluation._text import columns, parse_score, read_lines
from flowjax.evaluation.tasks import Pairs, PairTask

QNLI_LABELS = {"entailment": 1.0, "1": 1.0, "not_entailment": 0.0, "0": 0.0}


def read_stsb(path: Path) -> Pairs:
    """STS benchmark: genre, file, year, id, score, sentence1, sentence2 [, licence fields].

    Tab-separated in spite of its name, and never quoted: a lone ``"`` belongs to the sentence.
    """
    rows = [line.split("\t") for line in read_lines(path)]
    for number, row in enumerate(rows, start=1):
        if len(row) < 7:
            raise ValueError(
                f"{path}, line {number}: expected at least 7 tab-separated columns, got {len(row)}"
            )
    return _pairs(((n, r[4], r[5], r[6]) for n, r in enumerate(rows, start=1)), path)


def read_sick(path: Path) -> Pairs:
    """SICK-R: a header, then tab-separated rows; the score is ``relatedness_score`` (1 to 5)."""
    return _pairs(_table(path, ("relatedness_score", "sentence_A", "sentence_B")), path)


def read_qnli(path: Path) -> Pairs:
    """GLUE QNLI: a header, then index, question, sentence, label; entailment is 1."""
    rows = []
    for number, label, question, sentence in _table(path, ("label", "question", "sentence")):
        if label not in QNLI_LABELS:
            raise ValueError(
                f"{path}, line {number}: expected the label entailment or not_entailment, "
                f"got {label!r}"
            )
        rows.append((number, str(QNLI_LABELS[label]), question, sentence))
    return _pairs(iter(rows), path)


def read_sts_year(folder: Path) -> tuple[dict[str, Pairs], list[str]]:
    """One year of STS: every ``STS.input.NAME.txt`` with its ``STS.gs.NAME.txt``.

    Args:
        folder: The year's folder.

    Returns:
        ``{NAME: Pairs}`` in name order, and notes on what was skipped. A blank gold line is a
        pair without score; gold without input (STS13's SMT, under licence) is said and skipped;
        ``ALL`` is the other files once more.
    """
    prefix = "STS.input."
    inputs = {p.name[len(prefix) : -4]: p for p in sorted(folder.glob(f"{prefix}*.txt"))}
    golds = {p.name[len("STS.gs.") : -4]: p for p in sorted(folder.glob("STS.gs.*.txt"))}
    inputs.pop("ALL", None)
    golds.pop("ALL", None)
    notes = [
        f"{name}: gold scores but no input file ({path}), so it is left out"
        for name, path in golds.items()
        if name not in inputs
    ]
    subsets = {}
    for name, path in inputs.items():
        if name not in golds:
            raise ValueError(f"{path}: expected its gold scores in STS.gs.{name}.txt, got no file")
        lines, scores = read_lines(path), read_lines(golds[name])
        if len(lines) != len(scores):
            raise ValueError(
                f"{path} has {len(lines)} lines and {golds[name]} has {len(scores)}: "
                "expected as many gold scores as pairs"
            )
        pairs = _pairs(_aligned(lines, scores, path), path, golds[name])
        if pairs.skipped:
            notes.append(
                f"{name}: {pairs.skipped} of {len(lines)} pairs have no gold score and are skipped"
            )
        if len(pairs):
            subsets[name] = pairs
    if not subsets:
        raise ValueError(f"{folder}: expected pairs with gold scores, got none")
    return subsets, notes


def load_pairs(path: str | Path, *, name: str | None = None, split: str = "test") -> PairTask:
    r"""Own graded pairs from one file.

    Args:
        path: ``.tsv`` (never quoted) or ``.csv`` (quoted as usual) with a header that has the
            columns ``score``, ``sentence1``, ``sentence2``; or ``.jsonl`` with these keys. Scores
            are of any scale. A row whose score is blank (null) is unscored, skipped and counted.
        name: The task's name; the file's stem when None.
        split: The split's name.

    Returns:
        A PairTask of one split with one subset.

    Raises:
        ValueError: Naming file and line, where a column, a number or a sentence is missing.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "mine.tsv"
        >>> _ = path.write_text("score\tsentence1\tsentence2\n4.5\tHello.\tHi.\n")
        >>> load_pairs(path).pairs("test").gold
        array([4.5])
    """
    path = Path(path)
    wanted = ("score", "sentence1", "sentence2")
    readers = {".tsv": _table, ".txt": _table, ".csv": _quoted_table, ".jsonl": _jsonl}
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path}: expected a .tsv, .csv or .jsonl file, got {path.suffix!r}")
    pairs = _pairs(readers[path.suffix.lower()](path, wanted), path)
    if not len(pairs):
        raise ValueError(f"{path}: expected scored pairs, got none")
    name = name or path.stem
    notes = [f"{pairs.skipped} pairs have no gold score and are skipped"] if pairs.skipped else []
    return PairTask(name, {split: {name: pairs}}, notes=tuple(notes), source=str(path))


Row = tuple[int, str, str, str]  # line number, score or label, first sentence, second sentence


def _pairs(rows: Iterator[Row], path: Path, gold_path: Path | None = None) -> Pairs:
    scored, unscored = [], []
    for number, score, first, second in rows:
        first, second = first.strip(), second.strip()
        if not score.strip():
            unscored.append((first, second))
            continue
        value = parse_score(score, gold_path or path, number)
        if not first or not second:
            raise ValueError(f"{path}, line {number}: expected two sentences, got an empty one")
        scored.append((first, second, value))
    return Pairs(
        tuple(row[0] for row in scored),
        tuple(row[1] for row in scored),
        np.array([row[2] for row in scored], dtype=np.float64),
        tuple(unscored),
    )


def _aligned(lines: list[str], scores: list[str], path: Path) -> Iterator[Row]:
    for number, (line, score) in enumerate(zip(lines, scores, strict=True), start=1):
        cells = line.split("\t")  # STS16 adds two columns with the sentences' sources
        if len(cells) < 2:
            raise ValueError(f"{path}, line {number}: expected two sentences with a tab between")
        yield number, score, cells[0], cells[1]


def _table(path: Path, wanted: tuple[str, ...]) -> Iterator[Row]:
    lines = read_lines(path)
    header = lines[0].split("\t")
    return _select(header, enumerate((x.split("\t") for x in lines[1:]), start=2), path, wanted)


def _quoted_table(path: Path, wanted: tuple[str, ...]) -> Iterator[Row]:
    reader = csv.reader([line + "\n" for line in read_lines(path)], strict=True)
    try:
        header = next(reader)
        yield from _select(header, ((reader.line_num, row) for row in reader), path, wanted)
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {reader.line_num}: expected comma-separated values, got: {error}"
        ) from error


def _select(
    header: list[str], rows: Iterator[tuple[int, list[str]]], path: Path, wanted: tuple[str, ...]
) -> Iterator[Row]:
    score, first, second = columns([name.strip() for name in header], wanted, path)
    for number, row in rows:
        if len(row) != len(header):
            raise ValueError(
                f"{path}, line {number}: expected {len(header)} columns like the header, "
                f"got {len(row)}"
            )
        yield number, row[score], row[first], row[second]


def _jsonl(path: Path, wanted: tuple[str, ...]) -> Iterator[Row]:
    for number, line in enumerate(read_lines(path), start=1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, line {number}: expected JSON, got: {error.msg}") from error
        if not isinstance(row, dict) or any(key not in row for key in wanted):
            raise ValueError(
                f"{path}, line {number}: expected an object with the keys {', '.join(wanted)}, "
                f"got {line[:80]!r}"
            )
        score, first, second = (row[key] for key in wanted)
        if not isinstance(first, str) or not isinstance(second, str):
            raise ValueError(f"{path}, line {number}: expected strings as the two sentences")
        yield number, "" if score is None else str(score), first, second
