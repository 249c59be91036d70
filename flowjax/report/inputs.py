"""Input data classes of the reports: vectors, labelled pairs and calibrated vectors.

The reports need no model object; `commands/report_inputs.py` computes these inputs from a fitted
model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from flowjax.evaluation import Lookup, Pairs, PairTask
from flowjax.evaluation.baselines import Transform


class ReportedModel(NamedTuple):
    """Names, provenance and transformations of a fitted model.

    Attributes:
        encoder: name of the encoder.
        pooling: name of the pooling.
        flow: name of the flow, a key of `maps`.
        maps: dict from name to function of plain vectors `(n, d)`: `plain` (the identity),
            standardization and whitening for comparison, and the fitted flow.
        provenance: `(name, text)` entries at the top of the page.
        description: entry `model` of `report.json`.
    """

    encoder: str
    pooling: str
    flow: str
    maps: Mapping[str, Transform]
    provenance: Sequence[tuple[str, str]]
    description: Mapping[str, Any]

    @property
    def names(self) -> tuple[str, str]:
        """Names of the vectors before and after calibration."""
        return "plain", self.flow

    def calibrate(self, plain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the plain vectors and the calibrated vectors."""
        return plain, self.maps[self.flow](plain)


class RunVectors(NamedTuple):
    """Plain vectors of a set of sentences.

    Attributes:
        vectors: array of shape `(n, d)`, possibly memory-mapped.
        sentences: the n sentences; None if they are not available.
        description: description of the vectors, for captions.
    """

    vectors: np.ndarray
    sentences: Sequence[str] | None
    description: str

    def take(self, rows: int, *, seed: int = 0) -> RunVectors:
        """Returns a random subset of at most `rows` vectors, in the original order."""
        n = len(self.vectors)
        if n <= rows:
            return self._replace(vectors=np.asarray(self.vectors))
        chosen = np.sort(np.random.default_rng(seed).choice(n, rows, replace=False))
        texts = None if self.sentences is None else [self.sentences[i] for i in chosen]
        description = f"{rows:,} of {self.description}, drawn at random"
        return RunVectors(np.asarray(self.vectors[chosen]), texts, description)


class RankedWords(NamedTuple):
    """Word embeddings by frequency rank.

    Attributes:
        embeddings: array of shape `(n, d)`, most frequent token first.
        note: sentence that describes the ranking.
    """

    embeddings: np.ndarray
    note: str


class TaskVectors(NamedTuple):
    """Task with the plain vectors of its distinct sentences."""

    task: PairTask
    sentences: Sequence[str]
    plain: np.ndarray

    @property
    def split(self) -> str:
        """Split that the figures show: the test split, or the last split if there is none."""
        return "test" if "test" in self.task.splits else list(self.task.splits)[-1]

    @property
    def slug(self) -> str:
        """Name of the task for file names and anchors, with spaces and the like replaced."""
        return re.sub(r"[^\w-]+", "-", self.task.name)

    @property
    def pairs(self) -> Pairs:
        """Pairs of `split`."""
        return self.task.pairs(self.split)

    def cosines(
        self, model: ReportedModel, pairs: Pairs | None = None, names: Iterable[str] | None = None
    ) -> dict[str, np.ndarray]:
        """Returns the cosine similarities of pairs for each kind of vectors.

        Args:
            model: model of the report.
            pairs: n pairs of the task; None means the pairs of `split`.
            names: keys of `model.maps`; None means plain and calibrated vectors.

        Returns:
            Dict from name to cosines, shape `(n,)`.
        """
        wanted = self.pairs if pairs is None else pairs
        return {
            name: Lookup(self.sentences, model.maps[name](self.plain)).cosines(wanted)
            for name in names or model.names
        }
