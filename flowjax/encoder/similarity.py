"""Cosine similarities of sentences and vectors, as cosines or percentiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args, overload

import numpy as np

from flowjax.encoder.encode_options import TextsOrVectors, Vector, Vectors
from flowjax.encoder.scale import ScoreScale
from flowjax.errors import FlowjaxError, check_choice
from flowjax.literals import Scale

if TYPE_CHECKING:
    from torch import Tensor


class Similarities(ScoreScale):
    """Part of a sentence model: the similarities of all pairs, or of corresponding embeddings."""

    @overload
    def similarity(  # type: ignore[overload-overlap]
        self, embeddings1: str, embeddings2: str, *, scale: Scale = ...
    ) -> np.floating[Any]: ...

    @overload
    def similarity(
        self, embeddings1: TextsOrVectors, embeddings2: TextsOrVectors, *, scale: Scale = ...
    ) -> Vectors: ...

    @overload
    def similarity(
        self, embeddings1: Tensor, embeddings2: Any, *, scale: Scale = ...
    ) -> Tensor: ...

    def similarity(self, embeddings1: Any, embeddings2: Any, *, scale: Scale = "cosine") -> Any:
        """Returns the similarities of all pairs.

        Args:
            embeddings1: a string, n strings, or vectors `(n, dim)` or `(dim,)`.
            embeddings2: a string, m strings, or vectors `(m, dim)` or `(dim,)`.
            scale: "cosine", or "percentile" for the fraction of random pairs of sentences with a
                smaller cosine, in [0, 1]; see `recalibrate`. Both scales have the same order.

        Returns:
            Similarities, shape `(n, m)`, cosines in float32 and percentiles in float64; a torch
            tensor if `embeddings1` is a torch tensor; a scalar for two strings.

        Raises:
            FlowjaxError: The scale is unknown, or the model has no null distribution.
        """
        left, right = self._units(embeddings1, embeddings2, scale)
        scores = self._scaled(left @ right.T, scale)
        if isinstance(embeddings1, str) and isinstance(embeddings2, str):
            return scores[0, 0]
        return _like(scores, embeddings1)

    @overload
    def similarity_pairwise(
        self, embeddings1: TextsOrVectors, embeddings2: TextsOrVectors, *, scale: Scale = ...
    ) -> Vector: ...

    @overload
    def similarity_pairwise(
        self, embeddings1: Tensor, embeddings2: Any, *, scale: Scale = ...
    ) -> Tensor: ...

    def similarity_pairwise(
        self, embeddings1: Any, embeddings2: Any, *, scale: Scale = "cosine"
    ) -> Any:
        """Returns the similarities of corresponding embeddings, shape `(n,)`.

        Args:
            embeddings1: a string, n strings, or vectors `(n, dim)` or `(dim,)`.
            embeddings2: the same number of strings or vectors.
            scale: "cosine" or "percentile", see `similarity`.

        Returns:
            Similarities, shape `(n,)`, or a torch tensor if `embeddings1` is a torch tensor.

        Raises:
            FlowjaxError: The numbers of embeddings differ, the scale is unknown, or the model has
                no null distribution.
        """
        left, right = self._units(embeddings1, embeddings2, scale)
        if len(left) != len(right):
            raise FlowjaxError(f"embeddings2: expected {len(left)} vectors, got {len(right)}")
        return _like(self._scaled((left * right).sum(1), scale), embeddings1)

    def _units(self, one: Any, other: Any, scale: Scale) -> tuple[np.ndarray, np.ndarray]:
        """Returns the unit vectors of both sides of a similarity, shapes (n, dim), (m, dim)."""
        check_choice("scale", scale, get_args(Scale))
        if scale == "percentile":
            _ = self.null  # raises an error before sentences are embedded
        left, right = texts_or_vectors(one), texts_or_vectors(other)
        return self._unit(left), self._unit(right)

    def _unit(self, values: list[str] | np.ndarray) -> np.ndarray:
        if isinstance(values, list):
            units: np.ndarray = self.encode(values, normalize_embeddings=True)  # type: ignore[attr-defined]
            return units
        return unit(values)


def texts_or_vectors(values: Any) -> list[str] | np.ndarray:
    """Returns an argument of `similarity` as a list of strings or as vectors (n, dim), float32."""
    if isinstance(values, str):
        return [values]
    if not hasattr(values, "shape"):  # neither a NumPy array nor a tensor
        items = list(values)
        if not (items and hasattr(items[0], "shape")):
            return items
        values = np.stack([np.asarray(item) for item in items])
    vectors = np.asarray(values, np.float32)
    return vectors[None] if vectors.ndim == 1 else vectors


def unit(vectors: np.ndarray) -> np.ndarray:
    """Returns the vectors `(n, dim)` scaled to length 1; zero vectors stay zero."""
    units: np.ndarray = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return units


def _like(scores: np.ndarray, values: Any) -> Any:
    """Returns `scores`, as a torch tensor if `values` is a torch tensor."""
    if type(values).__module__.partition(".")[0] == "torch":
        return tensor_of(scores)
    return scores


def tensor_of(values: np.ndarray) -> Tensor:
    """Returns an array as a torch tensor."""
    try:
        import torch
    except ImportError:
        raise FlowjaxError("convert_to_tensor: expected an installed torch, got none") from None
    return torch.from_numpy(np.ascontiguousarray(values))
