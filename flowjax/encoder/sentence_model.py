"""What sentence-transformers and mteb look for on a model, in one base class.

Their evaluators take `SentenceEncoder` and `BertFlow` as they are: `encode` has
sentence-transformers' argument names (and reads mteb's data loaders), and the few attributes
beside it that both packages ask for are here. Neither package is imported before it asks.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from flowjax.encoder.precision import quantize

# What mteb tells every model about the task, and what sentence-transformers' processes need.
_IGNORED = {"task_metadata", "hf_split", "hf_subset", "prompt_type", "task"}


class EvaluationCard:
    """Keeps what sentence-transformers' evaluators report of a model."""

    def __init__(self) -> None:
        self.metrics: list[dict[str, Any]] = []

    def set_evaluation_metrics(
        self, evaluator: Any, metrics: Mapping[str, Any], epoch: int = 0, step: int = 0
    ) -> None:
        """Called by an evaluator when it is done."""
        self.metrics.append({"evaluator": type(evaluator).__name__, **metrics})


class SentenceModel(abc.ABC):
    """Base class of what turns sentences into vectors.

    A subclass gives `embed`, `dim`, `max_seq_length` and `model_name`.

    Example:
        >>> class Lengths(SentenceModel):
        ...     dim, max_seq_length, model_name = 2, 64, "lengths"
        ...     def embed(self, sentences, batch_size=None, progress=None):
        ...         return np.array([[len(s), 1] for s in sentences], np.float32)
        >>> Lengths().encode("four", prompt="a ")
        array([6., 1.], dtype=float32)
    """

    dim: int
    max_seq_length: int
    model_name: str
    similarity_fn_name = "cosine"
    device = "cpu"  # where vectors are given back; the work is done where JAX is

    @property
    def prompts(self) -> dict[str, str]:
        """Texts put before sentences, by name; yours to fill: `model.prompts["query"] = "q: "`."""
        return self.__dict__.setdefault("_prompts", {})

    @property
    def model_card_data(self) -> EvaluationCard:
        """Where sentence-transformers' evaluators leave their metrics."""
        return self.__dict__.setdefault("_card", EvaluationCard())

    @property
    def mteb_model_meta(self) -> Any:
        """A description of the model for mteb, which must be installed."""
        from mteb.models.model_meta import ModelMeta

        name = self.model_name.strip("/").replace("/", "__") or "encoder"
        return ModelMeta.create_empty(
            {
                "name": f"flowjax/{name}",
                "revision": "local",
                "embed_dim": self.dim,
                "max_tokens": self.max_seq_length,
                "similarity_fn_name": "cosine",
                "framework": ["NumPy"],
            }
        )

    def get_embedding_dimension(self) -> int:
        """The width of the vectors."""
        return self.dim

    def get_sentence_embedding_dimension(self) -> int:
        """The same, by sentence-transformers' older name."""
        return self.dim

    @abc.abstractmethod
    def embed(
        self, sentences: Sequence[str], batch_size: int | None, progress: bool | None
    ) -> np.ndarray:
        """Maps n strings to `(n, dim)` float32."""

    def encode(
        self,
        sentences: str | Iterable[Any] | None = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        output_value: str | None = "sentence_embedding",
        precision: str | None = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: Any = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Embeds sentences; the arguments are sentence-transformers'.

        Args:
            sentences: a list or other iterable, one string, or mteb's data loader. Newer
                versions of sentence-transformers call it `inputs`, which is taken too.
            prompt_name: a key of `prompts`.
            prompt: put before every sentence; `prompt_name` then does not count.
            batch_size: about how many sentences are computed together; the encoder's own if left
                out.
            show_progress_bar: on standard error; None shows it on a terminal, when it takes long.
            output_value: `"sentence_embedding"`; there is no other.
            precision: `"float32"`, or `"int8"`, `"uint8"`, `"binary"` and `"ubinary"`, which
                quantise as sentence-transformers does (ranges from these very vectors).
            convert_to_numpy: False gives a list of torch tensors; needs torch.
            convert_to_tensor: gives one torch tensor, on the CPU; needs torch.
            device: accepted; JAX knows its devices.
            normalize_embeddings: scales each vector to length 1.
            truncate_dim: keeps the first so many entries, before the scaling.
            **kwargs: what mteb says about its task, which changes nothing here.

        Returns:
            `(n, dim)` float32, or `(dim,)` for one string.

        Raises:
            ValueError: no strings, or an argument that has no meaning here.
        """
        sentences = kwargs.pop("inputs", None) if sentences is None else sentences
        if unknown := {k for k in kwargs if kwargs[k] is not None} - _IGNORED:
            raise ValueError(f"encode: expected no argument {', '.join(sorted(unknown))}, got one")
        if output_value != "sentence_embedding":
            raise ValueError(
                f"output_value: expected 'sentence_embedding', got {output_value!r} "
                f"(flowjax.encoder.bert.Bert gives the tokens' states)"
            )
        if truncate_dim is not None and not 1 <= truncate_dim <= self.dim:
            raise ValueError(f"truncate_dim: expected 1 to {self.dim}, got {truncate_dim}")
        one = isinstance(sentences, str)
        texts: list[Any] = [sentences] if one else texts_of(sentences)
        check_sentences(texts)
        if before := self._prompt(prompt, prompt_name):
            texts = [before + text for text in texts]
        vectors = self.embed(texts, batch_size, show_progress_bar)[:, :truncate_dim]
        if normalize_embeddings:
            vectors = unit(vectors)
        vectors = quantize(vectors, precision or "float32")
        if convert_to_tensor or not convert_to_numpy:
            tensor = _torch().from_numpy(np.ascontiguousarray(vectors))
            return tensor[0] if one else tensor if convert_to_tensor else list(tensor)
        return vectors[0] if one else vectors

    def encode_query(self, sentences: Any = None, **options: Any) -> Any:
        """`encode`, with the prompt `"query"` if there is one."""
        return self._encode_as(("query",), sentences, options)

    def encode_document(self, sentences: Any = None, **options: Any) -> Any:
        """`encode`, with the prompt `"document"`, `"passage"` or `"corpus"` if there is one."""
        return self._encode_as(("document", "passage", "corpus"), sentences, options)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Cosine similarities of all pairs.

        Args:
            embeddings1: a string, strings, or vectors `(n, dim)` or `(dim,)`.
            embeddings2: the same, m of them.

        Returns:
            `(n, m)` float32; a torch tensor for torch tensors; a plain number for two strings.
        """
        left, right = self._unit(embeddings1), self._unit(embeddings2)
        if isinstance(embeddings1, str) and isinstance(embeddings2, str):
            return (left @ right.T)[0, 0]
        return _like(left @ right.T, embeddings1)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Cosine similarities `(n,)` of the first with the first, the second with the second, ...

        Raises:
            ValueError: there are not as many on both sides.
        """
        left, right = self._unit(embeddings1), self._unit(embeddings2)
        if len(left) != len(right):
            raise ValueError(
                f"embeddings2: expected {len(left)} as in embeddings1, got {len(right)}"
            )
        return _like((left * right).sum(1), embeddings1)

    def _encode_as(self, names: tuple[str, ...], sentences: Any, options: dict[str, Any]) -> Any:
        if options.get("prompt") is None and options.get("prompt_name") is None:
            options["prompt_name"] = next((n for n in names if n in self.prompts), None)
        return self.encode(sentences, **options)

    def _prompt(self, prompt: str | None, name: str | None) -> str:
        if prompt is None and name is not None:
            if name not in self.prompts:
                known = ", ".join(self.prompts) or "none yet (model.prompts is empty)"
                raise ValueError(f"prompt_name: expected one of {known}, got {name!r}")
            prompt = self.prompts[name]
        return prompt or ""

    def _unit(self, values: Any) -> np.ndarray:
        """Unit vectors `(n, dim)` of sentences or vectors."""
        if isinstance(values, str):
            values = [values]
        if not hasattr(values, "shape"):  # no array of whichever library
            values = list(values)
            if not (values and hasattr(values[0], "shape")):
                check_sentences(values)
                return self.encode(values, normalize_embeddings=True)
            values = np.stack([np.asarray(value) for value in values])
        vectors = np.asarray(values, np.float32)
        return unit(vectors[None] if vectors.ndim == 1 else vectors)


def texts_of(inputs: Any) -> list[Any]:
    """The texts of an iterable; mteb's data loaders give `{"text": [...]}`, a batch at a time.

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
    """Refuses what is not all strings, naming the first that is not.

    Raises:
        ValueError: see above.
    """
    for i, sentence in enumerate(sentences):
        if not isinstance(sentence, str):
            raise ValueError(f"sentences: expected strings, got {type(sentence).__name__} at {i}")


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors `(n, dim)` scaled to length 1; zeros stay."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _like(scores: np.ndarray, values: Any) -> Any:
    """Scores as a torch tensor, if the vectors were one."""
    if type(values).__module__.partition(".")[0] == "torch":
        return _torch().from_numpy(np.ascontiguousarray(scores))
    return scores


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise ValueError(
            "convert_to_tensor: expected torch to be installed, found none; leave it out for NumPy"
        ) from None
    return torch
