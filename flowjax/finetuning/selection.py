"""Measures of an encoder on held-out sentences and on STS-B dev, and the best of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from flowjax.calibration.criterion import KINDS, contributions, score
from flowjax.calibration.select import pairs_of
from flowjax.encoder.batching import Tokens
from flowjax.encoder.embed import SentenceEncoder
from flowjax.encoder.embed_rows import Embedder
from flowjax.errors import FlowjaxError
from flowjax.evaluation import load_task
from flowjax.evaluation.sts import score_pairs
from flowjax.parallel import processes

# Metric of each value of `train.select`.
METRICS = {"retrieval": "retrieval", "stsb": "stsb_dev"}


class Best(NamedTuple):
    """Best parameters of a run so far, as NumPy arrays for a checkpoint.

    Attributes:
        params: parameters of the encoder; those of the start before the first measurement.
        value: largest value of the metric; -inf before the first measurement.
        step: step of these parameters.
    """

    params: Any
    value: np.ndarray
    step: np.ndarray

    @classmethod
    def none(cls, params: Any) -> Best:
        """Returns the value before the first measurement."""
        return cls(jax.tree.map(np.asarray, params), np.array(-math.inf), np.array(0))

    def updated(self, value: float, step: int, params: Any) -> Best:
        """Returns the better one of this value and a new one; the earlier one if they are equal.

        Example:
            >>> best = Best.none("a").updated(3.0, 10, "b").updated(2.0, 20, "c")
            >>> best.params, float(best.value), int(best.step)
            ('b', 3.0, 10)
        """
        return Best(params, np.array(value), np.array(step)) if value > self.value else self


class Measures:
    """Measures of the encoder during a run.

    Process 0 computes them, and all processes get the same values.
    """

    def __init__(self, encoder: SentenceEncoder, held: Sequence[str], data_dir: str, seed: int):
        """Tokenizes the texts.

        Args:
            encoder: encoder at the start of the run.
            held: held-out sentences for the retrieval of related texts; may be empty.
            data_dir: folder of STS-B, or "".
            seed: integer seed of the related texts.

        Raises:
            FlowjaxError: The held-out sentences are too short or too few, or the files of STS-B
                cannot be read.
        """
        found = pairs_of(held, seed) if held else []
        if held and len(found) < len(KINDS):
            raise FlowjaxError(
                f"data.train: expected longer sentences or more of them for the selection without "
                f"labels, got {len(held)} held-out sentences with fewer than 10 of 8 words; use "
                "train.select last"
            )
        self._pairs = {pairs.kind: (pairs.left, pairs.right) for pairs in found}
        self._gold = np.zeros(0)
        if data_dir:
            dev = load_task("stsb", data_dir).pairs("dev")
            self._pairs["stsb"] = (list(dev.sentences1), list(dev.sentences2))
            self._gold = dev.gold
        texts = dict.fromkeys(t for both in self._pairs.values() for side in both for t in side)
        self._place = {text: i for i, text in enumerate(texts)}
        self._tokens: Tokens = encoder.tokenize(list(texts))
        self._options = (encoder.batch_size, encoder.max_length)
        self._embedder = Embedder(
            encoder.params, encoder.config, encoder.pooling, True, encoder.dtype
        )

    def __call__(self, params: Any) -> dict[str, float]:
        """Returns the measures of parameters: `retrieval` and `stsb_dev`, in percent.

        A measure that is undefined, as for an encoder with equal vectors, is NaN.

        Args:
            params: parameters of the encoder in host memory.
        """
        names = self.names
        values = np.full(len(names), np.nan)
        if names and processes.is_first():
            found = self._measured(params)
            values = np.array([found[name] for name in names])
        values = processes.gather_arrays(values)[0]
        return dict(zip(names, values.tolist(), strict=True))

    @property
    def names(self) -> list[str]:
        """Names of the measures."""
        kinds = {*self._pairs}
        return ["retrieval"] * bool(kinds - {"stsb"}) + ["stsb_dev"] * ("stsb" in kinds)

    def _measured(self, params: Any) -> dict[str, float]:
        embedder = self._embedder.with_params(params)
        vectors = embedder.vectors(self._tokens, *self._options, lambda n: None)

        def of(kind: str) -> tuple[np.ndarray, np.ndarray]:
            left, right = ([self._place[t] for t in side] for side in self._pairs[kind])
            return vectors[left], vectors[right]

        found = dict.fromkeys(self.names, math.nan)
        try:
            if "stsb" in self._pairs:
                found["stsb_dev"] = score_pairs(*of("stsb"), self._gold)["spearman"]
            if kinds := [kind for kind in self._pairs if kind != "stsb"]:
                found["retrieval"] = score(contributions({kind: of(kind) for kind in kinds}))
        except FlowjaxError:  # no correlation, or vectors that are not finite
            pass
        return found
