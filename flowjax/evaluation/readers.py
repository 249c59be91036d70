"""Readers of labelled sentence pairs: STS benchmark, SICK-R, STS12 to STS16, QNLI, user files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from flowjax.errors import FlowjaxError
from flowjax.evaluation.tasks import Pairs, PairTask
from flowjax.files.tables import Row, json_text, read_cells, read_json, read_table
from flowjax.files.text import read_lines

QNLI_LABELS = {"entailment": 1.0, "1": 1.0, "not_entailment": 0.0, "0": 0.0}
_COLUMNS = ("score", "sentence1", "sentence2")


def read_stsb(path: Path) -> Pairs:
    """Returns the pairs of an STS benchmark file.

    The columns are genre, file, year, id, score, sentence1, sentence2 [, licence fields]. The file
    is tab-separated in spite of its suffix .csv, and cells are never quoted.
    """
    return _pairs(((n, row[4:7]) for n, row in read_cells(_lines(path), path, tabs=True)), path)


def read_sick(path: Path) -> Pairs:
    """Returns the pairs of a SICK file: TSV with a header, scores 1 to 5 for relatedness."""
    return _pairs(_table(path, ("relatedness_score", "sentence_A", "sentence_B")), path)


def read_qnli(path: Path) -> Pairs:
    """Returns the pairs of a GLUE QNLI file (TSV): question, sentence, and 1 for entailment."""
    rows = []
    for number, (label, *texts) in _table(path, ("label", "question", "sentence")):
        if label not in QNLI_LABELS:
            wanted = "the label entailment or not_entailment"
            raise FlowjaxError(f"{path}: line {number}: expected {wanted}, got {label!r}")
        rows.append((number, [str(QNLI_LABELS[label]), *texts]))
    return _pairs(rows, path)


def read_sts_year(folder: Path) -> tuple[dict[str, Pairs], list[str]]:
    """Returns the subsets of one year of STS, and notes about missing files and scores.

    Each subset is a file `STS.input.NAME.txt` with its gold scores in `STS.gs.NAME.txt`. An empty
    line in the latter is a pair without a score. The files named `ALL` repeat the other files and
    are ignored.

    Args:
        folder: folder with the files of one year.

    Returns:
        `({NAME: Pairs}, notes)` in the order of the names. The notes list the pairs without a
        score and the gold scores without an input file (STS13's SMT needs a licence).

    Raises:
        FlowjaxError: Gold scores are missing or do not match the pairs, or there are no pairs.
    """
    inputs, golds = _named(folder, "STS.input."), _named(folder, "STS.gs.")
    notes = [
        f"{name}: gold scores but no input file ({path}), so this subset is omitted"
        for name, path in golds.items()
        if name not in inputs
    ]
    subsets = {}
    for name, path in inputs.items():
        gold = golds.get(name)
        if gold is None:
            raise FlowjaxError(f"{path}: expected gold scores in STS.gs.{name}.txt, got no file")
        lines, scores = _lines(path), _lines(gold)
        n, m = len(lines), len(scores)
        if n != m:
            raise FlowjaxError(f"{gold}: expected {n} gold scores for {path}, got {m}")
        # STS16 has two further columns, the sources of the sentences.
        cells = ([x, *line.split("\t")[:2]] for x, line in zip(scores, lines, strict=True))
        pairs = _pairs(enumerate(cells, 1), path, gold)
        if pairs.skipped:
            notes.append(
                f"{name}: {pairs.skipped} of {n} pairs have no gold score and are skipped"
            )
        if len(pairs):
            subsets[name] = pairs
    if not subsets:
        raise FlowjaxError(f"{folder}: expected pairs with gold scores, got none")
    return subsets, notes


def load_pairs(path: str | Path, *, name: str | None = None, split: str = "test") -> PairTask:
    r"""Returns the labelled pairs of a user's file as a task with one split and one subset.

    Args:
        path: `.tsv` (cells are never quoted) or `.csv` with a header that has the columns `score`,
            `sentence1` and `sentence2`, or `.jsonl` with these keys. Scores may have any scale. A
            row with an empty or null score is skipped and counted.
        name: name of the task; the file name without its suffix by default.
        split: name of the split.

    Raises:
        FlowjaxError: A column, a score or a sentence is missing or malformed; the message names
            the file and the line.

    Example:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "mine.tsv"
        >>> _ = path.write_text("score\tsentence1\tsentence2\n4.5\tHello.\tHi.\n")
        >>> load_pairs(path).pairs("test").gold
        array([4.5])
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".tsv", ".txt", ".csv", ".jsonl"):
        raise FlowjaxError(f"{path}: expected a .tsv, .csv or .jsonl file, got {path.suffix!r}")
    lines = suffix == ".jsonl"
    rows = _json_rows(path) if lines else _table(path, _COLUMNS, tabs=suffix != ".csv")
    pairs = _pairs(rows, path)
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


def _table(path: Path, wanted: tuple[str, ...], *, tabs: bool = True) -> Iterator[Row]:
    header, rows = read_table(_lines(path), path, tabs=tabs)
    names = [name.strip() for name in header]
    if not set(wanted) <= set(names):
        raise FlowjaxError(f"{path}: line 1: expected columns {', '.join(wanted)}, got {header}")
    places = [names.index(name) for name in wanted]
    for number, cells in rows:
        yield number, [cells[place] for place in places]


def _json_rows(path: Path) -> Iterator[Row]:
    for number, row in read_json(_lines(path), path):
        if not isinstance(row, dict) or not set(_COLUMNS) <= set(row):
            got = str(row)[:80]
            raise FlowjaxError(f"{path}: line {number}: expected keys {_COLUMNS}, got {got}")
        score = "" if row["score"] is None else str(row["score"])
        yield number, [score, *(json_text(row[k], path, number, repr(k)) for k in _COLUMNS[1:])]


def _pairs(rows: Iterable[Row], path: Path, gold_path: Path | None = None) -> Pairs:
    scored, gold, unscored = [], [], []
    for number, cells in rows:
        where = f"{path}: line {number}: expected"
        if len(cells) < 3:
            raise FlowjaxError(f"{where} a score and two sentences, got {len(cells)} cells")
        score, first, second = (cell.strip() for cell in cells)
        if not score:
            unscored.append((first, second))
            continue
        gold.append(_score(score, gold_path or path, number))
        if not first or not second:
            raise FlowjaxError(f"{where} two sentences, got an empty sentence")
        scored.append((first, second))
    firsts, seconds = zip(*scored, strict=True) if scored else ((), ())
    return Pairs(firsts, seconds, np.array(gold), tuple(unscored))


def _score(text: str, path: Path, number: int) -> float:
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise FlowjaxError(f"{path}: line {number}: expected a number as the score, got {text!r}")
    return score
