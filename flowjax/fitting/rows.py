"""Training and validation sources of a fit, made from the arguments of `fit`."""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np

from flowjax.data.arrays import ArraySource, open_rows
from flowjax.data.part import Part
from flowjax.data.shuffle import shuffled
from flowjax.types import FlowjaxError


def rows_of(data: Any, context: Any, dim: int, name: str = "data") -> ArraySource:
    """Returns the data as an `ArraySource` and checks its dimension.

    Args:
        data: array of shape (n, dim), a path, or an `ArraySource`, which has its own context.
        context: array of shape (n, c), or None.
        dim: dimension of the data vectors of the flow.
        name: name of the argument in error messages.

    Raises:
        FlowjaxError: The shape is wrong, a number is not finite, or the context is given twice.

    Example:
        >>> rows_of(np.zeros((3, 2)), None, 2).size
        3
    """
    if isinstance(data, ArraySource):
        if context is not None:
            raise FlowjaxError(
                f"context: expected None because {name} is an ArraySource, got an array; pass the "
                "context to the ArraySource"
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
    """Returns the training source, and the validation source or None.

    Args:
        source: source of all examples.
        validation: validation examples in any form that `rows_of` accepts; the fraction of
            `source`, between 0 and 1, to hold out; or None.
        context: context of the validation examples, shape (m, c), or None.
        seed: integer seed of the choice of the held-out fraction.

    Raises:
        FlowjaxError: The fraction leaves one of the two sources empty, the validation examples
            have another shape, only one of the two sources has a context, or a context is given
            without an array of validation examples.

    Example:
        >>> rest, held = held_out(ArraySource(np.zeros((10, 2))), 0.2, None, seed=0)
        >>> rest.size, held.size
        (8, 2)
    """
    fraction = (
        not isinstance(validation, str | PathLike | ArraySource) and np.ndim(validation) == 0
    )
    if fraction:  # a number or None
        if context is not None:
            raise FlowjaxError(
                "validation_context: expected None, because validation is not an array, got an "
                "array"
            )
        if validation is None:
            return source, None
        return hold_out_fraction(source, float(validation), seed)
    held = rows_of(validation, context, source.dim, "validation")
    if has_context(held) != has_context(source):
        expected, got = ("a", "no") if has_context(source) else ("no", "a")
        raise FlowjaxError(
            f"validation_context: expected {expected} context like data, got {got} context"
        )
    return source, held


def _numbers(context: Any) -> np.ndarray:
    """Returns a context as an array; converts bools (one-hot vectors) to floats."""
    array = np.asarray(context)
    return array.astype(np.float32) if array.dtype == bool else array


def has_context(source: ArraySource) -> bool:
    """Returns True if the examples have a context.

    Example:
        >>> has_context(ArraySource(np.zeros((2, 3)), np.ones((2, 1))))
        True
    """
    return "context" in source.take(np.zeros(1, np.int64))


def hold_out_fraction(
    source: ArraySource, fraction: float, seed: int
) -> tuple[ArraySource, ArraySource]:
    """Splits a source at random into a training source and a held-out source.

    If `source` is resident, both parts are copies in memory. Otherwise, both parts read the rows
    of `source` through a shuffle of the row indices.

    Args:
        source: source of all examples.
        fraction: fraction of the examples to hold out, between 0 and 1.
        seed: integer seed of the choice.

    Returns:
        `(training source, held-out source)`.

    Raises:
        FlowjaxError: The fraction leaves one of the two sources empty.

    Example:
        >>> [part.size for part in hold_out_fraction(ArraySource(np.zeros((9, 2))), 1 / 3, seed=0)]
        [6, 3]
    """
    cut = round(fraction * source.size) if 0 < fraction < 1 else 0
    if not 0 < cut < source.size:
        raise FlowjaxError(
            f"validation: expected a fraction between 0 and 1 that splits {source.size} examples, "
            f"got {fraction}"
        )
    if source.resident is None:
        return Part(source, cut, source.size, seed=seed), Part(source, 0, cut, seed=seed)
    order = shuffled(np.arange(source.size), source.size, seed=seed)

    def take(rows: np.ndarray) -> ArraySource:
        part = source.take(rows)
        return ArraySource(part["x"], part.get("context"))

    return take(order[cut:]), take(order[:cut])
