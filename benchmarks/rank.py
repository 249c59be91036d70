"""Does `flowjax rank` agree with labels? Poolings and layers of two encoders against STS-B dev.

    python benchmarks/rank.py --data-dir DATA --encoders minibert PATH/TO/all-MiniLM-L6-v2

The ranking uses the sentences of STS-B dev without labels. The labels of STS-B dev give the
Spearman correlation of the cosines of the plain vectors. The last lines are the rank correlations
of the two orders. "linear" replaces the flows of the criterion by Gaussians: a ridge regression of
the whitened vectors V on U, with the ridge that is best on a tenth of the training rows.
"""

from __future__ import annotations

import dataclasses
import time
import warnings
from pathlib import Path

import numpy as np
import tyro
from scipy.stats import spearmanr

from flowjax.calibration.rank import TEST, rank
from flowjax.encoder.embed import SentenceEncoder
from flowjax.encoder.pooling import POOLINGS
from flowjax.evaluation import load_task
from flowjax.evaluation.sts import score_pairs
from flowjax.progress import track

# Poolings and, as integers, hidden states whose mean over tokens is the vector.
VARIANTS = {
    2: ("cls", "mean", "first_last", "embeddings_last", 0),
    6: ("cls", "mean", 3),
}


@dataclasses.dataclass(frozen=True)
class Args:
    data_dir: Path
    encoders: tuple[str, ...] = ("minibert",)
    rows: int = 3000
    steps: int = 300
    seed: int = 0


def variants(name: str, texts: list[str]):
    """Yields `(label, vectors)` for each pooling and layer of an encoder."""
    depth = SentenceEncoder.from_pretrained(name).config.num_hidden_layers
    for kind in VARIANTS.get(depth, ("cls", "mean", 0, depth // 2)):
        pooling = kind if isinstance(kind, str) else f"layer {kind}"
        if not isinstance(kind, str):
            POOLINGS[pooling] = (kind,)
        encoder = SentenceEncoder.from_pretrained(name, pooling=pooling, max_length=64)
        yield (
            f"{Path(name).parts[-2 if name.endswith('/model') else -1]}, {pooling}",
            encoder.encode(texts),
        )


def linear(x: np.ndarray, y: np.ndarray, test: np.ndarray) -> float:
    """Information of x about y on the test rows, in nats per dimension, by ridge regression."""
    x, y = (np.float64(v - v[~test].mean(0)) for v in (x, y))
    _, scale, axes = np.linalg.svd(y[~test], full_matrices=False)
    y = y @ (axes[scale > 1e-3 * scale[0]].T)
    y /= y[~test].std(0)
    spread = (x[~test] ** 2).sum() / x.shape[1]

    def gain(fit: np.ndarray, held: np.ndarray, ridge: float) -> float:
        a, b = x[fit], y[fit]
        weights = np.linalg.solve(a.T @ a + ridge * spread * np.eye(a.shape[1]), a.T @ b)
        variance = ((b - a @ weights) ** 2).mean(0)
        error = ((y[held] - x[held] @ weights) ** 2 / variance).mean(0)
        total = (y[held] ** 2 / (b**2).mean(0)).mean(0)
        return float(0.5 * np.mean(np.log((b**2).mean(0) / variance) + total - error))

    train = np.flatnonzero(~test)
    ridges = 10.0 ** np.arange(-4, 3)
    best = max(
        ridges,
        key=lambda ridge: gain(
            train[10:][np.arange(len(train) - 10) % 10 > 0], train[::10], ridge
        ),
    )
    return gain(train, np.flatnonzero(test), best)


def main(args: Args) -> None:
    warnings.filterwarnings("ignore", category=UserWarning)
    task = load_task("stsb", args.data_dir)
    dev = task.pairs("dev")
    left, right = list(dev.sentences1), list(dev.sentences2)
    texts = list(dict.fromkeys([*left, *right]))
    place = {text: row for row, text in enumerate(texts)}
    ends = [[place[text] for text in side] for side in (left, right)]
    encoders: dict[str, np.ndarray] = {}
    labelled: dict[str, float] = {}
    for name in args.encoders:
        for label, x in variants(name, texts):
            encoders[label] = x
            labelled[label] = score_pairs(x[ends[0]], x[ends[1]], dev.gold)["spearman"]
    names = list(encoders)
    some = np.random.default_rng(args.seed).permutation(len(texts))[: args.rows]
    test = np.arange(len(some)) < TEST * len(some)
    flat = [
        np.median([linear(encoders[u][some], encoders[v][some], test) for v in names if v != u])
        for u in names
    ]
    start = time.time()
    with track("fits", len(names) * (len(names) - 1), unit="pairs") as advance:
        found = rank(
            encoders,
            rows=args.rows,
            steps=args.steps,
            seed=args.seed,
            on_pair=lambda: advance(1),
        )
    seconds = time.time() - start
    scores = dict(zip(found.names, found.scores, strict=True))
    print(f"{len(texts)} sentences, {found.rows} used, {args.steps} steps, seed {args.seed}\n")
    print("| vectors | dim | STS-B dev, Spearman x 100 | information, nats per dim | linear |")
    print("|---|---|---|---|---|")
    for u, score in sorted(zip(names, flat, strict=True), key=lambda pair: -labelled[pair[0]]):
        dim = encoders[u].shape[1]
        print(f"| {u} | {dim} | {labelled[u]:.1f} | {scores[u]:.3f} | {score:.3f} |")
    gold = [labelled[u] for u in names]
    for label, values in (("flow", [scores[u] for u in names]), ("linear", flat)):
        print(f"\nrho with STS-B dev, {label}: {spearmanr(gold, values).statistic:.2f}", end="")
        for name in args.encoders:
            own = [i for i, u in enumerate(names) if u.split(",")[0] in name]
            rho = spearmanr([gold[i] for i in own], [values[i] for i in own]).statistic
            print(f"; {names[own[0]].split(',')[0]} only: {rho:.2f}", end="")
    print(f"\n\n{seconds:.0f} s for {len(names) * (len(names) - 1)} pairs")


if __name__ == "__main__":
    main(tyro.cli(Args))
