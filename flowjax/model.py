"""`BertFlow`: a frozen encoder and a flow, fitted, applied, saved and loaded as one model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Unpack, overload

import jax
import numpy as np

from flowjax import flows
from flowjax.bijectors.moments import Moments
from flowjax.calibration.auto import AUTO, Fitted, fit_rows, fit_selected, recipe_named
from flowjax.calibration.auto import fit_options as sentence_options
from flowjax.calibration.held import SampledSource, rest_of
from flowjax.calibration.poolings import has_default_pooling, pool
from flowjax.calibration.scores import Scores, SourceScores, scores_of_fit
from flowjax.data.sentences import open_source
from flowjax.encoder.adapter import EncoderAdapter
from flowjax.encoder.corpus import embed_source
from flowjax.encoder.digest import hash_arrays, hash_text
from flowjax.encoder.embed import SentenceEncoder
from flowjax.encoder.encode_options import PretrainedOptions
from flowjax.encoder.opened import open_encoder
from flowjax.encoder.sentence_model import SentenceModel
from flowjax.errors import check_names
from flowjax.fitting.keywords import FitOptions, RunOptions, SentenceFitOptions
from flowjax.fitting.result import FitResult
from flowjax.flows.arrays import ArrayCalls
from flowjax.flows.choices import FlowName
from flowjax.flows.recipe import options_of
from flowjax.literals import DEFAULT_ENCODER, PoolingOrAuto
from flowjax.parallel.forks import check_process
from flowjax.saving.flow import describe_flow
from flowjax.saving.model import SavedModel, load_model, save_model
from flowjax.saving.program import DEFAULT_PLATFORMS, export_program
from flowjax.types import Flow, FlowjaxError, Params, Recipe

CLIP_NORM = 1.0


class BertFlow(SourceScores, SentenceModel):
    """Sentence model of a frozen encoder and a flow fitted on its vectors (arXiv 2011.05864).

    Example:
        >>> model = BertFlow(flow="whitening")
        >>> _ = model.fit(["A man plays.", "A dog runs.", "Rain falls.", "The sun is hot."] * 100)
        >>> model.encode(["One sentence."]).shape
        (1, 256)
    """

    def __init__(
        self,
        encoder: Any = DEFAULT_ENCODER,
        pooling: PoolingOrAuto = "auto",
        flow: FlowName | Flow = "auto",
        max_length: int | Literal["auto"] = "auto",
        *,
        flow_options: Mapping[str, Any] | None = None,
        seed: int = 0,
        **encoder_options: Unpack[PretrainedOptions],
    ) -> None:
        """Loads the encoder and builds the flow, without fitting it.

        Args:
            encoder: "minibert-nli" or "minibert" (embedded), a local folder, a name on the Hugging
                Face hub, or a `SentenceEncoder`, whose own pooling and max_length are used. Also
                another object with a method `encode`, such as a `SentenceTransformer`; a saved
                model does not contain it.
            pooling: name of a pooling, see `flowjax.encoder.pooling.POOLINGS`. "auto" means the
                pooling in the folder of a sentence-transformers encoder, otherwise "first_last";
                a `fit` that selects the flow can then select "embeddings_last" instead.
            flow: "auto", name of a recipe (a key of `flows.RECIPES`), or a `Flow` with the dim of
                the encoder. "auto" fits `glow`, and `fit` selects plain, centred, standardized,
                whitened or glow vectors and the power of the latents, without labels.
            max_length: maximum number of tokens per sentence. "auto" means the length in the
                folder of a sentence-transformers encoder, otherwise 64.
            flow_options: keyword arguments of the recipe, for example `{"levels": 3}`; those of
                `glow` for "auto".
            seed: integer seed of the parameters, batches and samples.
            **encoder_options: `batch_size`, `special_tokens`, `normalize` and `dtype` of
                `SentenceEncoder`, and `revision` of a name on the hub.

        Raises:
            FlowjaxError: A name or an option is unknown, or the files are inconsistent.
        """
        check_names("BertFlow", encoder_options, PretrainedOptions.__annotations__)
        self.encoder = open_encoder(encoder, pooling, max_length, **encoder_options)
        given = not isinstance(encoder, (str, Path)) or pooling != "auto"
        self._pools = not given and has_default_pooling(self.encoder)
        self.is_auto = flow == AUTO if isinstance(flow, str) else False
        if isinstance(flow, str):
            name = recipe_named(flow, flow_options)
            flow = flows.make(name, self.encoder.dim, **(flow_options or {}))
        elif flow_options:
            raise FlowjaxError("flow_options: expected None if flow is a Flow, got options")
        if flow.dim != self.encoder.dim:
            raise FlowjaxError(
                f"flow: expected dim {self.encoder.dim} of encoder {self.encoder.name}, got "
                f"{flow.dim}"
            )
        self.flow = self._trained = flow
        self.seed = seed
        self.params: Params | None = None
        self.moments: Moments | None = None
        self.fitted_on: dict[str, Any] = {}
        self._calls = ArrayCalls(flow)

    @property
    def flow_name(self) -> str:
        """Name of the recipe of the flow; "auto" before a fit that selects the flow."""
        return AUTO if self.is_auto and self.params is None else self.flow.name

    @property
    def vectors_name(self) -> str:
        """Name of the calibrated vectors in reports: the flow, and a power that is not default.

        Examples are "glow" and "glow^0.75".
        """
        power = self.flow_options.get("latent_power", self.flow_options.get("power"))
        return self.flow_name if power is None else f"{self.flow_name}^{power:g}"

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
    def prompts(self) -> dict[str, str]:
        """Prefixes of sentences, by name; the dict of the encoder, which `save` writes."""
        return self.encoder.prompts

    @property
    def default_prompt_name(self) -> str | None:
        """Key in `prompts` of the prompt that the encoder adds to every sentence, or None."""
        return self.encoder.default_prompt_name

    @default_prompt_name.setter
    def default_prompt_name(self, name: str | None) -> None:
        self.encoder.default_prompt_name = name

    @property
    def max_seq_length(self) -> int:
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
        recipes = [self.flow.recipe, self._trained.recipe]
        if any(options is None for _, options in recipes):
            raise FlowjaxError(
                "pickle: expected the flow of a recipe, got a composed flow; use save and load"
            )
        state = (recipes, self.is_auto, self.seed, jax.tree.map(np.asarray, self.params))
        facts = (self.moments, dict(self.fitted_on), dict(self.prompts))
        scores = {"_null": self._null, "_log_prob": self._log_prob, "_pools": self._pools}
        return _restored, (type(self), self.encoder, state, facts), scores

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
        select: bool | None = None,
        show_progress_bar: bool | None = None,
        context: Any = None,
        **options: Unpack[RunOptions],
    ) -> FitResult:
        """Embeds sentences and fits the flow on their vectors; the encoder stays frozen.

        With `select`, a part of the sentences is held out, and the fit selects the vectors under
        which related texts made from them are most similar; see `calibration.select`. The
        attributes `flow` and `params` are then those of the selected flow, and
        `fitted_on["selection"]` has the table of all candidates and a sentence with the result.

        The selection judges cosine similarities. As a density, `glow` can be worse than a
        Gaussian; `fitted_on` has both likelihoods. For densities, use
        `BertFlow(flow="whitening_glow")` and `validation=0.1`: the flow starts as the Gaussian,
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
            select: True selects among plain vectors, closed forms and the flow of the model
                without labels; False fits the flow of the model; None means True if the flow is
                "auto".
            show_progress_bar: True shows progress bars; None shows them after two seconds, on a
                terminal and in Jupyter only.
            context: conditioning vectors of the sentences, shape (n, width), for a conditional
                flow; needs `select=False`.
            **options: other keyword arguments of `flowjax.fit`.

        Returns:
            The `FitResult`. Its params are also stored in the model.

        Raises:
            FlowjaxError: There are no sentences, a file cannot be read, or `optimizer` is given
                together with `learning_rate`, `weight_decay` or `clip_norm`.
        """
        check_names("fit", options, SentenceFitOptions.__annotations__)
        rates = learning_rate is not None or weight_decay is not None or clip_norm != CLIP_NORM
        if options.get("optimizer") is not None and rates:
            raise FlowjaxError(
                "optimizer: expected None if learning_rate, weight_decay or clip_norm is given, "
                "because these configure the default optimizer; got an optimizer"
            )
        source = open_source(sentences, column)
        selects = self.is_auto if select is None else select
        sampled = SampledSource(source, self.seed) if selects else None
        if self._pools:
            pool(self.encoder, sampled, self.seed)
        folder = None if out is None else Path(out) / "embeddings"
        vectors, facts = embed_source(
            self.encoder, sampled or source, folder, show_progress_bar=show_progress_bar
        )
        fit_options = sentence_options(
            out,
            steps=steps,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            clip_norm=clip_norm,
            show_progress_bar=show_progress_bar,
            **options,
        )
        if sampled is None:
            result = self.fit_vectors(vectors, context=context, **fit_options)
        else:
            held = sampled.held()
            given = self.encoder, self._trained, vectors, held
            fitted = fit_selected(*given, context=context, seed=self.seed, **fit_options)
            result = self._keep(fitted)
            self._score(rest_of(vectors, held), fit_options, vectors[held.rows])
        about = {"data": source.name if name is None else name}
        self.fitted_on = {**about, **facts, **self.fitted_on}
        return result

    def fit_vectors(
        self,
        vectors: np.ndarray,
        *,
        context: np.ndarray | None = None,
        **options: Unpack[FitOptions],
    ) -> FitResult:
        """Fits the flow on vectors of the encoder; "auto" means glow, without a selection.

        Args:
            vectors: plain vectors, shape (n, dim).
            context: conditioning vectors, shape (n, width), for a conditional flow.
            **options: keyword arguments of `flowjax.fit`. The length of the fit, `steps` or
                `epochs`, has the default of `flowjax.fit`.

        Returns:
            The `FitResult`. Its params are also stored in the model, and its likelihood in
            `fitted_on`.
        """
        check_names("fit_vectors", options, FitOptions.__annotations__)
        given = self.encoder, self._trained, vectors
        result = self._keep(fit_rows(*given, context=context, seed=self.seed, **options))
        if context is None:
            self._score(vectors, options)
        return result

    def embed(
        self,
        sentences: Sequence[str],
        batch_size: int | None = None,
        show_progress_bar: bool | None = False,
        prompt: str | None = None,
    ) -> np.ndarray:
        """Returns the calibrated vectors of sentences, shape (n, dim), float32.

        `encode` has more options.
        """
        self._fitted()
        plain = self.encoder.embed(sentences, batch_size, show_progress_bar, prompt)
        return self.transform(plain)

    def transform(self, vectors: np.ndarray) -> np.ndarray:
        """Returns the calibrated vectors of plain vectors, shape (n, dim)."""
        return self._arrays.forward(self._fitted(), vectors)

    def inverse_transform(self, vectors: np.ndarray) -> np.ndarray:
        """Returns the plain vectors of calibrated vectors, shape (n, dimension of the encoder)."""
        return self._arrays.inverse(self._fitted(), vectors)

    @overload
    def log_prob(self, sentences: str) -> np.floating[Any]: ...  # type: ignore[overload-overlap]

    @overload
    def log_prob(self, sentences: Sequence[str]) -> np.ndarray: ...

    def log_prob(self, sentences: str | Sequence[str]) -> np.ndarray | np.floating[Any]:
        """Returns the log-density of the plain vector of each sentence, shape (n,), in nats."""
        texts = [sentences] if isinstance(sentences, str) else sentences
        scores = self._arrays.log_prob(self._fitted(), self.encoder.encode(texts))
        return scores[0] if isinstance(sentences, str) else scores

    def sample_vectors(self, n: int, *, seed: int | None = None) -> np.ndarray:
        """Returns `n` plain vectors drawn from the fitted density, shape (n, dim)."""
        key = jax.random.key(self.seed if seed is None else seed)
        return np.asarray(self.flow.sample(self._fitted(), key, n))

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Writes a portable model folder and returns its path; see `saving.model.save_model`.

        Args:
            folder: folder to write.
            overwrite: True replaces a folder that flowjax wrote.

        Returns:
            Path of the folder.

        Raises:
            FlowjaxError: The model is not fitted, or the folder exists and `overwrite` is False.
        """
        saved = SavedModel(
            self.encoder, self.flow, self._fitted(), self.moments, self.seed, self.fitted_on
        )
        if self.scores is not None:
            saved = saved._replace(scores=self.scores.arrays())
        return save_model(folder, saved, overwrite=overwrite)

    def export(
        self,
        folder: str | Path,
        *,
        platforms: str | Sequence[str] = DEFAULT_PLATFORMS,
        overwrite: bool = False,
    ) -> Path:
        """Writes encoder, pooling and flow as one program that runs without flowjax.

        The program is StableHLO of `jax.export`, for any number of sentences and any length up to
        `max_seq_length`. The folder also has the tokenizer, the weights, and a `README.md` with an
        example of twenty lines. The vectors equal those of `encode` up to rounding.

        Args:
            folder: path of a new folder.
            platforms: one or several of cpu, cuda, rocm and tpu.
            overwrite: True replaces a folder of an earlier export.

        Returns:
            The path of the folder.

        Raises:
            FlowjaxError: The model is not fitted, a platform is unknown, the folder exists and
                `overwrite` is False, or the encoder is of another package.
        """
        return export_program(
            folder,
            self.encoder,
            self.flow,
            self._fitted(),
            platforms,
            prompt=self.default_prompt,
            overwrite=overwrite,
        )

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

        Returns:
            The fitted model.
        """
        if encoder is not None and not isinstance(encoder, EncoderAdapter):
            encoder = EncoderAdapter(encoder)
        saved = load_model(folder, flow, encoder)
        model = cls(saved.encoder, flow=saved.flow, seed=saved.seed)
        model.params, model.moments = saved.params, saved.moments
        model.fitted_on = dict(saved.fitted_on)
        if saved.scores is not None:
            model.scores = Scores.from_arrays(saved.scores, str(folder))
        return model

    @property
    def _arrays(self) -> ArrayCalls:
        check_process()
        if self._calls.flow is not self.flow:
            self._calls = ArrayCalls(self.flow)
        return self._calls

    def _keep(self, fitted: Fitted) -> FitResult:
        """Stores a fitted flow in the model."""
        self.flow, self.params, self.moments = fitted.flow, fitted.params, fitted.moments
        self.fitted_on = fitted.facts
        self.scores = None
        return fitted.result

    def _score(
        self, vectors: Any, options: Mapping[str, Any], held: np.ndarray | None = None
    ) -> None:
        """Computes the null distribution after a fit; `measured=False` skips it."""
        if options.get("measured", True):
            self.scores = scores_of_fit(
                self.flow,
                self._fitted(),
                vectors,
                held=held,
                weighted=options.get("weights") is not None,
                calls=self._arrays,
                seed=self.seed,
            )

    def _fitted(self) -> Params:
        if self.params is None:
            raise FlowjaxError(
                "model: expected a fitted model, got a model without parameters; call fit or load"
            )
        return self.params


def _restored(
    cls: type[BertFlow],
    encoder: SentenceEncoder | EncoderAdapter,
    state: tuple[list[Recipe], bool, int, Params | None],
    facts: tuple[Moments | None, dict[str, Any], dict[str, str]],
) -> BertFlow:
    """Returns a pickled model."""
    recipes, is_auto, seed, params = state
    made, trained = (flows.make(name, encoder.dim, **(options or {})) for name, options in recipes)
    model = cls(encoder, flow=made, seed=seed)
    model._trained, model.is_auto = trained, is_auto
    model.params = params
    model.moments, model.fitted_on, prompts = facts
    model.prompts.update(prompts)
    return model
