"""Rows of sentences and labels, from the columns of the files of a source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

from flowjax.errors import FlowjaxError
from flowjax.files.tables import json_text
from flowjax.finetuning.detokenize import detokenize, is_tokenized
from flowjax.finetuning.nli import CLASSES
from flowjax.finetuning.pair_files import Record, pair_files, read_records


class Columns(NamedTuple):
    """Possible names of the columns of a kind of files, in order of preference.

    Attributes:
        texts: names of each sentence.
        label: names of the label; empty for files without labels.
        optional: number of sentences at the end that a file may lack.
    """

    texts: tuple[tuple[str, ...], ...]
    label: tuple[str, ...] = ()
    optional: int = 0


LABELLED = Columns(
    (("sentence1", "premise"), ("sentence2", "hypothesis")), ("gold_label", "label")
)
TRIPLETS = Columns(
    (("anchor", "sent0", "query"), ("positive", "sent1"), ("negative", "hard_neg")), optional=1
)
# Label of a row of a file without labels.
NO_LABEL = object()
_UNDECIDED = ("-", "", "-1", "none")
# Rows of a file from which a tokenization is detected.
_PROBED = 1000


class Row(NamedTuple):
    """Sentences and label of a row.

    Attributes:
        where: file and line, for error messages.
        texts: sentences; only the third one may be empty.
        label: value in the file, or `NO_LABEL`.
    """

    where: str
    texts: list[str]
    label: Any


def read_rows(
    source: str,
    kinds: Sequence[Columns],
    left_out: Counter[str],
    *,
    columns: Sequence[str] = (),
    joined: bool | None = None,
) -> Iterator[Row]:
    """Yields the rows of the files of a source.

    Rows of a split other than `train` (AllNLI has a column `split`) and rows with an empty
    sentence are counted in `left_out`.

    Args:
        source: files, patterns, folders or `tfds:NAME`, see `pair_files.pair_files`.
        kinds: possible columns; the first kind that a file has is used.
        left_out: counts by reason, which the function updates.
        columns: names of the columns that replace the default names.
        joined: True joins the tokens of a Penn Treebank tokenization, False does not; None does so
            for files in which most sentences end with a space and a full stop.

    Raises:
        FlowjaxError: A file cannot be read, a column is missing, or a value is not text.
    """
    for name in pair_files(source):
        rows = _chosen(read_records(name), kinds, columns, left_out)
        head = list(islice(rows, _PROBED))
        join = joined
        if join is None:
            join = is_tokenized([text for row in head for text in row.texts])
        change: Callable[[str], str] = detokenize if join else str.strip
        for row in chain(head, rows):
            yield row._replace(texts=[change(text) for text in row.texts])


def _chosen(
    records: Iterable[Record],
    kinds: Sequence[Columns],
    columns: Sequence[str],
    left_out: Counter[str],
) -> Iterator[Row]:
    texts: list[str] = []
    label: str | None = None
    for where, record in records:
        if not texts:  # the first record of the file
            chosen = [_named(record, columns, kinds)] if columns else kinds
            texts, label = _pick(record, chosen, where)
        if missing := [n for n in (*texts, label) if n is not None and n not in record]:
            got = ", ".join(record)[:200] or "none"
            raise FlowjaxError(f"{where}: expected a column {missing[0]!r}, got {got}")
        if record.get("split", "train") != "train":
            left_out["of other splits"] += 1
            continue
        found = [json_text(record[name], where, repr(name)) for name in texts]
        if not all(map(str.strip, found[:2])):
            left_out["with an empty sentence"] += 1
            continue
        yield Row(where, found, NO_LABEL if label is None else record[label])


def _pick(
    record: dict[str, Any], kinds: Sequence[Columns], where: str
) -> tuple[list[str], str | None]:
    """Returns the names of the sentences' columns and of the label's column in a record."""
    for kind in kinds:
        found = [next((n for n in each if n in record), None) for each in kind.texts]
        needed = found[: len(found) - kind.optional]
        label = next((n for n in kind.label if n in record), None)
        if None not in needed and (label or not kind.label):
            return [name for name in found if name is not None], label
    shown = [
        ", ".join(" or ".join(each) for each in (*kind.texts, kind.label) if each)
        for kind in kinds
    ]
    got = ", ".join(record)[:200] or "none"
    raise FlowjaxError(
        f"{where}: expected the columns {'; or '.join(shown)}; got {got}; give other names with "
        "data.columns"
    )


def _named(record: dict[str, Any], columns: Sequence[str], kinds: Sequence[Columns]) -> Columns:
    """Returns the columns of the user's names; a third one with labels is the label."""
    texts = tuple((name,) for name in columns)
    if len(columns) not in (2, 3) or (TRIPLETS not in kinds and len(columns) < 3):
        raise FlowjaxError(
            "data.columns: expected the names of two sentences and a label, or of anchor, "
            f"positive and negative, got {','.join(columns)!r}"
        )
    known = (*CLASSES, *_UNDECIDED, "0", "1", "2")
    last = str(record.get(columns[-1], "")).strip().lower()
    if len(columns) == 3 and (TRIPLETS not in kinds or last in known):
        return Columns(texts[:2], texts[2])
    return Columns(texts)


def label_of(value: Any, where: str) -> int | None:
    """Returns the index in `CLASSES` of a label; None if the annotators gave none.

    Integers have the order of Hugging Face's and TensorFlow's data sets: 0 is entailment, 1
    neutral, 2 contradiction, and -1 no label.

    Example:
        >>> label_of("contradiction", "a"), label_of(0, "a"), label_of("-", "a")
        (2, 0, None)
        >>> label_of("maybe", "a.jsonl: line 3")
        Traceback (most recent call last):
            ...
        flowjax.errors.FlowjaxError: a.jsonl: line 3: expected a label among entailment, neutral, \
contradiction, 0, 1, 2, got 'maybe'
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = "" if value is None else str(value).strip().lower()
    if text in _UNDECIDED:
        return None
    if text in CLASSES:
        return CLASSES.index(text)
    if text in ("0", "1", "2"):
        return int(text)
    expected = ", ".join([*CLASSES, "0", "1", "2"])
    raise FlowjaxError(f"{where}: expected a label among {expected}, got {str(value)[:60]!r}")
