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
    def kinds(self) -> list[str]:
        """Names of the vectors in figures: plain, whitened if available, and calibrated."""
        white = [name for name in self.maps if name.startswith("whitening")][:1]
        return list(dict.fromkeys(["plain", *white, self.flow]))

    @property
    def before_after(self) -> list[str]:
        """Names of the plain and the calibrated vectors; whitened ones if the flow is plain."""
        return [self.kinds[0], self.kinds[-1]]

    def clouds(self, plain: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the vectors of each of `kinds`, shape (n, d)."""
        return {name: np.asarray(self.maps[name](plain)) for name in self.kinds}


class Seen(NamedTuple):
    """Part that sentences had in the fit of the calibrations.

    Attributes:
        fitted: fraction of the sentences that the calibrations were fitted on.
        selected: fraction that was held out from the fit, and whose pairs selected the flow.
    """

    fitted: float
    selected: float = 0.0


class RunVectors(NamedTuple):
    """Plain vectors of a set of sentences.

    Attributes:
        vectors: array of shape `(n, d)`, possibly memory-mapped.
        sentences: the n sentences; None if they are not available.
        description: description of the vectors, for captions.
        seen: part of the vectors in the fit; None if unknown.
    """

    vectors: np.ndarray
    sentences: Sequence[str] | None
    description: str
    seen: Seen | None = None

    def take(self, rows: int, *, seed: int = 0) -> RunVectors:
        """Returns a random subset of at most `rows` vectors, in the original order."""
        n = len(self.vectors)
        if n <= rows:
            return self._replace(vectors=np.asarray(self.vectors))
        chosen = np.sort(np.random.default_rng(seed).choice(n, rows, replace=False))
        texts = None if self.sentences is None else [self.sentences[int(i)] for i in chosen]
        description = f"{rows:,} of {self.description}, drawn at random"
        return RunVectors(np.asarray(self.vectors[chosen]), texts, description, self.seen)


class RankedWords(NamedTuple):
    """Word embeddings by frequency rank.

    Attributes:
        embeddings: array of shape `(n, d)`, most frequent token first.
        note: sentence that describes the ranking.
    """

    embeddings: np.ndarray
    note: str


class TaskVectors(NamedTuple):
    """Task with the plain vectors of its distinct sentences.

    Attributes:
        task: labelled pairs.
        sentences: n distinct sentences of all splits.
        plain: plain vectors, shape `(n, d)`.
        seen: part of the sentences in the fit; None if unknown.
    """

    task: PairTask
    sentences: Sequence[str]
    plain: np.ndarray
    seen: Seen | None = None

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

    @property
    def least_related(self) -> float:
        """Smallest gold score of the pairs that count as related: 80 % of the largest."""
        return 0.8 * float(self.pairs.gold.max())

    @property
    def related(self) -> Pairs:
        """Pairs of `split` with a gold score of at least `least_related`."""
        pairs = self.pairs
        chosen = np.flatnonzero(pairs.gold >= self.least_related)
        sides = [[s[i] for i in chosen] for s in (pairs.sentences1, pairs.sentences2)]
        return Pairs(tuple(sides[0]), tuple(sides[1]), pairs.gold[chosen])

    def run(self) -> RunVectors:
        """Returns the sentences and vectors of the task."""
        description = f"{len(self.sentences):,} sentences of {self.task.name}"
        return RunVectors(self.plain, self.sentences, description, self.seen)

    def lookups(self, model: ReportedModel, names: Iterable[str]) -> dict[str, Lookup]:
        """Returns the vectors of the sentences for each kind of vectors.

        Args:
            model: model of the report.
            names: keys of `model.maps`.
        """
        return {name: Lookup(self.sentences, model.maps[name](self.plain)) for name in names}
