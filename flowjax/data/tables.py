"""Tables in memory as sentences: DataFrames, Hugging Face data sets, pyarrow tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flowjax.errors import FlowjaxError


def is_table(value: Any) -> bool:
    """Returns True for a mapping or an object with named columns, by its attributes.

    The iteration of such an object yields the names of its columns, or dicts.

    Example:
        >>> is_table({"text": ["One."]}), is_table(["One."])
        (True, False)
    """
    return isinstance(value, Mapping) or hasattr(value, "columns") or _has_features(value)


def refuse_table(value: Any) -> None:
    """Raises FlowjaxError if sentences are expected and the value is a table or a mapping."""
    if is_table(value):
        raise FlowjaxError(
            f"sentences: expected strings, got {type(value).__name__} with {_known(value)}; "
            "select one of them"
        )


def table_column(table: Any, column: str | None) -> Iterable[str]:
    """Returns the values of a column: a list, or an iterator of a streamed data set.

    Args:
        table: a DataFrame of pandas or Polars, a `datasets.Dataset` or `IterableDataset`, a
            pyarrow table. A mapping is refused, because a dict of rows and a dict of columns look
            alike.
        column: name of the column.

    Raises:
        FlowjaxError: The table is a mapping, or the column is missing or not given.
    """
    kind = type(table).__name__
    if isinstance(table, Mapping):
        refuse_table(table)
    names = _names(table)
    if column is None or (names is not None and names.count(column) != 1):
        got = "none" if column is None else repr(column)
        if names is not None and names.count(column) > 1:
            got += " several times"
        raise FlowjaxError(f"column: expected one of {_known(table)} of the {kind}, got {got}")
    if _has_features(table) and not hasattr(table, "num_rows"):
        return _streamed(table, column, kind)
    try:
        values = table[column]
    except TypeError:  # a lazy table
        raise FlowjaxError(f"column: expected a table in memory, got {kind}") from None
    return list(values.to_pylist() if hasattr(values, "to_pylist") else values)


def _streamed(rows: Iterable[Mapping[str, str]], column: str, kind: str) -> Iterator[str]:
    for row in rows:
        if column not in row:
            raise FlowjaxError(
                f"column: expected one of {_known(row)} of the {kind}, got {column!r}"
            )
        yield row[column]


def _has_features(value: Any) -> bool:
    """Returns True for data sets of the package `datasets` and for pyarrow tables."""
    return hasattr(value, "column_names")


def _names(table: Any) -> list[Any] | None:
    """Returns the names of the columns, or None if they are unknown."""
    if isinstance(table, Mapping):
        return list(table)
    # A pyarrow table has both attributes, and its `columns` are arrays.
    names = getattr(table, "column_names", getattr(table, "columns", None))
    return None if names is None else list(names)


def _known(table: Any) -> str:
    names = _names(table)
    if not names:
        return "the columns"
    some = ", ".join(repr(name) for name in names[:8])
    word = "keys" if isinstance(table, Mapping) else "columns"
    return f"the {word} {some}{', ...' if len(names) > 8 else ''}"
