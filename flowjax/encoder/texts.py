"""Input sentences of a sentence model: conversion to a list of strings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowjax.data.tables import refuse_table
from flowjax.errors import FlowjaxError


def texts_of(inputs: Any) -> list[Any]:
    """Returns the strings of an iterable of strings or batches.

    A batch is a dict `{"text": [...]}`, as data loaders of mteb yield.

    Example:
        >>> texts_of([{"text": ["one", "two"]}, {"text": "three"}])
        ['one', 'two', 'three']

    Raises:
        FlowjaxError: The argument is not iterable, or is a table, a mapping or bytes.
    """
    refuse_table(inputs)
    try:
        items = None if isinstance(inputs, (bytes, bytearray)) else iter(inputs)
    except TypeError:
        items = None
    if items is None:
        kind = type(inputs).__name__
        raise FlowjaxError(f"sentences: expected a string or an iterable of strings, got {kind}")
    texts: list[Any] = []
    for item in items:
        if isinstance(item, Mapping) and "text" in item:
            text = item["text"]
            texts += [text] if isinstance(text, str) else list(text)
        else:
            texts.append(item)
    return texts
