"""Sentences to vectors: the frozen encoder as one object."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from flowjax.encoder.batching import Batch, batches, slots
from flowjax.encoder.bert import Bert, BertConfig
from flowjax.encoder.pooling import layers_of, pool_packed
from flowjax.encoder.resolve import resolve
from flowjax.encoder.sentence_model import SentenceModel
from flowjax.encoder.tokenizer import load_tokenizer
from flowjax.encoder.weights import load_pretrained
from flowjax.parallel import devices

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


class SentenceEncoder(SentenceModel):
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
            batch_size: about how many sentences are computed together (16 tokens each, by
                count); larger suits an accelerator.
            special_tokens: whether means take `[CLS]` and `[SEP]` in, as the paper does.
            dtype: of the matrix products, float32 or bfloat16; vectors are float32.

        Raises:
            ValueError: a pooling the model cannot give, a length beyond its positions, ...
        """
        if "pooler" in layers_of(pooling) and "pooler" not in params:
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
        self._mesh = devices.local_mesh()
        self._placed: Any = None
        model = Bert(config, jnp.dtype(dtype), with_pooler="pooler" in params)
        self._embed = jax.jit(partial(_embed, model, pooling, special_tokens))

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
    def dim(self) -> int:  # type: ignore[override]
        """The width of the vectors."""
        return self.config.hidden_size

    @property
    def max_seq_length(self) -> int:  # type: ignore[override]
        """`max_length`, by sentence-transformers' name."""
        return self.max_length

    @property
    def model_name(self) -> str:  # type: ignore[override]
        """What mteb calls it."""
        return f"{Path(self.name).name}-{self.pooling}"

    def describe(self) -> dict[str, Any]:
        """What decides the vectors: for manifests and cards."""
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
        progress: bool | None = False,
    ) -> np.ndarray:
        """Embeds a list of strings to `(n, dim)` float32; `encode` has the options."""
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
        stream = self.encode_stream(
            sentences, batch_size=batch_size, total=len(sentences), progress=progress
        )
        return np.concatenate([np.zeros((0, self.dim), np.float32), *stream])

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

    def _encode_chunk(self, chunk: list[str], batch_size: int, advance: Any) -> np.ndarray:
        self.report.sentences += len(chunk)
        self.report.empty += sum(not s.strip() for s in chunk)
        vectors = np.empty((len(chunk), self.dim), np.float32)
        pending: list[tuple[Batch, jax.Array]] = []
        for batch in batches(
            self.tokenize(chunk),
            batch_size=batch_size,
            max_length=self.max_length,
            pad_id=self.config.pad_token_id,
            multiple=self._mesh.size,
        ):
            arrays = devices.shard_rows((batch.ids, batch.mask, batch.positions), self._mesh)
            pending.append((batch, self._embed(self._placed, *arrays)))
            if len(pending) > 2:  # the device works on two batches while the host copies a third
                _collect(*pending.pop(0), vectors, advance)
        for done in pending:
            _collect(*done, vectors, advance)
        return vectors


def _collect(batch: Batch, result: jax.Array, vectors: np.ndarray, advance: Any) -> None:
    vectors[batch.where] = np.asarray(result)[batch.row, batch.slot]
    advance(len(batch.where))


def _embed(
    model: Bert,
    pooling: str,
    special_tokens: bool,
    params: Any,
    ids: jax.Array,
    mask: jax.Array,
    positions: jax.Array,
) -> jax.Array:
    """Rows of sentences `(rows, length)` to vectors `(rows, slots(length), dim)`."""
    # The pooler's layer comes after pooling here: a row has a first token for each sentence.
    layers = tuple(-1 if i == "pooler" else i for i in layers_of(pooling))
    states: Any = model.apply({"params": params}, ids, mask, positions=positions, layers=layers)
    vectors = pool_packed(
        states, mask, pooling, slots=slots(ids.shape[-1]), special_tokens=special_tokens
    )
    if pooling == "pooler":
        dense = nn.Dense(model.config.hidden_size, dtype=model.dtype)
        pooled: Any = dense.apply({"params": params["pooler"]}, vectors)
        vectors = jnp.tanh(pooled)
    return vectors.astype(jnp.float32)
