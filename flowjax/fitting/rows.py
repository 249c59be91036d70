"""Training and validation sources of a fit, made from the arguments of `fit`."""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np

from flowjax.data.arrays import ArraySource, float_dtype, open_rows, selected
from flowjax.data.columns import ROWS, discrete_columns, rounded_columns
from flowjax.data.part import Part
from flowjax.data.shard_source import ShardSource, open_examples
from flowjax.data.shuffle import shuffled
from flowjax.errors import FlowjaxError, check_number


def rows_of(
    data: Any, context: Any, dim: int, name: str = "data", weights: Any = None
) -> ArraySource:
    """Returns the data as an `ArraySource` and checks its dimension.

    Args:
        data: array of shape (n, dim), a path, see `open_examples`, or an `ArraySource`, which has
            its own context and weights.
        context: array of shape (n, c), or None.
        dim: dimension of the data vectors of the flow.
        name: name of the argument in error messages, "data" or "validation".
        weights: weights of the examples, shape (n,), or None.

    Raises:
        FlowjaxError: The shape is wrong, a number is not finite, or the context or the weights are
            given twice.

    Example:
        >>> rows_of(np.zeros((3, 2)), None, 2).size
        3
    """
    prefix = "" if name == "data" else f"{name}_"
    given = {f"{prefix}context": context, f"{prefix}weights": weights}
    if isinstance(data, ArraySource):
        for argument, value in given.items():
            if value is not None:
                raise FlowjaxError(
                    f"{argument}: expected None because {name} is an ArraySource, got an array; "
                    f"pass the {argument.removeprefix(prefix)} to the ArraySource"
                )
        source = data
    else:
        context_name, weights_name = given
        source = open_examples(
            data,
            None if context is None else _numbers(context, context_name),
            weights=weights,
            name=name,
            context_name=context_name,
            weights_name=weights_name,
        )
    if source.dim != dim:
        raise FlowjaxError(f"{name}: expected (n, {dim}) for this flow, got (n, {source.dim})")
    return source


def held_out(
    source: ArraySource, validation: Any, context: Any, seed: int, weights: Any = None
) -> tuple[ArraySource, ArraySource | None]:
    """Returns the training source, and the validation source or None.

    Args:
        source: source of all examples.
        validation: validation examples in any form that `rows_of` accepts; the fraction of
            `source`, between 0 and 1, to hold out; or None.
        context: context of the validation examples, shape (m, c), or None.
        seed: integer seed of the choice of the held-out fraction.
        weights: weights of the validation examples, shape (m,), or None.

    Raises:
        FlowjaxError: The fraction leaves one of the two sources empty, the validation examples
            have another shape, only one of the two sources has a context, or a context or weights
            are given without an array of validation examples.

    Example:
        >>> rest, held = held_out(ArraySource(np.zeros((10, 2))), 0.2, None, seed=0)
        >>> rest.size, held.size
        (8, 2)
    """
    kinds = (str, PathLike, ArraySource)
    is_rows: bool = isinstance(validation, kinds) or hasattr(validation, "columns")
    given: Any = validation
    if not is_rows and np.ndim(given) == 0:  # a number or None
        for name, value in {"context": context, "weights": weights}.items():
            if value is not None:
                raise FlowjaxError(
                    f"validation_{name}: expected None, because validation is not an array, got "
                    "an array"
                )
        if validation is None:
            return source, None
        return hold_out_fraction(source, check_number("validation", validation), seed)
    held = rows_of(validation, context, source.dim, "validation", weights)
    widths = [_context_width(part) for part in (source, held)]
    if widths[0] != widths[1]:
        expected, got = (f"width {w}" if w else "no context" for w in widths)
        if 0 in widths:
            expected, got = (f"{'a' if w else 'no'} context" for w in widths)
        raise FlowjaxError(f"validation_context: expected {expected} like data, got {got}")
    return source, held


def about_columns(source: ArraySource, discrete: bool = True) -> list[str]:
    """Returns warnings about columns that a density in floating point cannot describe.

    Args:
        source: source of all examples. A part of a source gives no warnings.
        discrete: False omits the warning about discrete columns.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(90, 2))
        >>> about_columns(ArraySource(x)), len(about_columns(ArraySource(x.round())))
        ([], 1)
    """
    warnings = []
    for name, rows in ((source.name, getattr(source, "rows", None)), ("context", source.context)):
        if rows is None and name != "context" and isinstance(source, ShardSource):
            rows = source.take(source.probe(ROWS))["x"]
        if rows is None:
            continue
        dtype = np.dtype(float_dtype(rows.dtype))
        if columns := rounded_columns(rows, dtype):
            warnings.append(
                f"{name}: expected numbers that {dtype.name} can distinguish, got rounding errors "
                f"of more than a thousandth of the spread in {_list(columns)}; subtract a "
                "constant, such as the mean, or enable x64: "
                "jax.config.update('jax_enable_x64', True)"
            )
        if discrete and name != "context" and (columns := discrete_columns(rows)):
            warnings.append(
                f"{name}: expected continuous values, got few distinct or often repeated values "
                f"in {_list(columns)}: their density has no upper limit, so the likelihood of a "
                "flow means little; add noise with flowjax.data.dequantize"
            )
    return warnings


def _list(columns: list[int]) -> str:
    first = ", ".join(map(str, columns[:8]))
    rest = f" and {len(columns) - 8} more" if len(columns) > 8 else ""
    return f"column{'s' if len(columns) > 1 else ''} {first}{rest}"


def _numbers(context: Any, name: str) -> np.ndarray:
    """Returns a context as an array; converts bools (one-hot vectors) to floats."""
    array = open_rows(context, name)
    return array.astype(np.float32) if array.dtype == bool else array


def _context_width(source: ArraySource) -> int:
    taken = source.take(np.zeros(1, np.int64))
    return taken["context"].shape[1] if "context" in taken else 0


def hold_out_fraction(
    source: ArraySource, fraction: float, seed: int
) -> tuple[ArraySource, ArraySource]:
    """Splits a source at random into a training source and a held-out source.

    If `source` is resident, both parts are copies in memory. Otherwise, both parts read the rows
    of `source` through a shuffle of the row indices. Shards that cannot be read at random are
    split by row groups, see `ShardSource.split`.

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
    if isinstance(source, ShardSource) and source.order is not None:
        return source.split(cut, seed)
    if source.resident is None:
        return Part(source, cut, source.size, seed=seed), Part(source, 0, cut, seed=seed)
    order = shuffled(np.arange(source.size), source.size, seed=seed)

    return selected(source, order[cut:]), selected(source, order[:cut])
