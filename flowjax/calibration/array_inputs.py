"""Input of a check that consists of vectors instead of text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from flowjax.calibration.inputs import (
    FIT,
    LEAST_PAIRS,
    Inputs,
    Rows,
    checked_vectors,
    divide,
    enough,
    flat,
    in_blocks,
    neighbour_pairs,
)
from flowjax.calibration.select import PairVectors
from flowjax.data.arrays import check_rows, open_rows
from flowjax.errors import FlowjaxError


def inputs_of_array(
    data: Any,
    *,
    neighbours: bool = False,
    documents: Any = None,
    pairs: Sequence[Any] | None = None,
    most: int,
    seed: int,
    name: str = "array",
) -> Inputs:
    """Returns the inputs of a check of vectors.

    Args:
        data: vectors, see `open_rows`; None to use the vectors of the pairs.
        neighbours: True if rows that follow each other are neighbouring sentences.
        documents: number of the document of each row, shape (n,); its rows are neighbours. None
            if it is unknown.
        pairs: two arrays of the same shape, whose rows are related pairs; or None.
        most: largest number of vectors to use.
        seed: integer seed of the sample and of the division.
        name: name of the vectors in error messages.

    Raises:
        FlowjaxError: The data cannot be read, is not finite, or has too few different rows; or
            the dimensions differ.
    """
    rng, notes = np.random.default_rng(seed), list[str]()
    given = None if pairs is None else _pair_arrays(pairs, most // 4, rng)
    if data is None:
        if given is None:
            raise FlowjaxError("sentences: expected text, an array or pairs, got none")
        rows = np.concatenate(given)
    else:
        rows = check_rows(open_rows(data, name), name)
        if given is not None and given[0].shape[1] != rows.shape[1]:
            raise FlowjaxError(
                f"pairs: expected dimension {rows.shape[1]} like {name}, got {given[0].shape[1]}"
            )
    total = len(rows)
    groups = _groups(total, neighbours, documents)
    groups = _sampled(groups, most, rng)
    kept = np.array(flat(groups))
    if len(kept) < total:
        notes.append(f"Random sample of {len(kept):,} of {total:,} rows.")
    vectors = checked_vectors(np.asarray(rows[np.sort(kept)]), name)
    enough(len({row.tobytes() for row in vectors}), name, "different rows")
    places = {row: i for i, row in enumerate(np.sort(kept).tolist())}
    parts = divide([[places[i] for i in rows] for rows in groups], seed)
    fit, held = vectors[flat(parts[0])], vectors[flat(parts[1] + parts[2])]
    choose: dict[str, PairVectors] = {}
    measure: dict[str, PairVectors] = {}
    if given is None and (neighbours or documents is not None):
        (choose, measure), note = neighbour_pairs(vectors, parts, fit)
        notes += [note] if note else []
    if given is not None:
        left, right = given
        order = rng.permutation(len(left))
        first = int(FIT * len(order)) if data is None else 0
        middle = first + (len(order) - first) // 2
        if len(order) - middle < LEAST_PAIRS:
            least = 2 * LEAST_PAIRS if data is not None else round(2 * LEAST_PAIRS / (1 - FIT))
            raise FlowjaxError(f"pairs: expected at least {least} pairs, got {len(order)}")
        choose = {"pairs": (left[order[first:middle]], right[order[first:middle]])}
        measure = {"pairs": (left[order[middle:]], right[order[middle:]])}
        if data is None:
            fit = np.concatenate([left[order[:first]], right[order[:first]]])
            held = np.concatenate([left[order[first:]], right[order[first:]]])
    return Inputs(fit, held, choose, measure, None, notes)


def _pair_arrays(
    pairs: Sequence[Any], most: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    if len(pairs) != 2:
        raise FlowjaxError(f"pairs: expected two arrays, left and right, got {len(pairs)}")
    left, right = (
        check_rows(open_rows(side, f"pairs, {where}"), f"pairs, {where}")
        for side, where in zip(pairs, ("left", "right"), strict=True)
    )
    if left.shape != right.shape:
        raise FlowjaxError(f"pairs: expected arrays of one shape, got {left.shape}, {right.shape}")
    rows = np.sort(rng.permutation(len(left))[: max(most, 1)])
    return np.asarray(left[rows]), np.asarray(right[rows])


def _groups(total: int, neighbours: bool, documents: Any) -> list[Rows]:
    """Returns the rows of each document; each row alone if neighbours are unknown."""
    if documents is not None:
        ids = np.asarray(open_rows(documents, "documents")).ravel()
        if len(ids) != total:
            raise FlowjaxError(f"documents: expected {total} numbers, got {len(ids)}")
        ends = [0, *(np.flatnonzero(ids[1:] != ids[:-1]) + 1).tolist(), total]
        return in_blocks([range(a, b) for a, b in pairwise(ends)])
    return in_blocks([range(total)]) if neighbours else [range(i, i + 1) for i in range(total)]


def _sampled(groups: list[Rows], most: int, rng: np.random.Generator) -> list[Rows]:
    found, rows = [], 0
    for i in rng.permutation(len(groups)).tolist():
        if rows >= most:
            break
        found.append(groups[i])
        rows += len(groups[i])
    return found
