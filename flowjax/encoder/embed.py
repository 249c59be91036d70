"""Sentence encoder: a frozen BERT with a tokenizer and a pooling."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import length_hint
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

import jax
import numpy as np

from flowjax.encoder.auto_tokenizer import SlowTokenizer
from flowjax.encoder.bert_config import BertConfig
from flowjax.encoder.counts import EncodeReport as EncodeReport
from flowjax.encoder.counts import warn_unknown
from flowjax.encoder.digest import hash_arrays, hash_text
from flowjax.encoder.embed_rows import Embedder
from flowjax.encoder.encode_options import EncoderOptions
from flowjax.encoder.modules import LENGTH, POOLING, Settings
from flowjax.encoder.pretrained import Parts, load_parts, save_parts
from flowjax.encoder.projection import Projection, apply_dense
from flowjax.encoder.resolve import Location
from flowjax.encoder.sentence_model import SentenceModel
from flowjax.encoder.similarity import unit
from flowjax.encoder.tokenizer import encode_texts, unknown_id
from flowjax.errors import FlowjaxError, check_integer, check_names
from flowjax.literals import Dtype, Pooling, PoolingOrAuto
from flowjax.parallel.forks import check_process, mark_process
from flowjax.progress import track

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Number of sentences that are tokenized, sorted by length and embedded together.
CHUNK = 8192


class SentenceEncoder(SentenceModel):
    """Frozen BERT that maps sentences to vectors.

    Attributes:
        report: counts of the last call of `encode`.
        dense: linear layers after the pooling, from a folder of sentence-transformers.

    Example:
        >>> encoder = SentenceEncoder.from_pretrained("minibert")
        >>> encoder.encode(["A man plays a guitar.", "Somebody makes music."]).shape
        (2, 256)
    """

    def __init__(
        self,
        params: Any,
        config: BertConfig | None = None,
        tokenizer: Tokenizer | None = None,
        *,
        name: str = "",
        pooling: Pooling = POOLING,
        max_length: int = LENGTH,
        batch_size: int = 64,
        special_tokens: bool = True,
        normalize: bool = False,
        dtype: Dtype = "float32",
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
            normalize: True scales each vector to length 1.
            dtype: dtype of the matrix products, float32 or bfloat16; vectors are float32.

        Raises:
            FlowjaxError: An option is out of range, the pooling needs a pooler that the model
                lacks, or the tokenizer has ids beyond the vocabulary of the model.
        """
        if config is None or tokenizer is None:
            raise FlowjaxError(
                "SentenceEncoder: expected parameters, a config and a tokenizer, got "
                f"{params if isinstance(params, str) else type(params).__name__!r} only; load an "
                "encoder by its name with SentenceEncoder.from_pretrained"
            )
        mark_process()
        check_batch_size(batch_size)
        largest = max(tokenizer.get_vocab().values(), default=0)
        if largest >= (size := config.vocab_size):
            raise FlowjaxError(
                f"tokenizer: expected ids below {size}, the vocab_size of the weights, got "
                f"{largest}"
            )
        self.params, self.config, self.tokenizer, self.name = params, config, tokenizer, name
        self.max_length, self.pooling, self.batch_size = max_length, pooling, batch_size
        self.special_tokens, self.normalize, self.dtype = special_tokens, normalize, dtype
        self.report = EncodeReport()
        self.dense: tuple[Projection, ...] = ()
        self._origin: tuple[Location | None, tuple[Any, ...], Any] = (None, (), None)
        self._unknown = unknown_id(tokenizer)
        self._digest: tuple[Any, str] = (None, "")
        self._embedder = Embedder(params, config, pooling, special_tokens, dtype)

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        pooling: PoolingOrAuto = "auto",
        max_length: int | Literal["auto"] = "auto",
        revision: str | None = None,
        **options: Unpack[EncoderOptions],
    ) -> SentenceEncoder:
        """Loads an encoder by name.

        Args:
            name: `"minibert-nli"` or `"minibert"` (embedded), a folder in Hugging Face's layout,
                or a name on the Hugging Face hub.
            pooling: one of `pooling.POOLINGS`. `"auto"` means the pooling and the normalisation in
                the `modules.json` of a folder of sentence-transformers; otherwise `first_last`, as
                in the paper.
            max_length: largest number of tokens per sentence. `"auto"` means the length in a
                folder of sentence-transformers; otherwise 64, as in the paper.
            revision: branch, tag or commit on the hub.
            **options: `batch_size`, `special_tokens`, `normalize`, `dtype`.

        Returns:
            The encoder.

        Raises:
            FlowjaxError: The encoder is not found, its files are damaged or inconsistent, or its
                `modules.json` names a module that flowjax does not support.
        """
        check_names("SentenceEncoder", options, EncoderOptions.__annotations__)
        parts = load_parts(name, pooling, revision)
        settings = parts.settings
        if settings.calibration:
            raise FlowjaxError(
                f"{name}: expected an encoder, got an encoder with a calibration; load it with "
                "flowjax.BertFlow.load, or give a pooling, such as mean, to use the encoder alone"
            )
        if max_length != "auto":
            settings = settings._replace(max_length=max_length)
        return cls._from_parts(parts._replace(settings=settings), name=str(name), **options)

    @classmethod
    def _from_parts(cls, parts: Parts, **options: Any) -> SentenceEncoder:
        kept = ("pooling", "max_length", "normalize", "special_tokens")
        settings = {key: getattr(parts.settings, key) for key in kept}
        encoder = cls(parts.params, parts.config, parts.tokenizer, **settings | options)
        encoder.prompts.update(parts.settings.prompts)
        encoder.default_prompt_name = parts.settings.default_prompt
        encoder.dense = parts.settings.dense
        encoder._origin = (parts.location, *encoder._loaded())
        return encoder

    def _parts(self) -> Parts:
        settings = Settings(
            self.pooling,
            self.max_length,
            self.normalize,
            self.special_tokens,
            prompts=dict(self.prompts),
            default_prompt=self.default_prompt_name,
            dense=tuple(self.dense),
        )
        return Parts(self.params, self.config, self.tokenizer, settings, self.location)

    @property
    def location(self) -> Location | None:
        """Location of the files; None if the encoder was built from parts or changed since."""
        found, loaded, prompts = self._origin
        now, prompts_now = self._loaded()
        same = all(a is b for a, b in zip(loaded, now, strict=False)) and prompts == prompts_now
        return found if same else None

    def _loaded(self) -> tuple[tuple[Any, ...], Any]:
        """Returns the objects and the prompts that `from_pretrained` takes from files."""
        objects = (self.params, self.tokenizer, self.name, self.dense)
        return objects, (dict(self.prompts), self.default_prompt_name)

    @property
    def max_length(self) -> int:
        """Largest number of tokens per sentence, including special tokens."""
        return self._max_length

    @max_length.setter
    def max_length(self, value: int) -> None:
        self._max_length = check_integer("max_length", value, 3, self.config.max_length)

    @property
    def max_seq_length(self) -> int:
        """`max_length` under the name of sentence-transformers."""
        return self.max_length

    @max_seq_length.setter
    def max_seq_length(self, value: int) -> None:
        self.max_length = value

    @property
    def dim(self) -> int:  # type: ignore[override]
        """Dimension of the vectors."""
        return len(self.dense[-1].bias) if self.dense else self.config.hidden_size

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
            **({"normalize": True} if self.normalize else {}),
            **({"dense": hash_arrays(list(self.dense))} if self.dense else {}),
            **({"default_prompt": self.default_prompt} if self.default_prompt else {}),
        }

    @property
    def weights_hash(self) -> str:
        """Hash of the weights."""
        if self._digest[0] is not self.params:
            self._digest = (self.params, hash_arrays(self.params))
        return self._digest[1]

    @property
    def digest(self) -> str:
        """Hash of everything that determines the vectors: weights, tokenizer and options."""
        options = {**self.describe(), "encoder": None, "tokenizer": self.tokenizer.to_str()}
        return hash_text(self.weights_hash, json.dumps(options, sort_keys=True))

    def __repr__(self) -> str:
        """Returns the name, the sizes and the options of the encoder."""
        unit = ", normalize=True" if self.normalize else ""
        return (
            f"SentenceEncoder({self.name!r}, dim={self.dim}, pooling={self.pooling!r}, "
            f"max_length={self.max_length}{unit}, layers={self.config.num_hidden_layers})"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the parts of the encoder, without compiled functions and device arrays."""
        params = jax.tree.map(np.asarray, self.params)
        slow = isinstance(self.tokenizer, SlowTokenizer)
        tokenizer: Any = self.tokenizer if slow else self.tokenizer.to_str()
        parts = self._parts()._replace(params=params, tokenizer=tokenizer)
        options = {"name": self.name, "batch_size": self.batch_size, "dtype": self.dtype}
        return _restored, (type(self), parts, options)

    def embed(
        self,
        sentences: Sequence[str],
        batch_size: int | None = None,
        show_progress_bar: bool | None = False,
        prompt: str | None = None,
    ) -> np.ndarray:
        """Returns the vectors of n strings, shape `(n, dim)`, float32; see `encode`.

        Warns if more than a few percent of the tokens are unknown to the tokenizer.
        """
        if batch_size is not None:
            check_batch_size(batch_size)
        stream = self.encode_stream(sentences, batch_size, show_progress_bar, prompt)
        vectors = np.concatenate([np.zeros((0, self.dim), np.float32), *stream])
        warn_unknown(self.report.unknown, self.report.tokens, self.name)
        return vectors

    def encode_stream(
        self,
        sentences: Iterable[str],
        batch_size: int | None = None,
        show_progress_bar: bool | None = False,
        prompt: str | None = None,
    ) -> Iterator[np.ndarray]:
        """Embeds any number of sentences in constant memory; updates the counts in `report`.

        Args:
            sentences: strings.
            batch_size: approximate number of sentences per batch; None means `self.batch_size`.
            show_progress_bar: None shows the progress bar on a terminal only.
            prompt: prefix of every sentence; None means `default_prompt`.

        Yields:
            Vectors of up to `CHUNK` sentences, shape `(m, dim)`, float32, in the order of the
            sentences.
        """
        check_process()
        self.report = EncodeReport()
        options = (self.params, self.pooling, self.special_tokens, self.dtype)
        # Attributes may have been set since the last call.
        if not all(a is b for a, b in zip(self._embedder.options, options, strict=True)):
            self._embedder = Embedder(self.params, self.config, *options[1:])
        stream, total = iter(sentences), length_hint(sentences) or None
        prefix = self.default_prompt if prompt is None else prompt
        bar = track("embedding", total, unit="sentences", show_progress_bar=show_progress_bar)
        with bar as advance:
            while chunk := list(islice(stream, CHUNK)):
                # Empty sentences are counted without the prompt.
                self.report.empty += sum(not s.strip() for s in chunk)
                texts = [prefix + s for s in chunk] if prefix else chunk
                yield self._encode_chunk(texts, batch_size or self.batch_size, advance)

    def save(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Writes the encoder in Hugging Face's layout: config, weights and tokenizer.

        If the pooling, the length or another setting differs from the defaults, the function also
        writes `modules.json` and its files, from which `from_pretrained` and
        sentence-transformers read the settings.

        Args:
            folder: path of a new folder.
            overwrite: True replaces a folder of an earlier save, unless it contains other files.

        Raises:
            FlowjaxError: The folder is not empty, and `overwrite` is False or the folder contains
                files that were not saved with it.
        """
        save_parts(folder, self._parts(), overwrite=overwrite)

    def tokenize(self, sentences: Sequence[str]) -> list[list[int]]:
        """Returns the token ids of each sentence, truncated to `max_length`.

        Truncation keeps the last special token. The method adds to the counts in `report`.

        Args:
            sentences: n strings.

        Returns:
            Token ids of each sentence, including the special tokens.

        Raises:
            FlowjaxError: A sentence is not a string or has a lone surrogate.
        """
        texts, report, tokens = list(sentences), self.report, []
        special = self.tokenizer.num_special_tokens_to_add(False)
        for ids in encode_texts(self.tokenizer, texts, report.sentences):
            report.tokens += len(ids) - special
            if self._unknown is not None:
                report.unknown += ids.count(self._unknown)
            if len(ids) > self.max_length:
                ids = [*ids[: self.max_length - 1], ids[-1]]
                report.cut += 1
            tokens.append(ids)
        report.sentences += len(texts)
        return tokens

    def _encode_chunk(self, chunk: list[str], batch_size: int, advance: Any) -> np.ndarray:
        tokens = self.tokenize(chunk)
        vectors = self._embedder.vectors(tokens, batch_size, self.max_length, advance)
        if self.dense:
            vectors = apply_dense(self.dense, vectors)
        return unit(vectors) if self.normalize else vectors


def check_batch_size(value: Any) -> None:
    """Raises FlowjaxError if a batch size is not an integer of at least 1."""
    check_integer("batch_size", value, least=1)


def _restored(
    cls: type[SentenceEncoder], parts: Parts, options: dict[str, Any]
) -> SentenceEncoder:
    """Returns a pickled encoder."""
    from tokenizers import Tokenizer

    tokenizer: Any = parts.tokenizer
    if isinstance(tokenizer, str):
        tokenizer = Tokenizer.from_str(tokenizer)
    return cls._from_parts(parts._replace(tokenizer=tokenizer), **options)


def load_calibrated(folder: str | Path) -> tuple[SentenceEncoder, Path]:
    """Loads a folder of sentence-transformers whose last module is a `Calibration`.

    Args:
        folder: folder of `SentenceTransformer.save`.

    Returns:
        The encoder without the last module, and the folder of the flow.

    Raises:
        FlowjaxError: See `SentenceEncoder.from_pretrained`.
    """
    parts = load_parts(folder, "auto", None)
    settings = parts.settings._replace(calibration="")
    encoder = SentenceEncoder._from_parts(parts._replace(settings=settings), name=str(folder))
    return encoder, Path(folder) / parts.settings.calibration
