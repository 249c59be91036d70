"""`BertFlow`: a frozen encoder and a flow, fitted, applied, saved and loaded as one model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowjax import flows
from flowjax.bijectors.moments import Moments
from flowjax.data.arrays import ArraySource
from flowjax.data.sentences import open_source
from flowjax.encoder.adapter import EncoderAdapter
from flowjax.encoder.corpus import embed_source
from flowjax.encoder.digest import hash_arrays, hash_text
from flowjax.encoder.embed import SentenceEncoder
from flowjax.encoder.sentence_model import SentenceModel
from flowjax.fitting.fit import FitResult, fit
from flowjax.fitting.options import batch_size_for
from flowjax.fitting.passes import moments_of_rows
from flowjax.flows.recipe import options_of
from flowjax.parallel.devices import make_mesh
from flowjax.parallel.forks import check_process
from flowjax.saving.flow import describe_flow
from flowjax.saving.model import SavedModel, load_model, save_model
from flowjax.training.optimizers import default_optimizer
from flowjax.types import Flow, FlowjaxError, Params

CLIP_NORM = 1.0
# Sentences per training step.
BATCH_SIZE = 64
# Vectors per call of the flow.
ROWS = 4096


class BertFlow(SentenceModel):
    """Sentence model of a frozen encoder and a flow fitted on its vectors (arXiv 2011.05864).

    Example:
        >>> model = BertFlow(flow="whitening")
        >>> _ = model.fit(["A man plays.", "A dog runs.", "Rain falls.", "The sun is hot."] * 100)
        >>> model.encode(["One sentence."]).shape
        (1, 256)
    """

    def __init__(
        self,
        encoder: Any = "minibert",
        pooling: str = "auto",
        flow: str | Flow = "glow",
        max_length: int | str = "auto",
        *,
        flow_options: Mapping[str, Any] | None = None,
        seed: int = 0,
        **encoder_options: Any,
    ) -> None:
        """Loads the encoder and builds the flow, without fitting it.

        Args:
            encoder: "minibert", a local folder, a name on the Hugging Face hub, or a
                `SentenceEncoder`, whose own pooling and max_length are used. Also another object
                with a method `encode`, such as a `SentenceTransformer`; a saved model does not
                contain it.
            pooling: name of a pooling, see `flowjax.encoder.pooling.POOLINGS`. "auto" means the
                pooling in the folder of a sentence-transformers encoder, otherwise "first_last".
            flow: name of a recipe (a key of `flows.RECIPES`), or a `Flow` with the dim of the
                encoder.
            max_length: maximum number of tokens per sentence. "auto" means the length in the
                folder of a sentence-transformers encoder, otherwise 64.
            flow_options: keyword arguments of the recipe, for example `{"levels": 3}`.
            seed: integer seed of the parameters, batches and samples.
            **encoder_options: `batch_size`, `special_tokens`, `normalize` and `dtype` of
                `SentenceEncoder`, and `revision` of a name on the hub.

        Raises:
            FlowjaxError: A name or an option is unknown, or the files are inconsistent.
        """
        self.encoder: SentenceEncoder | EncoderAdapter
        if isinstance(encoder, (str, Path)):
            self.encoder = SentenceEncoder.from_pretrained(
                encoder, pooling=pooling, max_length=max_length, **encoder_options
            )
        elif isinstance(encoder, (SentenceEncoder, EncoderAdapter)):
            self.encoder = encoder
        elif callable(getattr(encoder, "encode", None)):
            self.encoder = EncoderAdapter(encoder)
        else:
            raise FlowjaxError(
                "encoder: expected a name, a folder or an object with encode, got "
                f"{type(encoder).__name__}"
            )
        self.prompts.update(self.encoder.prompts)
        if isinstance(flow, str):
            flow = flows.make(flow, self.encoder.dim, **(flow_options or {}))
        elif flow_options:
            raise FlowjaxError("flow_options: expected None if flow is a Flow, got options")
        if flow.dim != self.encoder.dim:
            raise FlowjaxError(
                f"flow: expected dim {self.encoder.dim} of encoder {self.encoder.name}, got "
                f"{flow.dim}"
            )
        self.flow = flow
        self.seed = seed
        self.params: Params | None = None
        self.moments: Moments | None = None
        self.fitted_on: dict[str, Any] = {}
        self._calls: dict[str, Callable[..., Any]] = {
            "forward": jax.jit(lambda params, x: self.flow.forward(params, x)[0]),
            "log_prob": jax.jit(self.flow.log_prob),
        }

    @property
    def flow_name(self) -> str:
        """Name of the recipe of the flow."""
        return self.flow.name

    @property
    def flow_options(self) -> dict[str, Any]:
        """Options of the flow that differ from the defaults of its recipe."""
        name, options = self.flow.recipe
        if options is None:  # a composed flow
            return {}
        defaults = {key: option.default for key, option in options_of(name).items()}
        return {key: value for key, value in options.items() if value != defaults[key]}

    @property
    def dim(self) -> int:  # type: ignore[override]
        """Dimension of the calibrated vectors."""
        return self.flow.latent_dim or self.flow.dim

    @property
    def max_seq_length(self) -> int:  # type: ignore[override]
        """Maximum number of tokens per sentence."""
        return self.encoder.max_seq_length

    @max_seq_length.setter
    def max_seq_length(self, value: int) -> None:
        self.encoder.max_seq_length = value  # type: ignore[misc]

    @property
    def digest(self) -> str:
        """Hash of everything that determines the vectors: the encoder, the flow, its params."""
        params = self._fitted()
        flow = json.dumps(describe_flow(self.flow, params), sort_keys=True, default=str)
        return hash_text(self.encoder.digest, flow, hash_arrays(params))

    def __repr__(self) -> str:
        """Returns the encoder, the flow and its options, and whether the model is fitted."""
        options = "".join(f", {key}={value!r}" for key, value in self.flow_options.items())
        state = "fitted" if self.params is not None else "not fitted"
        return f"BertFlow({self.encoder!r}, flow={self.flow_name!r}{options}, {state})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the encoder, the recipe of the flow and the params.

        Raises:
            FlowjaxError: The flow is a composed flow, which has no recipe.
        """
        name, options = self.flow.recipe
        if options is None:
            raise FlowjaxError(
                "pickle: expected the flow of a recipe, got a composed flow; use save and load"
            )
        state = (name, dict(options), self.seed, jax.tree.map(np.asarray, self.params))
        facts = (self.moments, dict(self.fitted_on), dict(self.prompts))
        return _restored, (type(self), self.encoder, state, facts)

    @property
    def model_name(self) -> str:  # type: ignore[override]
        """Name of the model in mteb."""
        return f"{self.encoder.model_name}-{self.flow_name}"

    def fit(
        self,
        sentences: str | Path | Iterable[str],
        *,
        column: str | None = None,
        name: str | None = None,
        out: str | Path | None = None,
        steps: int | None = None,
        epochs: float | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        weight_decay: float | None = None,
        clip_norm: float | None = CLIP_NORM,
        show_progress_bar: bool | None = None,
        **options: Any,
    ) -> FitResult:
        """Embeds sentences and fits the flow on their vectors; the encoder stays frozen.

        The default flow `glow` can be a worse density than a Gaussian; `fit` then warns. With
        `BertFlow(flow="whitening_glow")` and `validation=0.1`, the flow starts as the Gaussian,
        and the fit returns the parameters with the best held-out likelihood.

        Args:
            sentences: a list or another iterable; a path, several paths or a pattern of `.txt`,
                `.jsonl`, `.json`, `.csv`, `.tsv` or `.parquet` files (see `open_source`);
                `tfds:NAME[/SPLIT][:COLUMN]`; or, with `column`, a DataFrame or a
                `datasets.Dataset`. Empty sentences are skipped and counted. Files are streamed; if
                `out` is given, the vectors are stored on disk.
            column: name of the column with the sentences.
            name: name of the data in the model card.
            out: run folder for vectors and checkpoints; an interrupted fit in this folder resumes.
            steps: number of training steps. Give `steps` or `epochs` or neither: then the fit is
                one pass long, as in the paper, but at least 1,000 steps.
            epochs: number of passes over the sentences.
            batch_size: number of sentences per step; None means 64, or the next multiple of the
                devices and micro-batches.
            learning_rate: learning rate of Adam; None means 1e-3.
            weight_decay: weight decay of AdamW; None means 0.
            clip_norm: largest global gradient norm; None means no limit.
            show_progress_bar: True shows a progress bar; None shows the bar on a terminal only.
            **options: keyword arguments of `flowjax.fit`.

        Returns:
            The `FitResult`. Its params are also stored in the model.

        Raises:
            FlowjaxError: There are no sentences, a file cannot be read, or `optimizer` is given
                together with `learning_rate`, `weight_decay` or `clip_norm`.
        """
        rates = learning_rate is not None or weight_decay is not None or clip_norm != CLIP_NORM
        if options.get("optimizer") is not None and rates:
            raise FlowjaxError(
                "optimizer: expected None if learning_rate, weight_decay or clip_norm is given, "
                "because these configure the default optimizer; got an optimizer"
            )
        source = open_source(sentences, column)
        if name is None:
            name = source.name
        folder = None if out is None else Path(out) / "embeddings"
        vectors, facts = embed_source(
            self.encoder, source, folder, show_progress_bar=show_progress_bar
        )
        options.setdefault(
            "optimizer",
            default_optimizer(
                1e-3 if learning_rate is None else learning_rate,
                weight_decay=weight_decay or 0.0,
                clip_norm=clip_norm,
            ),
        )
        if out is not None:
            options.setdefault("checkpoint_dir", Path(out) / "checkpoints")
        if batch_size is None:
            mesh = make_mesh(options.get("devices"))
            batch_size = batch_size_for(mesh.size, options.get("accumulate", 1), BATCH_SIZE)
        options |= {"steps": steps, "epochs": epochs, "batch_size": batch_size}
        result = self.fit_vectors(vectors, **options)
        self.fitted_on = {"data": name, **facts, **self.fitted_on}
        return result

    def fit_vectors(
        self, vectors: np.ndarray, *, context: np.ndarray | None = None, **options: Any
    ) -> FitResult:
        """Fits the flow on vectors of the encoder.

        Args:
            vectors: plain vectors, shape (n, dim).
            context: conditioning vectors, shape (n, width), for a conditional flow.
            **options: keyword arguments of `flowjax.fit`. The length of the fit, `steps` or
                `epochs`, has the default of `flowjax.fit`.

        Returns:
            The `FitResult`. Its params are also stored in the model, and its likelihood in
            `fitted_on`.
        """
        weights = options.pop("weights", None)
        source = ArraySource(vectors, context, weights=weights, name="embeddings")
        if source.dim != self.flow.dim:
            raise FlowjaxError(
                f"embeddings: expected (n, {self.flow.dim}) from encoder {self.encoder.name}, got "
                f"({source.size}, {source.dim})"
            )
        self.moments = moments_of_rows(source, ROWS)
        result = fit(self.flow, source, key=self.seed, **options)
        self.params = result.params
        self.fitted_on = {"steps": result.steps, **result.likelihood}
        return result

    def embed(
        self,
        sentences: Sequence[str],
        batch_size: int | None = None,
        show_progress_bar: bool | None = False,
    ) -> np.ndarray:
        """Returns the calibrated vectors of sentences, shape (n, dim), float32.

        `encode` has more options.
        """
        self._fitted()
        return self.transform(self.encoder.embed(sentences, batch_size, show_progress_bar))

    def transform(self, vectors: np.ndarray) -> np.ndarray:
        """Returns the calibrated vectors of plain vectors, shape (n, dim)."""
        return self._through("forward", vectors, (self.dim,))

    def log_prob(self, sentences: str | Sequence[str]) -> np.ndarray:
        """Returns the log-density of the plain vector of each sentence, shape (n,), in nats."""
        texts = [sentences] if isinstance(sentences, str) else sentences
        scores = self._through("log_prob", self.encoder.encode(texts), ())
        return scores[0] if isinstance(sentences, str) else scores

    def sample_vectors(self, n: int, *, seed: int | None = None) -> np.ndarray:
        """Returns `n` plain vectors drawn from the fitted density, shape (n, dim)."""
        key = jax.random.key(self.seed if seed is None else seed)
        return np.asarray(self.flow.sample(self._fitted(), key, n))

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Writes a portable model folder and returns its path; see `saving.model.save_model`.

        Raises:
            FlowjaxError: The model is not fitted, or the folder exists and `overwrite` is False.
        """
        saved = SavedModel(
            self.encoder, self.flow, self._fitted(), self.moments, self.seed, self.fitted_on
        )
        return save_model(folder, saved, overwrite=overwrite)

    @classmethod
    def load(
        cls, folder: str | Path, *, flow: Flow | None = None, encoder: Any = None
    ) -> BertFlow:
        """Loads a model from a folder.

        Args:
            folder: folder that `save` wrote, or a run folder.
            flow: the saved flow if it is a composed flow; None for a recipe.
            encoder: the encoder of another package that the model was fitted with; None for an
                encoder that `save` wrote.
        """
        if encoder is not None and not isinstance(encoder, EncoderAdapter):
            encoder = EncoderAdapter(encoder)
        saved = load_model(folder, flow, encoder)
        model = cls(saved.encoder, flow=saved.flow, seed=saved.seed)
        model.params, model.moments = saved.params, saved.moments
        model.fitted_on = dict(saved.fitted_on)
        return model

    def _through(self, call: str, vectors: np.ndarray, tail: tuple[int, ...]) -> np.ndarray:
        check_process()
        params = self._fitted()
        vectors = np.asarray(vectors, np.float32)
        if vectors.ndim != 2 or vectors.shape[1] != self.flow.dim:
            raise FlowjaxError(f"vectors: expected (n, {self.flow.dim}), got {vectors.shape}")
        result = np.empty((len(vectors), *tail), np.float32)
        for start in range(0, len(vectors), ROWS):
            block = vectors[start : start + ROWS]
            # The last block is padded to a power of two, so that few shapes are compiled.
            rows = min(ROWS, 1 << (len(block) - 1).bit_length())
            padded = np.concatenate([block, np.repeat(block[:1], rows - len(block), axis=0)])
            done = self._calls[call](params, jnp.asarray(padded))
            result[start : start + len(block)] = np.asarray(done)[: len(block)]
        return result

    def _fitted(self) -> Params:
        if self.params is None:
            raise FlowjaxError(
                "model: expected a fitted model, got a model without parameters; call fit or load"
            )
        return self.params


def _restored(
    cls: type[BertFlow],
    encoder: SentenceEncoder | EncoderAdapter,
    state: tuple[str, dict[str, Any], int, Params | None],
    facts: tuple[Moments | None, dict[str, Any], dict[str, str]],
) -> BertFlow:
    """Returns a pickled model."""
    name, options, seed, params = state
    model = cls(encoder, flow=flows.make(name, encoder.dim, **options), seed=seed)
    model.params = params
    model.moments, model.fitted_on, prompts = facts
    model.prompts.update(prompts)
    return model
