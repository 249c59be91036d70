"""Input sentences of a sentence model: conversion to a list of strings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def texts_of(inputs: Any) -> list[Any]:
    """Returns the strings of an iterable of strings or batches.

    A batch is a dict `{"text": [...]}`, as data loaders of mteb yield.

    Example:
        >>> texts_of([{"text": ["one", "two"]}, {"text": "three"}])
        ['one', 'two', 'three']
    """
    texts: list[Any] = []
    for item in inputs if inputs is not None else ():
        if isinstance(item, Mapping) and "text" in item:
            text = item["text"]
            texts += [text] if isinstance(text, str) else list(text)
        else:
            texts.append(item)
    return texts
