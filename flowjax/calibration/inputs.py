"""Input of a check: vectors to fit on, held-out vectors, and related pairs of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from flowjax.bijectors.moments import moments_of
from flowjax.calibration.candidates import closed_form_candidates, transformed
from flowjax.calibration.pairs import Pairs
from flowjax.calibration.select import LEAST_SENTENCES, PairVectors, pairs_of
from flowjax.data.arrays import check_rows
from flowjax.data.documents import Documents
from flowjax.errors import FlowjaxError
from flowjax.evaluation.retrieval import measures

# Fractions of the sentences that the calibrations are fitted on and that choose the best one. The
# rest measures its advantage, so that the choice does not bias the measurement.
FIT, CHOOSE = 0.6, 0.2
# Fewer documents are cut into blocks of consecutive sentences before they are divided.
LEAST_DOCUMENTS, BLOCK = 30, 20
# Fewest pairs of a part, and lowest AUC of neighbouring sentences that count as related.
LEAST_PAIRS, LEAST_AUC = 40, 55.0
# Rows that each part needs.
LEAST_ROWS = 20

Rows = Sequence[int] | range
Encode = Callable[[list[str]], np.ndarray]


class Inputs(NamedTuple):
    """Vectors and related pairs.

    Attributes:
        fit: plain vectors to fit on, shape (n, dim).
        held: held-out plain vectors, shape (m, dim).
        choose: plain vectors of the pairs that choose the best calibration, by kind.
        measure: plain vectors of the pairs that measure it, by kind; both are empty if there are
            no related pairs.
        texts: sentences of the held-out vectors, or None.
        notes: sentences about the data for the reader, such as the size of a sample.
    """

    fit: np.ndarray
    held: np.ndarray
    choose: dict[str, PairVectors]
    measure: dict[str, PairVectors]
    texts: list[str] | None
    notes: list[str]


def inputs_of_text(found: Documents, encode: Encode, seed: int) -> Inputs:
    """Returns the inputs of a check of documents of sentences.

    The pairs that choose are those of `select`, so that a fit with the flow "auto" chooses by the
    same criterion. The pairs that measure are neighbouring sentences; without documents, or if
    the neighbours are unrelated, they are of the same kind as the pairs that choose.

    Args:
        found: documents.
        encode: function from n texts to vectors, shape (n, dim).
        seed: integer seed of the division and of the dropped words.

    Raises:
        FlowjaxError: The vectors are not finite or all equal, or the encoder fails.
    """
    sentences = found.sentences
    parts = divide(in_blocks(_ranges(map(len, found.documents))), seed)
    vectors = checked_vectors(encode(sentences), found.name)
    rows = [flat(part) for part in parts]
    fit, held = vectors[rows[0]], vectors[rows[1] + rows[2]]
    texts = [sentences[i] for i in rows[1] + rows[2]]
    notes = notes_of(found)
    near: list[dict[str, PairVectors]] = [{}, {}]
    if found.known:
        near, note = neighbour_pairs(vectors, parts, fit)
        notes += [note] if note else []
    made = [
        pairs_of([sentences[i] for i in some], seed) if wanted else []
        for some, wanted in zip(rows[1:], (True, not near[1]), strict=True)
    ]
    wanted = list(dict.fromkeys(t for some in made for p in some for t in (*p.left, *p.right)))
    coded = encode(wanted) if wanted else vectors[:0]
    place = {text: i for i, text in enumerate(wanted)}
    choose, measure = ({p.kind: _vectors_of(p, coded, place) for p in some} for some in made)
    choose, measure = choose or near[0], measure or near[1]
    if not choose or not measure:
        notes.append("The sentences are too short to make related pairs of them.")
        choose, measure = {}, {}
    return Inputs(fit, held, choose, measure, texts, notes)


def divide(documents: Sequence[Rows], seed: int) -> list[list[Rows]]:
    """Divides documents at random into the parts to fit on, to choose by and to measure on.

    Args:
        documents: rows of each document.
        seed: integer seed.

    Returns:
        Three lists of documents, with about 60, 20 and 20 % of the rows.

    Example:
        >>> [len(part) for part in divide([[i] for i in range(100)], seed=0)]
        [60, 20, 20]
    """
    total = sum(map(len, documents))
    parts: list[list[Rows]] = [[], [], []]
    done = 0
    for i in np.random.default_rng(seed).permutation(len(documents)).tolist():
        middle = (done + len(documents[i]) / 2) / total
        parts[0 if middle < FIT else 1 if middle < FIT + CHOOSE else 2].append(documents[i])
        done += len(documents[i])
    return parts


def in_blocks(documents: Sequence[Rows]) -> list[Rows]:
    """Returns the documents, or blocks of consecutive rows of them if there are few documents.

    Example:
        >>> [len(block) for block in in_blocks([range(50)])]
        [20, 20, 10]
    """
    if len(documents) >= LEAST_DOCUMENTS:
        return list(documents)
    return [rows[i : i + BLOCK] for rows in documents for i in range(0, len(rows), BLOCK)]


def notes_of(found: Documents) -> list[str]:
    """Returns sentences about documents: their number, and whether they are a sample."""
    units = {"block": "documents (texts between blank lines)", "text": "documents (one per text)"}
    count = f"{len(found.sentences):,} different sentences"
    if found.known:
        count += f" of {len(found.documents):,} {units[found.unit]}"
    sample = "" if found.complete else f", a random sample of the {found.read:,} texts read"
    repeated = f"; {found.repeated:,} repeated sentences omitted" if found.repeated else ""
    return [f"{count}{sample}{repeated}."]


def enough(count: int, name: str, what: str) -> None:
    """Raises FlowjaxError if there are fewer than `LEAST_SENTENCES` rows or sentences."""
    if count < LEAST_SENTENCES:
        raise FlowjaxError(f"{name}: expected at least {LEAST_SENTENCES} {what}, got {count}")


def flat(documents: Iterable[Rows]) -> list[int]:
    """Returns the rows of all documents."""
    return [row for rows in documents for row in rows]


def neighbour_pairs(
    vectors: np.ndarray, parts: list[list[Rows]], fit: np.ndarray
) -> tuple[list[dict[str, PairVectors]], str]:
    """Returns the neighbouring rows of the parts that choose and that measure.

    Args:
        vectors: vectors of all rows.
        parts: documents of the three parts.
        fit: vectors to fit on.

    Returns:
        The pairs under the key "neighbours", or empty dicts and the reason for them.
    """
    found = []
    for part in parts[1:]:
        both = [(rows[i], rows[i + 1]) for rows in part for i in range(0, len(rows) - 1, 2)]
        left, right = np.array(both, int).reshape(-1, 2).T
        found.append((vectors[left], vectors[right]))
    count = min(len(left) for left, _ in found)
    if count < LEAST_PAIRS:
        return [{}, {}], f"Too few neighbouring sentences to measure on ({count} pairs)."
    # The best transformation decides, because few directions can hide the relation.
    candidates = closed_form_candidates(moments_of([fit], fit.shape[1]), (1.0,))
    sides = [np.concatenate(side) for side in zip(*found, strict=True)]
    auc = max(measures(left, right)["auc"] for _, (left, right) in transformed(candidates, sides))
    if auc < LEAST_AUC:
        return [{}, {}], f"Neighbouring sentences are as similar as random ones (AUC {auc:.0f})."
    return [{"neighbours": pair} for pair in found], ""


def _vectors_of(pairs: Pairs, vectors: np.ndarray, place: dict[str, int]) -> PairVectors:
    left, right = ([place[text] for text in side] for side in (pairs.left, pairs.right))
    return vectors[left], vectors[right]


def _ranges(lengths: Iterable[int]) -> list[Rows]:
    ends = np.cumsum([0, *lengths]).tolist()
    return [range(a, b) for a, b in pairwise(ends)]


def checked_vectors(vectors: np.ndarray, name: str) -> np.ndarray:
    """Returns the vectors in float32; raises FlowjaxError if they are not finite or all equal."""
    vectors = np.asarray(check_rows(vectors, name), np.float32)
    if vectors.shape[1] < 2:
        raise FlowjaxError(f"{name}: expected at least 2 dimensions, got {vectors.shape}")
    if (vectors == vectors[0]).all():
        raise FlowjaxError(f"{name}: expected vectors that differ, got all rows equal")
    return vectors
