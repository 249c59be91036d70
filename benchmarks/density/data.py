"""The data sets: made on the spot from a seed, or MINIBOONE's rows, split and standardized."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

SIZES = (10_000, 1_000, 5_000)  # train, validation, test of what is made on the spot


def two_moons(n: int, seed: int, noise: float = 0.1) -> np.ndarray:
    """Returns two half circles of radius 1 that interlock, with Gaussian noise, (n, 2)."""
    return labelled_moons(n, seed, noise)[:, :2]


def labelled_moons(n: int, seed: int, noise: float = 0.1) -> np.ndarray:
    """Returns the points of `two_moons` and, in the third column, their half circle, -1 or 1."""
    rng = np.random.default_rng(seed)
    angle, second = rng.uniform(0, math.pi, n), rng.random(n) < 0.5
    x = np.where(second, 1 - np.cos(angle), np.cos(angle))
    y = np.where(second, 0.5 - np.sin(angle), np.sin(angle))
    points = np.stack([x, y], axis=1) + noise * rng.standard_normal((n, 2))
    return np.column_stack([points, np.where(second, 1.0, -1.0)])


def pinwheel(n: int, seed: int, arms: int = 5) -> np.ndarray:
    """Returns a wheel of bent Gaussian arms, (n, 2)."""
    rng = np.random.default_rng(seed)
    radial = 1 + 0.3 * rng.standard_normal(n)
    tangential = 0.1 * rng.standard_normal(n)
    angle = 2 * math.pi / arms * rng.integers(arms, size=n) + 0.25 * np.exp(radial)
    cos, sin = np.cos(angle), np.sin(angle)
    return 2 * np.stack([radial * cos - tangential * sin, radial * sin + tangential * cos], axis=1)


MADE = {
    "two_moons": two_moons,
    "pinwheel": pinwheel,
    "moons_given_label": labelled_moons,
}
CONDITIONAL = ("moons_given_label",)  # the columns after the second column are the context


def load(name: str, miniboone: Path, split_seed: int) -> tuple[dict[str, np.ndarray], float]:
    """Returns the standardized parts, and what a mean log-likelihood of theirs lacks, in nats.

    A conditional set also has the contexts of the parts, such as "train_context".

    The mean and standard deviation are the training rows'; log p(x) in the data's own units is
    the standardized rows' plus -sum(log std).
    """
    if name == "miniboone":
        rows = np.load(miniboone)
        rows = rows[np.random.default_rng(split_seed).permutation(len(rows))]
        tenth = len(rows) // 10
        sizes = (len(rows) - 2 * tenth, tenth, tenth)
    else:
        sizes = SIZES
        rows = MADE[name](sum(sizes), split_seed)
    context = rows[:, 2:] if name in CONDITIONAL else rows[:, :0]
    rows = rows[:, :2] if name in CONDITIONAL else rows
    parts, contexts = (np.split(a, np.cumsum(sizes)[:-1]) for a in (rows, context))
    mean, std = parts[0].mean(0), parts[0].std(0)
    names = ("train", "validation", "test")
    arrays = {key: (part - mean) / std for key, part in zip(names, parts, strict=True)}
    if name in CONDITIONAL:
        arrays |= {f"{key}_context": c for key, c in zip(names, contexts, strict=True)}
    return arrays, -float(np.log(std).sum())
