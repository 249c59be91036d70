"""Base class of sentence models, compatible with sentence-transformers and mteb.

The evaluators of both packages accept `SentenceEncoder` and `BertFlow`: `encode` has the arguments
of sentence-transformers and accepts data loaders of mteb, and the base class defines the
attributes that the evaluators read. Neither package is required.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

import numpy as np

from flowjax.data.sentences import checked
from flowjax.encoder.encode_options import (
    AllOptions,
    EncodeOptions,
    InputOptions,
    MtebOptions,
    Vector,
    Vectors,
)
from flowjax.encoder.precision import quantize
from flowjax.encoder.similarity import Similarities, tensor_of, unit
from flowjax.encoder.texts import texts_of
from flowjax.errors import FlowjaxError, check_choice
from flowjax.literals import Quantization

if TYPE_CHECKING:
    from torch import Tensor


class EvaluationCard:
    """Store of the metrics that evaluators of sentence-transformers report."""

    def __init__(self) -> None:
        self.metrics: list[dict[str, Any]] = []

    def set_evaluation_metrics(
        self, evaluator: Any, metrics: Mapping[str, Any], epoch: int = 0, step: int = 0
    ) -> None:
        """Records the metrics of an evaluator."""
        self.metrics.append({"evaluator": type(evaluator).__name__, **metrics})


class SentenceModel(Similarities, abc.ABC):
    """Base class of models that map sentences to vectors.

    A subclass defines `embed`, `dim`, `max_seq_length` and `model_name`, and `digest` if its
    vectors depend on more than its name. If it has a default prompt, its `embed` also has the
    argument `prompt`.

    Example:
        >>> class Lengths(SentenceModel):
        ...     dim, max_seq_length, model_name = 2, 64, "lengths"
        ...     def embed(self, sentences, batch_size=None, show_progress_bar=None):
        ...         return np.array([[len(s), 1] for s in sentences], np.float32)
        >>> Lengths().encode("four", prompt="a ")
        array([6., 1.], dtype=float32)
    """

    dim: int
    max_seq_length: int
    model_name: str
    similarity_fn_name = "cosine"
    device = "cpu"  # device of the returned vectors; JAX chooses the device of the computation

    @property
    def digest(self) -> str:
        """Hash of everything that determines the vectors."""
        return "local"

    @property
    def prompts(self) -> dict[str, str]:
        """Prefixes of sentences, by name, a dict that can be changed."""
        prompts: dict[str, str] = vars(self).setdefault("_prompts", {})
        return prompts

    @property
    def default_prompt_name(self) -> str | None:
        """Key in `prompts` of the prompt that is added to every sentence, or None."""
        return vars(self).get("_default_prompt")

    @default_prompt_name.setter
    def default_prompt_name(self, name: str | None) -> None:
        if name is not None:
            check_choice("default_prompt_name", name, self.prompts)
        vars(self)["_default_prompt"] = name

    @property
    def default_prompt(self) -> str:
        """Prompt that is added to sentences if no other prompt is given; or ""."""
        return self.prompts.get(self.default_prompt_name or "", "")

    @property
    def model_card_data(self) -> EvaluationCard:
        """Store of the metrics that evaluators of sentence-transformers report."""
        card: EvaluationCard = vars(self).setdefault("_card", EvaluationCard())
        return card

    @property
    def mteb_model_meta(self) -> Any:
        """Model metadata for mteb; the package must be installed."""
        from mteb.models.model_meta import ModelMeta, ScoringFunction

        name = self.model_name.strip("/").replace("/", "__") or "encoder"
        return ModelMeta.create_empty(
            {
                "name": f"flowjax/{name}",
                "revision": self.digest,  # mteb's cache identifies a model by name and revision
                "embed_dim": self.dim,
                "max_tokens": self.max_seq_length,
                "similarity_fn_name": ScoringFunction.COSINE,
                "framework": ["NumPy"],
            }
        )

    def get_embedding_dimension(self) -> int:
        """Returns the dimension of the vectors."""
        return self.dim

    def get_sentence_embedding_dimension(self) -> int:
        """Returns the dimension of the vectors (older name in sentence-transformers)."""
        return self.dim

    @abc.abstractmethod
    def embed(
        self, sentences: Sequence[str], batch_size: int | None, show_progress_bar: bool | None
    ) -> np.ndarray:
        """Returns the vectors of n strings, shape `(n, dim)`, float32."""

    @overload
    def encode(self, sentences: str, **options: Unpack[EncodeOptions]) -> Vector: ...

    @overload
    def encode(self, sentences: Iterable[Any], **options: Unpack[EncodeOptions]) -> Vectors: ...

    @overload
    def encode(
        self,
        sentences: str | Iterable[Any],
        *,
        convert_to_tensor: Literal[True],
        convert_to_numpy: bool = ...,
        **options: Unpack[EncodeOptions],
    ) -> Tensor: ...

    @overload
    def encode(
        self, sentences: str | Iterable[Any] | None = ..., **options: Unpack[AllOptions]
    ) -> Any: ...

    def encode(
        self,
        sentences: str | Iterable[Any] | None = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        output_value: Literal["sentence_embedding"] | None = "sentence_embedding",
        precision: Quantization | None = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: Any = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        **kwargs: Unpack[InputOptions],
    ) -> Any:
        """Embeds sentences, with the arguments of sentence-transformers.

        Args:
            sentences: an iterable of strings, a single string, or a data loader of mteb. Newer
                versions of sentence-transformers name this argument `inputs`; both are accepted.
            prompt_name: key of `prompts`; None means `default_prompt_name`.
            prompt: prefix of every sentence; overrides `prompt_name`. "" means no prompt.
            batch_size: approximate number of sentences per batch; None means the batch size of
                the encoder.
            show_progress_bar: True shows a progress bar on standard error; None shows the bar on
                a terminal only, after two seconds.
            output_value: `"sentence_embedding"`, the only supported value. For token vectors, use
                `Bert`.
            precision: `"float32"`, or one of `"int8"`, `"uint8"`, `"binary"` and `"ubinary"` to
                quantise as in sentence-transformers, with the range of each dimension over the
                returned vectors.
            convert_to_numpy: False returns a list of torch tensors; requires torch.
            convert_to_tensor: True returns one torch tensor on the CPU; requires torch.
            device: ignored; JAX chooses the device.
            normalize_embeddings: True scales each vector to length 1.
            truncate_dim: number of leading dimensions to keep, before the normalisation.
            **kwargs: task arguments of mteb, which are ignored.

        Returns:
            Vectors, shape `(n, dim)`, float32, or `(dim,)` for a single string.

        Raises:
            FlowjaxError: An input is not a string, or an argument is unknown or out of range.
        """
        sentences = kwargs.pop("inputs", None) if sentences is None else sentences
        given = {name for name, value in kwargs.items() if value is not None}
        if unknown := given - set(MtebOptions.__annotations__):
            raise FlowjaxError(
                f"encode: expected known arguments, got the unknown {sorted(unknown)}"
            )
        check_choice("output_value", output_value, ["sentence_embedding"])
        if truncate_dim is not None and not 1 <= truncate_dim <= self.dim:
            raise FlowjaxError(f"truncate_dim: expected 1 to {self.dim}, got {truncate_dim}")
        single = isinstance(sentences, str)
        if prompt is None and prompt_name is not None:
            known = self.prompts or ["the keys of model.prompts (empty)"]
            check_choice("prompt_name", prompt_name, known)
            prompt = self.prompts[prompt_name]
        items: list[Any] = [sentences] if single else texts_of(sentences)
        texts = list(checked(items))
        options: Any = {"batch_size": batch_size, "show_progress_bar": show_progress_bar}
        if self.default_prompt_name is not None:
            options["prompt"] = prompt
        elif prompt:
            texts = [prompt + text for text in texts]
        vectors = self.embed(texts, **options)[:, :truncate_dim]
        if normalize_embeddings:
            vectors = unit(vectors)
        vectors = quantize(vectors, precision or "float32")
        if convert_to_tensor or not convert_to_numpy:
            tensor = tensor_of(vectors)
            return tensor[0] if single else tensor if convert_to_tensor else list(tensor)
        return vectors[0] if single else vectors

    @overload
    def encode_query(self, sentences: str, **options: Unpack[EncodeOptions]) -> Vector: ...

    @overload
    def encode_query(
        self, sentences: Iterable[Any], **options: Unpack[EncodeOptions]
    ) -> Vectors: ...

    @overload
    def encode_query(
        self, sentences: str | Iterable[Any] | None = ..., **options: Unpack[AllOptions]
    ) -> Any: ...

    def encode_query(
        self, sentences: str | Iterable[Any] | None = None, **options: Unpack[AllOptions]
    ) -> Any:
        """Embeds queries: calls `encode` with the prompt `"query"` if it is defined.

        Args:
            sentences: queries, see `encode`.
            **options: other arguments of `encode`.

        Returns:
            The result of `encode`: vectors, shape `(n, dim)`, or `(dim,)` for a single string.

        Raises:
            FlowjaxError: See `encode`.
        """
        return self._encode_as(("query",), sentences, options)

    @overload
    def encode_document(self, sentences: str, **options: Unpack[EncodeOptions]) -> Vector: ...

    @overload
    def encode_document(
        self, sentences: Iterable[Any], **options: Unpack[EncodeOptions]
    ) -> Vectors: ...

    @overload
    def encode_document(
        self, sentences: str | Iterable[Any] | None = ..., **options: Unpack[AllOptions]
    ) -> Any: ...

    def encode_document(
        self, sentences: str | Iterable[Any] | None = None, **options: Unpack[AllOptions]
    ) -> Any:
        """Embeds documents: calls `encode` with the first defined prompt of three.

        These are `"document"`, `"passage"` and `"corpus"`.

        Args:
            sentences: documents, see `encode`.
            **options: other arguments of `encode`.

        Returns:
            The result of `encode`: vectors, shape `(n, dim)`, or `(dim,)` for a single string.

        Raises:
            FlowjaxError: See `encode`.
        """
        return self._encode_as(("document", "passage", "corpus"), sentences, options)

    def _encode_as(self, names: tuple[str, ...], sentences: Any, options: AllOptions) -> Any:
        if options.get("prompt") is None and options.get("prompt_name") is None:
            options["prompt_name"] = next((n for n in names if n in self.prompts), None)
            if options["prompt_name"] is None:
                options["prompt"] = ""  # as in sentence-transformers: not the default prompt
        return self.encode(sentences, **options)
