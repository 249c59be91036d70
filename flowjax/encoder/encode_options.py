"""Types of the arguments and results of `encode` and `similarity`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypedDict

import numpy as np

from flowjax.literals import Dtype, Quantization

Vector = np.ndarray[tuple[int], np.dtype[Any]]
"""Vector of one sentence, shape (dim,)."""
Vectors = np.ndarray[tuple[int, int], np.dtype[Any]]
"""Vectors of n sentences, shape (n, dim)."""
TextsOrVectors = str | Sequence[str] | Sequence[np.ndarray] | np.ndarray
"""Argument of `similarity`."""


class MtebOptions(TypedDict, total=False):
    """Arguments that mteb passes to every model; they do not change the vectors."""

    task_metadata: Any
    hf_split: Any
    hf_subset: Any
    prompt_type: Any
    task: Any


class InputOptions(MtebOptions, total=False):
    """Arguments of mteb, and the sentences under the name of sentence-transformers 6."""

    inputs: str | Iterable[Any] | None


class EncodeOptions(MtebOptions, total=False):
    """Keyword arguments of `SentenceModel.encode` that do not change the type of its result."""

    prompt_name: str | None
    prompt: str | None
    batch_size: int | None
    show_progress_bar: bool | None
    output_value: Literal["sentence_embedding"] | None
    precision: Quantization | None
    device: Any
    normalize_embeddings: bool
    truncate_dim: int | None


class AllOptions(EncodeOptions, InputOptions, total=False):
    """All keyword arguments of `SentenceModel.encode`."""

    convert_to_numpy: bool
    convert_to_tensor: bool


class EncoderOptions(TypedDict, total=False):
    """Keyword arguments of `SentenceEncoder` that a name of an encoder does not determine."""

    batch_size: int
    special_tokens: bool
    normalize: bool
    dtype: Dtype


class PretrainedOptions(EncoderOptions, total=False):
    """Options of `EncoderOptions`, and the revision of a name on the Hugging Face hub."""

    revision: str | None


class StreamOptions(TypedDict, total=False):
    """Keyword arguments of `SentenceEncoder.encode_stream`."""

    batch_size: int | None
    show_progress_bar: bool | None
