"""What a fit trains on and what it validates on: sources from what a user hands over."""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np

from flowjax.data.arrays import ArraySource, Part, open_rows
from flowjax.data.shuffle import shuffled
from flowjax.types import FlowjaxError


def rows_of(data: Any, context: Any, dim: int, name: str = "data") -> ArraySource:
    """Returns a source of rows that are as wide as the flow.

    Args:
        data: an array `(n, dim)`, a path, or an `ArraySource`, which brings its own context.
        context: `(n, c)` or None.
        dim: of the flow.
        name: of the argument, for errors.

    Raises:
        ValueError: another shape, numbers that are not finite, a context given twice.

    Example:
        >>> rows_of(np.zeros((3, 2)), None, 2).size
        3
    """
    if isinstance(data, ArraySource):
        if context is not None:
            raise FlowjaxError(
                f"context: expected none beside {name} that is a source; give it to ArraySource"
            )
        source = data
    else:
        rows = open_rows(data, name)
        source = ArraySource(rows, None if context is None else _numbers(context))
    if source.dim != dim:
        raise FlowjaxError(f"{name}: expected (n, {dim}) for this flow, got (n, {source.dim})")
    return source


def held_out(
    source: ArraySource, validation: Any, context: Any, seed: int
) -> tuple[ArraySource, ArraySource | None]:
    """Returns `(rows to train on, rows to validate on or None)`.

    Args:
        source: all rows.
        validation: others like them, in any form that data may have; a share of `source`,
            strictly between 0 and 1, drawn by `seed`; or None.
        context: of validation rows, `(m, c)` or None.
        seed: of the share.

    Raises:
        ValueError: a share that leaves nothing to one of the two; validation rows of another
            shape, or without a context where the others have one; a context without rows.

    Example:
        >>> rest, held = held_out(ArraySource(np.zeros((10, 2))), 0.2, None, seed=0)
        >>> rest.size, held.size
        (8, 2)
    """
    share = not isinstance(validation, str | PathLike | ArraySource) and np.ndim(validation) == 0
    if share:  # None as well
        if context is not None:
            raise FlowjaxError("validation_context: expected rows in validation beside it")
        if validation is None:
            return source, None
        return keep_aside(source, float(validation), seed)
    held = rows_of(validation, context, source.dim, "validation")
    if has_context(held) != has_context(source):
        expected = "one, as data has one" if has_context(source) else "none, as data has none"
        raise FlowjaxError(f"validation_context: expected {expected}")
    return source, held


def _numbers(context: Any) -> np.ndarray:
    """Returns a context as an array; one-hot ones may be of bools."""
    array = np.asarray(context)
    return array.astype(np.float32) if array.dtype == bool else array


def has_context(source: ArraySource) -> bool:
    """Whether rows come with a context.

    Example:
        >>> has_context(ArraySource(np.zeros((2, 3)), np.ones((2, 1))))
        True
    """
    return "context" in source.take(np.zeros(1, np.int64))


def keep_aside(source: ArraySource, share: float, seed: int) -> tuple[ArraySource, ArraySource]:
    """Splits a source by a shuffle of its rows into `(the rest, the share)`.

    Both are in memory where the source is; else both are read through the shuffle.

    Raises:
        FlowjaxError: a share that leaves nothing to one of the two.

    Example:
        >>> [part.size for part in keep_aside(ArraySource(np.zeros((9, 2))), 1 / 3, seed=0)]
        [6, 3]
    """
    cut = round(share * source.size) if 0 < share < 1 else 0
    if not 0 < cut < source.size:
        raise FlowjaxError(
            f"validation: expected a share of {source.size} rows between 0 and 1, got {share}"
        )
    if source.resident is None:
        return Part(source, cut, source.size, seed=seed), Part(source, 0, cut, seed=seed)
    order = shuffled(np.arange(source.size), source.size, seed=seed)

    def take(rows: np.ndarray) -> ArraySource:
        part = source.take(rows)
        return ArraySource(part["x"], part.get("context"))

    return take(order[cut:]), take(order[:cut])
