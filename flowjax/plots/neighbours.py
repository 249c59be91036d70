"""Nearest sentences of queries under several kinds of vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flowjax.errors import FlowjaxError
from flowjax.evaluation.correlation import check_vectors
from flowjax.plots._style import check_kinds


def nearest_neighbours(
    sentences: Sequence[str],
    vectors: Mapping[str, np.ndarray],
    queries: Sequence[int],
    *,
    k: int = 3,
) -> list[dict[str, Any]]:
    """Returns the nearest sentences by cosine similarity for each kind of vectors.

    Args:
        sentences: n sentences. Duplicates of the query, and duplicates of neighbours that are
            already in the list, are skipped.
        vectors: vectors, shape `(n, d)`, without zero rows, for each kind.
        queries: indices of the query sentences.
        k: number of neighbours.

    Returns:
        A dict for each query: `query`, and under each name up to k tuples `(sentence, cosine)`,
        nearest first.

    Raises:
        FlowjaxError: The vectors do not have n rows, or a row is zero.

    Example:
        >>> x = np.array([[1.0, 0.0], [1.0, 0.2], [0.0, 1.0]])
        >>> table = nearest_neighbours(["a", "b", "c"], {"x": x, "y": -x}, [0], k=1)
        >>> table[0]["query"], table[0]["x"][0][0], table[0]["y"][0][0]
        ('a', 'b', 'b')
    """
    rows: list[dict[str, Any]] = [{"query": sentences[i]} for i in queries]
    for name, given in check_kinds("vectors", vectors).items():
        x = check_vectors(name, given)
        if len(x) != len(sentences):
            raise FlowjaxError(f"{name}: expected {len(sentences)} rows, got shape {x.shape}")
        norms = np.linalg.norm(x, axis=1, keepdims=True)
        if (norms == 0.0).any():
            raise FlowjaxError(f"{name}: expected no zero rows, got {(norms == 0.0).sum()}")
        x = x / norms
        for row, i in zip(rows, queries, strict=True):
            cosines = x @ x[i]
            found: dict[str, float] = {}
            for j in np.argsort(-cosines, kind="stable"):
                if len(found) == k:
                    break
                if sentences[j] != sentences[i]:
                    found.setdefault(sentences[int(j)], float(cosines[j]))
            row[name] = list(found.items())
    return rows
