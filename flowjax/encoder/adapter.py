"""Encoders of other packages, such as a `SentenceTransformer`, as the encoder of a `BertFlow`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import length_hint
from typing import Any

import numpy as np

from flowjax.encoder.counts import EncodeReport
from flowjax.encoder.digest import hash_arrays, hash_text
from flowjax.encoder.sentence_model import SentenceModel
from flowjax.errors import FlowjaxError
from flowjax.progress import track

_PROBES = ["A man plays a guitar.", "Rain falls on the harbour."]
# Sentences per call of the other encoder.
_CHUNK = 8192


class EncoderAdapter(SentenceModel):
    """Encoder of another package with the methods of `SentenceEncoder`.

    The weights are not accessible: a saved model does not contain them, and
    `BertFlow.load(folder, encoder=...)` needs the encoder again.

    Attributes:
        model: the other encoder.
        report: counts of the last call of `encode`; unknown tokens are not counted.

    Example:
        >>> class Lengths:
        ...     def encode(self, sentences):
        ...         return np.array([[len(s), s.count(" ")] for s in sentences])
        >>> EncoderAdapter(Lengths()).encode(["A man plays."]).tolist()
        [[12.0, 2.0]]
    """

    pooling = "its own"
    special_tokens = True
    dtype = "float32"
    tokenizer = None
    location = None

    def __init__(self, model: Any) -> None:
        """Wraps an encoder and encodes two sentences to find its dimension.

        Args:
            model: object with a method `encode`, which maps n strings to vectors `(n, dim)`.

        Raises:
            FlowjaxError: `encode` returns another type or shape.
        """
        self.model = model
        card = getattr(model, "model_card_data", None)
        name = getattr(card, "base_model", None) or getattr(model, "name", None)
        self.name = str(name or type(model).__name__)
        self.report = EncodeReport()
        prompts = getattr(model, "prompts", None) or {}
        self.prompts.update({key: text for key, text in prompts.items() if text})
        default = getattr(model, "default_prompt_name", None)
        self.default_prompt_name = default if default in self.prompts else None
        vectors = self._vectors(_PROBES)
        self.dim = vectors.shape[1]
        self.weights_hash = hash_arrays(vectors)

    @property
    def max_length(self) -> int:
        """Maximum number of tokens per sentence of the other encoder; 0 if it is unknown."""
        return int(getattr(self.model, "max_seq_length", None) or 0)

    @property
    def max_seq_length(self) -> int:  # type: ignore[override]
        """`max_length` under the name of sentence-transformers."""
        return self.max_length

    @property
    def model_name(self) -> str:  # type: ignore[override]
        """Name of the model in mteb's results."""
        return self.name

    @property
    def digest(self) -> str:
        """Hash of the vectors of two sentences, because the weights are not accessible."""
        return hash_text(self.weights_hash, str(self.max_length))

    def describe(self) -> dict[str, Any]:
        """Returns the facts about the encoder for manifests and model cards."""
        kind = type(self.model)
        return {
            "encoder": self.name,
            "class": f"{kind.__module__}.{kind.__qualname__}",
            "pooling": self.pooling,
            "max_length": self.max_length,
        }

    def embed(
        self,
        sentences: Sequence[str],
        batch_size: int | None = None,
        show_progress_bar: bool | None = False,
        prompt: str | None = None,
    ) -> np.ndarray:
        """Returns the vectors of n strings, shape `(n, dim)`, float32."""
        stream = self.encode_stream(sentences, batch_size, show_progress_bar, prompt)
        return np.concatenate([np.zeros((0, self.dim), np.float32), *stream])

    def encode_stream(
        self,
        sentences: Iterable[str],
        batch_size: int | None = None,
        show_progress_bar: bool | None = False,
        prompt: str | None = None,
    ) -> Iterator[np.ndarray]:
        """Yields the vectors of blocks of sentences; see `SentenceEncoder.encode_stream`."""
        self.report = EncodeReport()
        stream, total = iter(sentences), length_hint(sentences) or None
        bar = track("embedding", total, unit="sentences", show_progress_bar=show_progress_bar)
        with bar as advance:
            while chunk := list(islice(stream, _CHUNK)):
                self.report.sentences += len(chunk)
                self.report.empty += sum(not s.strip() for s in chunk)
                yield self._vectors(chunk, prompt)
                advance(len(chunk))

    def __repr__(self) -> str:
        """Returns the name, the dimension and the class of the encoder."""
        return f"EncoderAdapter({self.name!r}, dim={self.dim}, {type(self.model).__name__})"

    def _vectors(self, texts: list[str], prompt: str | None = None) -> np.ndarray:
        options = {}
        if prompt is not None and self.default_prompt_name is not None:
            options["prompt"] = prompt  # the other encoder adds its default prompt itself
        elif prompt:
            texts = [prompt + text for text in texts]
        try:
            vectors = np.asarray(self.model.encode(texts, **options), np.float32)
        except (TypeError, ValueError) as error:
            raise FlowjaxError(
                f"encoder: expected encode to map strings to vectors, got: {error}"
            ) from error
        if vectors.ndim != 2 or len(vectors) != len(texts):
            raise FlowjaxError(
                f"encoder: expected encode to return ({len(texts)}, dim), got {vectors.shape}"
            )
        return vectors
