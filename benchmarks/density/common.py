"""Shared functions of the workers: the job, the batches, LU factors of a random rotation."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


class Job:
    """Job of a worker: data set, kind of flow and seeds, from the JSON file of `run.py`.

    Attributes:
        flow: "realnvp", "glow", "neural_spline", "maf" or "maf_spline".
        train, validation, test: standardized rows, float32.
        contexts: context of each part, (n, width) float32, or None.
        context_dim: width of the contexts, 0 without any.
        options: steps, batch_size, learning_rate, clip_norm, validate_every, depth, width,
            hidden_layers, bins, bound.
    """

    def __init__(self, path: str) -> None:
        job = json.loads(Path(path).read_text("utf-8"))
        self.flow: str = job["flow"]
        self.seeds: list[int] = job["seeds"]
        self.options: dict[str, Any] = job["options"]
        with np.load(job["data"]) as data:
            self.train, self.validation, self.test = (
                data[name].astype(np.float32) for name in ("train", "validation", "test")
            )
            self.contexts = {
                name: data[f"{name}_context"].astype(np.float32)
                if f"{name}_context" in data
                else None
                for name in ("train", "validation", "test")
            }
        given = self.contexts["train"]
        self.context_dim = 0 if given is None else given.shape[1]
        self.dim = self.train.shape[1]
        self.kept = self.dim - self.dim // 2  # the first half keeps, the larger one if odd

    def batches(self, seed: int) -> np.ndarray:
        """Returns the rows of every step, (steps, batch_size): one epoch after the other."""
        size, steps = self.options["batch_size"], self.options["steps"]
        rng, rows = np.random.default_rng(seed), len(self.train)
        epochs = -(-size * steps // rows)
        order = np.concatenate([rng.permutation(rows) for _ in range(epochs)])
        return order[: size * steps].reshape(steps, size)


def rotation_lu(dim: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns (order, L, U) of a random orthogonal R with R[order] = L U.

    L has a positive diagonal and U a unit one: each column's sign is chosen so, which leaves R
    orthogonal.
    """
    rotation, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((dim, dim)))
    lu, order = rotation.copy(), np.arange(dim)
    for k in range(dim - 1):
        pivot = k + int(np.abs(lu[k:, k]).argmax())
        lu[[k, pivot]], order[[k, pivot]] = lu[[pivot, k]], order[[pivot, k]]
        lu[k + 1 :, k] /= lu[k, k]
        lu[k + 1 :, k + 1 :] -= np.outer(lu[k + 1 :, k], lu[k, k + 1 :])
    diagonal = np.diag(lu)
    sign = np.sign(diagonal)
    lower = (np.tril(lu, -1) + np.eye(dim)) * np.abs(diagonal)
    upper = np.triu(lu, 1) / diagonal[:, None] + np.eye(dim)
    return order, lower, sign[:, None] * upper * sign


def work(fit: Callable[[Job, int], dict[str, float]], versions: dict[str, str]) -> None:
    """Runs `fit(job, seed)` for the seeds of the job and prints the results as a line of JSON."""
    job, results = Job(sys.argv[1]), []
    for seed in job.seeds:
        start = time.perf_counter()
        result = fit(job, seed)
        seconds = round(time.perf_counter() - start, 1)
        results.append({"seed": seed, **result, "seconds": seconds})
    print(json.dumps({"versions": versions, "results": results}))
