"""Sentence encoder: a frozen BERT with a tokenizer and a pooling."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from operator import length_hint
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from flowjax.encoder.batching import Batch, batches
from flowjax.encoder.bert import Bert, BertConfig
from flowjax.encoder.embed_rows import embed_rows
from flowjax.encoder.pooling import layers_of
from flowjax.encoder.resolve import resolve
from flowjax.encoder.sentence_model import SentenceModel
from flowjax.encoder.tokenizer import load_tokenizer
from flowjax.encoder.weights import load_pretrained, save_pretrained
from flowjax.errors import FlowjaxError, check_choice
from flowjax.parallel import devices
from flowjax.progress import track

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Number of sentences that are tokenized, sorted by length and embedded together.
CHUNK = 8192


@dataclasses.dataclass
class EncodeReport:
    """Counts of a call of `encode`.

    Attributes:
        sentences: number of embedded sentences.
        empty: number of sentences without words.
        cut: number of sentences longer than `max_length`.
    """

    sentences: int = 0
    empty: int = 0
    cut: int = 0

    def __str__(self) -> str:
        empty = f", {self.empty} empty (encoded as special tokens only)" if self.empty else ""
        cut = f", {self.cut} truncated to max_length" if self.cut else ""
        return f"{self.sentences} sentences{empty}{cut}"


class SentenceEncoder(SentenceModel):
    """Frozen BERT that maps sentences to vectors.

    Attributes:
        report: counts of the last call of `encode`.

    Example:
        >>> encoder = SentenceEncoder.from_pretrained("minibert")
        >>> encoder.encode(["A man plays a guitar.", "Somebody makes music."]).shape
        (2, 256)
    """

    def __init__(
        self,
        params: Any,
        config: BertConfig,
        tokenizer: Tokenizer,
        *,
        name: str = "",
        pooling: str = "first_last",
        max_length: int = 64,
        batch_size: int = 64,
        special_tokens: bool = True,
        dtype: str = "float32",
    ) -> None:
        """Creates an encoder from its parts; `from_pretrained` loads them by name.

        Args:
            params: parameters of `Bert(config)`.
            config: sizes of the model.
            tokenizer: tokenizer with ids below `config.vocab_size`.
            name: name of the encoder in manifests and model cards.
            pooling: one of `pooling.POOLINGS`.
            max_length: largest number of tokens per sentence, including special tokens; longer
                sentences are truncated.
            batch_size: approximate number of sentences per batch, for sentences of 16 tokens; use
                larger batches on an accelerator.
            special_tokens: True includes `[CLS]` and `[SEP]` in means, as the paper does.
            dtype: dtype of the matrix products, float32 or bfloat16; vectors are float32.

        Raises:
            FlowjaxError: An option is out of range, the pooling needs a pooler that the model
                lacks, or the tokenizer has more entries than the vocabulary of the model.
        """
        if "pooler" in layers_of(pooling) and "pooler" not in params:
            raise FlowjaxError(
                f"pooling: expected an encoder with a pooler, got {name!r} without a pooler"
            )
        most = config.max_length
        if not 3 <= max_length <= most:
            raise FlowjaxError(f"max_length: expected 3 to {most} (positions), got {max_length}")
        if batch_size < 1:
            raise FlowjaxError(f"batch_size: expected at least 1, got {batch_size}")
        check_choice("dtype", dtype, ("float32", "bfloat16"))
        if (size := tokenizer.get_vocab_size()) > config.vocab_size:
            most = config.vocab_size
            raise FlowjaxError(f"tokenizer: expected at most {most} entries, got {size}")
        self.config, self.tokenizer, self.name = config, tokenizer, name
        self.pooling, self.max_length, self.batch_size = pooling, max_length, batch_size
        self.special_tokens, self.dtype = special_tokens, dtype
        self.report = EncodeReport()
        self.params = params
        self._mesh = devices.local_mesh()
        self._placed: Any = None
        model = Bert(config, jnp.dtype(dtype), with_pooler="pooler" in params)
        self._embed = jax.jit(partial(embed_rows, model, pooling, special_tokens))

    @classmethod
    def from_pretrained(cls, name: str | Path, **options: Any) -> SentenceEncoder:
        """Loads an encoder by name.

        Args:
            name: `"minibert"`, a folder in Hugging Face's layout, or a name on the Hugging Face
                hub.
            **options: `pooling`, `max_length`, `batch_size`, `special_tokens`, `dtype`.

        Raises:
            FlowjaxError: The encoder is not found, or its files are damaged or inconsistent.
        """
        folder = resolve(name)
        params, config = load_pretrained(folder)
        return cls(params, config, load_tokenizer(folder), name=str(name), **options)

    @property
    def dim(self) -> int:  # type: ignore[override]
        """Dimension of the vectors."""
        return self.config.hidden_size

    @property
    def max_seq_length(self) -> int:  # type: ignore[override]
        """`max_length` under the name of sentence-transformers."""
        return self.max_length

    @property
    def model_name(self) -> str:  # type: ignore[override]
        """Name of the model in mteb's results."""
        return f"{Path(self.name).name}-{self.pooling}"

    def describe(self) -> dict[str, Any]:
        """Returns the options that determine the vectors, for manifests and model cards."""
        return {
            "encoder": self.name,
            "pooling": self.pooling,
            "max_length": self.max_length,
            "special_tokens": self.special_tokens,
            "dtype": self.dtype,
        }

    def embed(
        self,
        sentences: Sequence[str],
        batch_size: int | None = None,
        show_progress_bar: bool | None = False,
    ) -> np.ndarray:
        """Returns the vectors of n strings, shape `(n, dim)`, float32; see `encode`."""
        if batch_size is not None and batch_size < 1:
            raise FlowjaxError(f"batch_size: expected at least 1, got {batch_size}")
        stream = self.encode_stream(sentences, batch_size, show_progress_bar)
        return np.concatenate([np.zeros((0, self.dim), np.float32), *stream])

    def encode_stream(
        self,
        sentences: Iterable[str],
        batch_size: int | None = None,
        show_progress_bar: bool | None = False,
    ) -> Iterator[np.ndarray]:
        """Embeds any number of sentences in constant memory; updates the counts in `report`.

        Args:
            sentences: strings.
            batch_size: approximate number of sentences per batch; None means `self.batch_size`.
            show_progress_bar: None shows the progress bar on a terminal only.

        Yields:
            Vectors of up to `CHUNK` sentences, shape `(m, dim)`, float32, in the order of the
            sentences.
        """
        self.report = EncodeReport()
        if self._placed is None:
            self._placed = devices.replicate(self.params, self._mesh)
        stream, total = iter(sentences), length_hint(sentences) or None
        bar = track("embedding", total, unit="sentences", show_progress_bar=show_progress_bar)
        with bar as advance:
            while chunk := list(islice(stream, CHUNK)):
                yield self._encode_chunk(chunk, batch_size or self.batch_size, advance)

    def save(self, folder: str | Path) -> None:
        """Writes the encoder in Hugging Face's layout: config, weights and tokenizer."""
        save_pretrained(self.params, self.config, folder)
        self.tokenizer.save(str(Path(folder) / "tokenizer.json"))

    def tokenize(self, sentences: Sequence[str]) -> list[list[int]]:
        """Returns the token ids of each sentence, truncated to `max_length`.

        Truncation keeps the last special token.
        """
        tokens = []
        for encoding in self.tokenizer.encode_batch_fast(list(sentences)):
            ids = encoding.ids
            if len(ids) > self.max_length:
                ids = [*ids[: self.max_length - 1], ids[-1]]
                self.report.cut += 1
            tokens.append(ids)
        return tokens

    def _encode_chunk(self, chunk: list[str], batch_size: int, advance: Any) -> np.ndarray:
        self.report.sentences += len(chunk)
        self.report.empty += sum(not s.strip() for s in chunk)
        vectors = np.empty((len(chunk), self.dim), np.float32)
        pending: list[tuple[Batch, jax.Array]] = []
        for batch in batches(self.tokenize(chunk), batch_size, self.max_length, self._mesh.size):
            arrays = devices.shard_rows((batch.ids, batch.mask, batch.positions), self._mesh)
            pending.append((batch, self._embed(self._placed, *arrays)))
            if len(pending) > 2:  # the device computes two batches while the host copies a third
                _collect(*pending.pop(0), vectors, advance)
        for done in pending:
            _collect(*done, vectors, advance)
        return vectors


def _collect(batch: Batch, result: jax.Array, vectors: np.ndarray, advance: Any) -> None:
    vectors[batch.sentences] = np.asarray(result)[batch.row, batch.slot]
    advance(len(batch.sentences))
