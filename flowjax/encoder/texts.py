"""Input sentences of a sentence model: conversion to a list of strings, and their check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flowjax.errors import FlowjaxError


def texts_of(inputs: Any) -> list[Any]:
    """Returns the strings of an iterable; data loaders of mteb yield batches `{"text": [...]}`.

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


def check_sentences(sentences: Iterable[Any]) -> None:
    """Checks that all sentences are strings.

    Raises:
        FlowjaxError: a sentence is not a string; the message has the index of the first one.
    """
    for i, sentence in enumerate(sentences):
        if not isinstance(sentence, str):
            raise FlowjaxError(
                f"sentences: expected strings, got {type(sentence).__name__} at {i}"
            )
