"""Readers of the benchmark files: STS benchmark, SICK-R, STS12 to STS16, QNLI."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from flowjax.errors import FlowjaxError
from flowjax.evaluation.tasks import Pairs
from flowjax.files.tables import Row, read_cells, read_table
from flowjax.files.text import read_lines

QNLI_LABELS = {"entailment": 1.0, "1": 1.0, "not_entailment": 0.0, "0": 0.0}


def read_stsb(path: Path) -> Pairs:
    """Returns the pairs of an STS benchmark file.

    The columns are genre, file, year, id, score, sentence1, sentence2 [, licence fields]. The file
    is tab-separated in spite of its suffix .csv, and cells are never quoted.
    """
    rows = read_cells(lines_of(path), path, delimiter="\t", literal=True)
    return pairs_of(((n, row[4:7]) for n, row in rows), path)


def read_sick(path: Path) -> Pairs:
    """Returns the pairs of a SICK file: TSV with a header, scores 1 to 5 for relatedness."""
    return pairs_of(_table(path, ("relatedness_score", "sentence_A", "sentence_B")), path)


def read_qnli(path: Path) -> Pairs:
    """Returns the pairs of a GLUE QNLI file (TSV): question, sentence, and 1 for entailment."""
    rows = []
    for number, (label, *texts) in _table(path, ("label", "question", "sentence")):
        if label not in QNLI_LABELS:
            wanted = "the label entailment or not_entailment"
            raise FlowjaxError(f"{path}: line {number}: expected {wanted}, got {label[:60]!r}")
        rows.append((number, [str(QNLI_LABELS[label]), *texts]))
    return pairs_of(rows, path)


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
        lines, scores = lines_of(path), lines_of(gold)
        while lines and not lines[-1].strip():  # a blank line at the end is no pair
            lines.pop()
            if len(scores) > len(lines) and not scores[-1].strip():
                scores.pop()
        n, m = len(lines), len(scores)
        if n != m:
            raise FlowjaxError(f"{gold}: expected {n} gold scores for {path}, got {m}")
        # STS16 has two further columns, the sources of the sentences.
        cells = ([x, *line.split("\t")[:2]] for x, line in zip(scores, lines, strict=True))
        pairs = pairs_of(enumerate(cells, 1), path, gold)
        if pairs.skipped:
            notes.append(
                f"{name}: {pairs.skipped} of {n} pairs have no gold score and are skipped"
            )
        if len(pairs):
            subsets[name] = pairs
    if not subsets:
        raise FlowjaxError(f"{folder}: expected pairs with gold scores, got none")
    return subsets, notes


def lines_of(path: Path) -> list[str]:
    """Returns the lines of a text file that is not empty."""
    lines = list(read_lines(path))
    if not lines:
        raise FlowjaxError(f"{path}: expected lines of text, got an empty file")
    return lines


def _named(folder: Path, prefix: str) -> dict[str, Path]:
    found = {p.name[len(prefix) : -4]: p for p in sorted(folder.glob(f"{prefix}*.txt"))}
    found.pop("ALL", None)
    return found


def _table(path: Path, wanted: tuple[str, ...]) -> Iterator[Row]:
    header, rows = read_table(lines_of(path), path, delimiter="\t", literal=True)
    names = [name.strip() for name in header]
    if not set(wanted) <= set(names):
        raise FlowjaxError(f"{path}: line 1: expected columns {', '.join(wanted)}, got {header}")
    places = [names.index(name) for name in wanted]
    for number, cells in rows:
        yield number, [cells[place] for place in places]


def pairs_of(rows: Iterable[Row], path: Path, gold_path: Path | None = None) -> Pairs:
    """Returns the pairs of rows with the cells score, first sentence and second sentence.

    A row without a score is an unscored pair.

    Args:
        rows: line numbers and cells.
        path: name of the file in error messages.
        gold_path: name of the file with the scores, if it is another file.

    Raises:
        FlowjaxError: A row has fewer than three cells, a score is not a finite number, or a
            sentence is empty; the message names the line.
    """
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
        got = repr(text[:60])
        raise FlowjaxError(f"{path}: line {number}: expected a number as the score, got {got}")
    return score
