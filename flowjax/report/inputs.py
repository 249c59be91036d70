"""What a report is computed from: the run's own vectors, and the vectors of graded pairs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from flowjax.compare import Calibration
from flowjax.data.fingerprint import fingerprint
from flowjax.data.sentences import read_sentences
from flowjax.data.store import EmbeddingStore
from flowjax.evaluation import Lookup, Pairs, PairTask
from flowjax.model import BertFlow

# A larger corpus is not read into memory only to count its words.
MOST_SENTENCES = 2_000_000


class RunVectors(NamedTuple):
    """Plain vectors of the sentences that a run was fitted on, or of the embedded sample.

    Attributes:
        vectors: `(n, d)`, memory-mapped where they come from a store.
        sentences: Theirs, where they can still be had.
        what: What they are, for the page.
    """

    vectors: np.ndarray
    sentences: Sequence[str] | None
    what: str

    def take(self, rows: int, *, seed: int = 0) -> RunVectors:
        """At most so many of them, drawn at random and kept in order."""
        n = len(self.vectors)
        if n <= rows:
            return self._replace(vectors=np.asarray(self.vectors))
        chosen = np.sort(np.random.default_rng(seed).choice(n, rows, replace=False))
        texts = None if self.sentences is None else [self.sentences[i] for i in chosen]
        what = f"{rows:,} of {self.what}, drawn at random"
        return RunVectors(np.asarray(self.vectors[chosen]), texts, what)


class TaskVectors(NamedTuple):
    """A task with the plain vectors of its sentences, each encoded once."""

    task: PairTask
    sentences: Sequence[str]
    plain: np.ndarray

    @property
    def split(self) -> str:
        """The split that pictures show: test, or the last there is."""
        return "test" if "test" in self.task.splits else list(self.task.splits)[-1]

    @property
    def slug(self) -> str:
        """The task's name as a part of file names and anchors; a file may be called anything."""
        return re.sub(r"[^\w-]+", "-", self.task.name)

    @property
    def pairs(self) -> Pairs:
        """The pairs of that split."""
        return self.task.pairs(self.split)

    def cosines(
        self, maps: Mapping[str, Calibration], pairs: Pairs | None = None
    ) -> dict[str, np.ndarray]:
        """Cosines `(n,)` of pairs, of the pictures' split if none are given, under each map."""
        wanted = self.pairs if pairs is None else pairs
        return {
            name: Lookup(self.sentences, map_(self.plain)).cosines(wanted)
            for name, map_ in maps.items()
        }


def run_vectors(
    model: BertFlow, folder: str | Path, fitted_on: Iterable[str] | None = None
) -> RunVectors:
    """The vectors in `RUN/embeddings`; without a whole store there, those of the embedded sample.

    Args:
        model: The run's.
        folder: The run's.
        fitted_on: The sentences of the fit, if they can be had; taken only if they are the very
            ones that the vectors are of.

    Raises:
        ValueError: A store that is damaged.
    """
    found = _stored(Path(folder) / "embeddings")
    if found is None:
        from flowjax.data.sample import sentences_file

        texts = read_sentences(sentences_file())[0]
        what = f"{len(texts):,} vectors of the embedded sample (the run keeps none of its own)"
        return RunVectors(model.encoder.encode(texts), texts, what)
    vectors, source = found
    sentences = None
    if fitted_on is not None and len(vectors) <= MOST_SENTENCES:
        sentences = [s for s in fitted_on if s.strip()]
        if fingerprint(sentences) != source:
            sentences = None
    what = f"{len(vectors):,} vectors that the flow was fitted on"
    return RunVectors(vectors, sentences, what)


def task_vectors(
    model: BertFlow, tasks: Iterable[PairTask], plain: Mapping[str, np.ndarray] | None = None
) -> list[TaskVectors]:
    """Each task with its vectors: those that `compare` has kept, or else encoded here."""
    found = []
    for task in tasks:
        sentences = task.sentences(unique=True)
        vectors = model.encoder.encode(sentences) if plain is None else plain[task.name]
        found.append(TaskVectors(task, sentences, vectors))
    return found


def _stored(folder: Path) -> tuple[np.ndarray, str] | None:
    """Vectors and the hash of their sentences; None without a store, or with an unfinished one."""
    if not (folder / "manifest.json").exists():
        return None
    store = EmbeddingStore.open(folder)
    return (store.vectors, store.hash) if store.complete else None
