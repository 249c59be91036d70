"""Shared by recipes.py and tables.py: sentences encoded once, and a config's flow on them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

import flowjax
from flowjax import flows
from flowjax.commands.fit import fit_options
from flowjax.config import FitConfig
from flowjax.evaluation import PairTask, load_task

Transform = Callable[[np.ndarray], np.ndarray]


class Embedded(NamedTuple):
    """A task's distinct sentences, their plain vectors, and the row of each sentence to fit on."""

    task: PairTask
    sentences: list[str]
    plain: np.ndarray
    target: np.ndarray


class Cache:
    """Vectors in a folder, by the encoder's weights, its pooling and the sentences.

    Args:
        folder: made where it is not there; a new encoder of the same name gets new files.
        data_dir: where the tasks' files are.
        encoder: what `SentenceEncoder.from_pretrained` takes.
    """

    def __init__(self, folder: Path, data_dir: Path, encoder: str) -> None:
        self.folder, self.data_dir, self.name = folder, data_dir, encoder
        folder.mkdir(parents=True, exist_ok=True)
        weights = hashlib.sha256()
        params = flowjax.SentenceEncoder.from_pretrained(encoder).params
        for leaf in jax.tree.leaves(params):
            weights.update(np.asarray(leaf).tobytes())
        self.weights = weights.hexdigest()[:12]

    def vectors(self, sentences: Sequence[str], pooling: str) -> np.ndarray:
        """Plain vectors `(n, dim)`, read where they are there already."""
        texts = hashlib.sha256("\n".join(sentences).encode()).hexdigest()[:12]
        file = self.folder / f"{self.weights}-{pooling}-{texts}.npy"
        if not file.exists():
            encoder = flowjax.SentenceEncoder.from_pretrained(self.name, pooling=pooling)
            distinct = list(dict.fromkeys(sentences))
            place = {text: row for row, text in enumerate(distinct)}
            part = file.with_suffix(".part.npy")
            np.save(part, encoder.encode(distinct)[[place[text] for text in sentences]])
            part.rename(file)
        return np.load(file)

    def task(self, name: str, pooling: str) -> Embedded:
        """A task, encoded; `plain[target]` are the rows of the paper's "target" set."""
        task = load_task(name, self.data_dir)
        everything = task.sentences()
        distinct = list(dict.fromkeys(everything))
        place = {sentence: row for row, sentence in enumerate(distinct)}
        target = np.array([place[sentence] for sentence in everything])
        return Embedded(task, distinct, self.vectors(distinct, pooling), target)


def fit(config: FitConfig, rows: np.ndarray, seed: int) -> tuple[Transform, float | None]:
    """Fits a config's flow on rows `(n, dim)`; the map, and the best validation nats if any."""
    flow = flows.make(config.flow.name, rows.shape[1], **config.flow.options())
    train = config.train
    count = round(len(rows) * (1 - train.validation))
    steps = train.steps or max(1, round((train.epochs or 1.0) * count / train.batch_size))
    result = flowjax.fit(flow, rows, key=seed, **fit_options(train, steps, rows.shape[1]))
    forward = jax.jit(lambda x: flow.forward(result.params, x)[0])
    held = [m["validation_nll_nats"] for m in result.metrics if "validation_nll_nats" in m]

    def transform(x: np.ndarray) -> np.ndarray:
        blocks = range(0, len(x), 4096)
        return np.concatenate([np.asarray(forward(x[i : i + 4096])) for i in blocks])

    return transform, min(held, default=None)
