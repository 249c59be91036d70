"""Sentences to vectors: the frozen encoder as one object."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from flowjax import devices
from flowjax.encoder.batching import batches
from flowjax.encoder.bert import Bert, BertConfig
from flowjax.encoder.pooling import layers_of, pool
from flowjax.encoder.resolve import resolve
from flowjax.encoder.tokenizer import load_tokenizer
from flowjax.encoder.weights import load_pretrained

if TYPE_CHECKING:
    from tokenizers import Tokenizer

logger = logging.getLogger("flowjax")
# Sentences that are tokenised, sorted by length and embedded together.
CHUNK = 8192


@dataclasses.dataclass
class EncodeReport:
    """What `encode` met that a user should know of."""

    sentences: int = 0
    empty: int = 0
    cut: int = 0

    def __str__(self) -> str:
        parts = [f"{self.sentences} sentences"]
        if self.empty:
            parts.append(f"{self.empty} empty (their vector is that of no words)")
        if self.cut:
            parts.append(f"{self.cut} cut at max_length")
        return ", ".join(parts)


class SentenceEncoder:
    """A frozen BERT with a pooling: sentences in, vectors out.

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
        """Puts an encoder together from its parts; `from_pretrained` is the usual door.

        Args:
            params: of `Bert(config)`.
            config: the sizes.
            tokenizer: gives ids below `config.vocab_size`.
            name: what it is called in manifests and cards.
            pooling: one of `pooling.POOLINGS`.
            max_length: tokens kept of a sentence, special tokens included.
            batch_size: sentences in a batch.
            special_tokens: whether means take `[CLS]` and `[SEP]` in, as the paper does.
            dtype: of the matrix products, float32 or bfloat16; vectors are float32.

        Raises:
            ValueError: a pooling the model cannot give, a length beyond its positions, ...
        """
        layers = layers_of(pooling)
        if "pooler" in layers and "pooler" not in params:
            raise ValueError(f"pooling: encoder {name!r} has no pooler weights, expected another")
        if not 3 <= max_length <= config.max_length:
            raise ValueError(
                f"max_length: expected 3 to {config.max_length} (the encoder's positions), got "
                f"{max_length}"
            )
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
        if dtype not in ("float32", "bfloat16"):
            raise ValueError(f"dtype: expected 'float32' or 'bfloat16', got {dtype!r}")
        if tokenizer.get_vocab_size() > config.vocab_size:
            raise ValueError(
                f"encoder {name!r}: tokenizer has {tokenizer.get_vocab_size()} entries, the "
                f"weights {config.vocab_size}"
            )
        self.config, self.tokenizer, self.name = config, tokenizer, name
        self.pooling, self.max_length, self.batch_size = pooling, max_length, batch_size
        self.special_tokens, self.dtype = special_tokens, dtype
        self.report = EncodeReport()
        self.params = params
        self._mesh = devices.make_mesh(jax.local_devices())
        self._placed: Any = None
        model = Bert(config, jnp.dtype(dtype), with_pooler="pooler" in params)
        self._embed = jax.jit(partial(_embed, model, layers, pooling, special_tokens))

    @classmethod
    def from_pretrained(cls, name: str | Path, **options: Any) -> SentenceEncoder:
        """Loads an encoder by name.

        Args:
            name: `"minibert"`, a folder in Hugging Face's layout, or a name on the hub.
            **options: `pooling`, `max_length`, `batch_size`, `special_tokens`, `dtype`.

        Raises:
            ValueError: not found, or its files do not fit together.
        """
        folder = resolve(name)
        params, config = load_pretrained(folder)
        return cls(params, config, load_tokenizer(folder), name=str(name), **options)

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        return self.config.hidden_size

    def describe(self) -> dict[str, Any]:
        """What decides the vectors: for manifests and cards."""
        return {
            "encoder": self.name,
            "pooling": self.pooling,
            "max_length": self.max_length,
            "special_tokens": self.special_tokens,
            "dtype": self.dtype,
        }

    def encode(
        self,
        sentences: str | Sequence[str],
        *,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        normalize_embeddings: bool = False,
    ) -> np.ndarray:
        """Embeds sentences.

        Args:
            sentences: a list, or one string.
            batch_size: sentences in a batch; the encoder's own if left out.
            show_progress_bar: on standard error; None shows it on a terminal, when it takes long.
            normalize_embeddings: scales each vector to length 1.

        Returns:
            `(n, dim)` float32, or `(dim,)` for one string.
        """
        if isinstance(sentences, str):
            return self.encode([sentences], normalize_embeddings=normalize_embeddings)[0]
        check_sentences(sentences)
        parts = list(
            self.encode_stream(
                sentences, batch_size=batch_size, total=len(sentences), progress=show_progress_bar
            )
        )
        vectors = np.concatenate(parts) if parts else np.zeros((0, self.dim), np.float32)
        if normalize_embeddings:
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return vectors

    def encode_stream(
        self,
        sentences: Iterable[str],
        *,
        batch_size: int | None = None,
        total: int | None = None,
        progress: bool | None = False,
    ) -> Iterator[np.ndarray]:
        """Embeds any number of sentences in constant memory.

        Yields:
            `(m, dim)` float32 arrays of up to `CHUNK` rows, in the order of the sentences. Counts
            of empty and cut sentences are in `self.report`.
        """
        from flowjax.progress import track

        self.report = EncodeReport()
        if self._placed is None:
            self._placed = devices.replicate(self.params, self._mesh)
        stream = iter(sentences)
        with track("embedding", total, unit="sentences", show=progress) as advance:
            while chunk := list(islice(stream, CHUNK)):
                yield self._encode_chunk(chunk, batch_size or self.batch_size, advance)

    def save(self, folder: str | Path) -> None:
        """Writes the encoder in Hugging Face's layout: config, weights and tokenizer."""
        from flowjax.encoder.weights import save_pretrained

        save_pretrained(self.params, self.config, folder)
        self.tokenizer.save(str(Path(folder) / "tokenizer.json"))

    def tokenize(self, sentences: Sequence[str]) -> list[list[int]]:
        """Token ids of each sentence, cut at `max_length` with the last special token kept."""
        tokens = []
        for encoding in self.tokenizer.encode_batch_fast(list(sentences)):
            ids = encoding.ids
            if len(ids) > self.max_length:
                ids = [*ids[: self.max_length - 1], ids[-1]]
                self.report.cut += 1
            tokens.append(ids)
        return tokens

    def _encode_chunk(self, chunk: list[str], rows: int, advance: Any) -> np.ndarray:
        self.report.sentences += len(chunk)
        self.report.empty += sum(not s.strip() for s in chunk)
        tokens = self.tokenize(chunk)
        rows = -(-min(rows, max(8, len(chunk))) // self._mesh.size) * self._mesh.size
        vectors = np.empty((len(chunk), self.dim), np.float32)
        pending: list[tuple[np.ndarray, jax.Array]] = []
        pad = self.config.pad_token_id
        for batch in batches(tokens, rows=rows, max_length=self.max_length, pad_id=pad):
            ids, mask = devices.shard_rows((batch.ids, batch.mask), self._mesh)
            pending.append((batch.where, self._embed(self._placed, ids, mask)))
            if len(pending) > 2:  # the device works on two batches while the host copies a third
                _collect(pending.pop(0), vectors, advance)
        for done in pending:
            _collect(done, vectors, advance)
        return vectors


def check_sentences(sentences: Sequence[str]) -> None:
    """Refuses what is not a sequence of strings, naming the first that is not.

    Raises:
        ValueError: see above.
    """
    for i, sentence in enumerate(sentences):
        if not isinstance(sentence, str):
            raise ValueError(f"sentences: expected strings, got {type(sentence).__name__} at {i}")


def _collect(done: tuple[np.ndarray, jax.Array], vectors: np.ndarray, advance: Any) -> None:
    where, result = done
    vectors[where] = np.asarray(result)[: len(where)]
    advance(len(where))


def _embed(
    model: Bert,
    layers: tuple[int | str, ...],
    pooling: str,
    special_tokens: bool,
    params: Any,
    ids: jax.Array,
    mask: jax.Array,
) -> jax.Array:
    states: Any = model.apply({"params": params}, ids, mask, layers=layers)
    if not special_tokens:
        # Without the first token and the last that is not padding, unless there are no others.
        last = jnp.sum(mask, -1, keepdims=True) - 1
        place = jnp.arange(mask.shape[-1])
        inner = mask * (place > 0) * (place < last)
        mask = jnp.where(inner.sum(-1, keepdims=True) > 0, inner, mask)
    return pool(states, mask, pooling)
