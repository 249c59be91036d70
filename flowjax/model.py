"""`BertFlow`: sentences in, calibrated vectors out, in one object that can be saved."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowjax import flows
from flowjax.bijectors.moments import Moments
from flowjax.data.arrays import ArraySource
from flowjax.data.sentences import SentenceSource, open_source
from flowjax.encoder.corpus import embed_in_memory, embed_in_store
from flowjax.encoder.embed import SentenceEncoder
from flowjax.encoder.sentence_model import SentenceModel
from flowjax.fitting.fit import FitResult, fit
from flowjax.fitting.passes import moments_of_rows
from flowjax.training.optimizers import default_optimizer
from flowjax.types import Flow, FlowjaxError, Params

logger = logging.getLogger("flowjax")
# Rows that go through the flow in one call.
ROWS = 4096


class BertFlow(SentenceModel):
    """A frozen encoder and a flow fitted on its vectors (BERT-flow, arXiv 2011.05864).

    Example:
        >>> model = BertFlow(flow="whitening")
        >>> _ = model.fit(["A man plays.", "A dog runs.", "Rain falls.", "The sun is hot."] * 100)
        >>> model.encode(["One sentence."]).shape
        (1, 256)
    """

    def __init__(
        self,
        encoder: str | Path | SentenceEncoder = "minibert",
        pooling: str = "first_last",
        flow: str | Flow = "glow",
        max_length: int = 64,
        *,
        flow_options: Mapping[str, Any] | None = None,
        seed: int = 0,
        **encoder_options: Any,
    ) -> None:
        """Names the parts; nothing is fitted yet.

        Args:
            encoder: `"minibert"`, a local folder, a name on the Hugging Face hub, or a
                `SentenceEncoder` (whose own pooling and max_length then count).
            pooling: one of `encoder.pooling.POOLINGS`.
            flow: a recipe's name (`flows.make` lists them) or a `Flow` of the encoder's dim.
            max_length: tokens kept of a sentence.
            flow_options: keyword arguments of the recipe, such as `{"levels": 3}`.
            seed: of parameters, batches and samples.
            **encoder_options: `batch_size`, `special_tokens`, `dtype`.

        Raises:
            ValueError: an unknown name or option, or files that do not fit together.
        """
        if isinstance(encoder, SentenceEncoder):
            self.encoder = encoder
        else:
            self.encoder = SentenceEncoder.from_pretrained(
                encoder, pooling=pooling, max_length=max_length, **encoder_options
            )
        self.flow_options = dict(flow_options or {})
        if isinstance(flow, str):
            self.flow = flows.make(flow, self.encoder.dim, **self.flow_options)
            self.flow_name = flow
        else:
            self.flow, self.flow_name = flow, flow.name
            if flow.dim != self.encoder.dim:
                raise FlowjaxError(
                    f"flow: expected dim {self.encoder.dim} of encoder {self.encoder.name}, got "
                    f"{flow.dim}"
                )
        self.seed = seed
        self.params: Params | None = None
        self.moments: Moments | None = None
        self.fitted_on: dict[str, Any] = {}
        self._calls: dict[str, Callable[..., Any]] = {
            "forward": jax.jit(lambda params, x: self.flow.forward(params, x)[0]),
            "log_prob": jax.jit(self.flow.log_prob),
        }

    @property
    def dim(self) -> int:  # type: ignore[override]
        """The width of the calibrated vectors."""
        return self.flow.latent_dim or self.flow.dim

    @property
    def max_seq_length(self) -> int:  # type: ignore[override]
        """Tokens kept of a sentence."""
        return self.encoder.max_length

    @property
    def model_name(self) -> str:  # type: ignore[override]
        """What mteb calls it."""
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
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        clip_norm: float | None = 1.0,
        show_progress_bar: bool | None = None,
        **options: Any,
    ) -> FitResult:
        """Embeds sentences, once, and fits the flow on their vectors; the encoder stays frozen.

        Args:
            sentences: a list or other iterable, a path to `.txt`, `.jsonl`, `.csv`, `.tsv` or
                `.parquet`, or `tfds:NAME[/SPLIT][:COLUMN]`. Empty ones are left out and counted.
                A file is never in memory as a whole; with `out` its vectors are not either.
            column: the file's column.
            name: what the data is called in the model card.
            out: a run folder: vectors and checkpoints are kept there, and an interrupted fit goes
                on where it stopped.
            steps: training steps, or
            epochs: passes over the sentences; one, as in the paper, if neither is given.
            batch_size: sentences a step.
            learning_rate: of Adam.
            weight_decay: of AdamW.
            clip_norm: largest global gradient norm; None for no limit.
            show_progress_bar: None shows it on a terminal.
            **options: of `flowjax.fit`.

        Returns:
            The `FitResult`; the model keeps its params.

        Raises:
            ValueError: no sentences, or a file that cannot be read.
        """
        source = open_source(sentences, column)
        if name is None:
            name = source.name
        vectors, facts = self._embed(source, out, show_progress_bar)
        self.fitted_on = {"data": name, **facts}
        if facts["empty"]:
            logger.warning(
                "fit: left out %d empty sentences of %d",
                facts["empty"],
                facts["empty"] + facts["sentences"],
            )
        if facts["cut"]:
            logger.warning(
                "fit: cut %d of %d sentences at max_length %d",
                facts["cut"],
                facts["sentences"],
                self.encoder.max_length,
            )
        if steps is None and epochs is None:
            epochs = 1.0
        options.setdefault(
            "optimizer",
            default_optimizer(learning_rate, weight_decay=weight_decay, clip_norm=clip_norm),
        )
        if out is not None:
            options.setdefault("checkpoint_dir", Path(out) / "checkpoints")
        return self.fit_vectors(
            vectors, steps=steps, epochs=epochs, batch_size=batch_size, **options
        )

    def fit_vectors(
        self, vectors: np.ndarray, *, context: np.ndarray | None = None, **options: Any
    ) -> FitResult:
        """Fits the flow on vectors that are there already.

        Args:
            vectors: `(n, dim)` of the encoder.
            context: `(n, width)`, for a conditional flow.
            **options: of `flowjax.fit`.

        Returns:
            The `FitResult`; the model keeps its params.
        """
        source = ArraySource(vectors, context, name="embeddings")
        if source.dim != self.flow.dim:
            raise FlowjaxError(
                f"embeddings: expected (n, {self.flow.dim}) from encoder {self.encoder.name}, got "
                f"({source.size}, {source.dim})"
            )
        self.moments = moments_of_rows(source, ROWS)
        result = fit(self.flow, source, key=self.seed, **options)
        self.params = result.params
        if result.metrics:
            self.fitted_on |= {"steps": result.steps, "nll_nats": result.metrics[-1]["nll_nats"]}
        return result

    def embed(
        self,
        sentences: Sequence[str],
        batch_size: int | None = None,
        show_progress_bar: bool | None = False,
    ) -> np.ndarray:
        """Takes strings through encoder and flow: `(n, dim)` float32; `encode` has the options."""
        self._fitted()
        return self.transform(self.encoder.embed(sentences, batch_size, show_progress_bar))

    def transform(self, vectors: np.ndarray) -> np.ndarray:
        """Takes plain vectors `(n, dim)` of the encoder through the fitted flow."""
        return self._through("forward", vectors, (self.dim,))

    def log_prob(self, sentences: str | Sequence[str]) -> np.ndarray:
        """The log-density of each sentence's plain vector, in nats: `(n,)` float32."""
        texts = [sentences] if isinstance(sentences, str) else sentences
        scores = self._through("log_prob", self.encoder.encode(texts), ())
        return scores[0] if isinstance(sentences, str) else scores

    def sample_vectors(self, n: int, *, seed: int | None = None) -> np.ndarray:
        """Draws `(n, dim)` plain vectors from the fitted density."""
        key = jax.random.key(self.seed if seed is None else seed)
        return np.asarray(self.flow.sample(self._fitted(), key, n))

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Writes a portable folder: see `saved.save`."""
        from flowjax.saving.model import save

        return save(self, folder, overwrite=overwrite)

    @classmethod
    def load(cls, folder: str | Path, *, flow: Flow | None = None) -> BertFlow:
        """Reads a folder of `save`, or the run folder around it; `flow` for one of your own."""
        from flowjax.saving.model import load

        return load(cls, folder, flow=flow)

    def _embed(
        self, source: SentenceSource, out: str | Path | None, show_progress_bar: bool | None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        if out is None:
            return embed_in_memory(self.encoder, source, show_progress_bar=show_progress_bar)
        folder = Path(out) / "embeddings"
        store, facts = embed_in_store(
            self.encoder, source, folder, show_progress_bar=show_progress_bar
        )
        return store.vectors, facts

    def _through(self, call: str, vectors: np.ndarray, tail: tuple[int, ...]) -> np.ndarray:
        params = self._fitted()
        vectors = np.asarray(vectors, np.float32)
        if vectors.ndim != 2 or vectors.shape[1] != self.flow.dim:
            raise FlowjaxError(f"vectors: expected (n, {self.flow.dim}), got {vectors.shape}")
        result = np.empty((len(vectors), *tail), np.float32)
        for start in range(0, len(vectors), ROWS):
            block = vectors[start : start + ROWS]
            # Few shapes: a short last block is padded to the next power of two.
            rows = min(ROWS, 1 << (len(block) - 1).bit_length())
            padded = np.concatenate([block, np.repeat(block[:1], rows - len(block), axis=0)])
            done = self._calls[call](params, jnp.asarray(padded))
            result[start : start + len(block)] = np.asarray(done)[: len(block)]
        return result

    def _fitted(self) -> Params:
        if self.params is None:
            raise FlowjaxError("model: expected one that is fitted; call fit or load first")
        return self.params
