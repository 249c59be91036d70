"""Coordinates and shrinkage of the latents of Glow: held-out likelihood and retrieval.

    python benchmarks/latents.py --data-dir DATA [--encoder FOLDER --pooling mean]

The paper's flow is fitted on n sentences of DATA/wikinews/wikinews_en_2022.txt.xz, one document a
line. The first two sentences of 600 other documents are the held-out pairs. The first table
has the held-out negative log-likelihood, in nats, of the affine map of the latents with the
largest likelihood, for each shrinkage of the covariance. The second table has recall@10 and AUC
of the held-out pairs for each power, if the map subtracts no mean, the fraction `power` of it, or
all of it.
"""

from __future__ import annotations

import dataclasses
import lzma
import re
from pathlib import Path

import jax
import numpy as np
import tyro
from embedded import Cache

import flowjax
from flowjax import flows
from flowjax.data.arrays import ArraySource
from flowjax.evaluation.retrieval import measures
from flowjax.fitting.passes import moments_of_latents


@dataclasses.dataclass(frozen=True)
class Args:
    data_dir: Path
    encoder: str = "minibert"
    pooling: str = "first_last"
    cache: Path = Path("runs/vectors")
    sizes: tuple[int, ...] = (4800, 1200, 400, 120)


def pairs(file: Path, count: int) -> tuple[list[str], list[str]]:
    """The first two sentences of 5 to 40 words of each document, one document a line."""
    found: list[list[str]] = []
    with lzma.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            texts = re.split(r"(?<=[.!?])\s+(?=[A-Z\"])", line.strip())
            texts = [text for text in texts if 5 <= len(text.split()) <= 40]
            found += [texts[:2]] if len(texts) > 1 else []
            if len(found) == count:
                break
    return [pair[0] for pair in found], [pair[1] for pair in found]


def main(args: Args) -> None:
    cache = Cache(args.cache, args.data_dir, args.encoder)
    texts = pairs(args.data_dir / "wikinews" / "wikinews_en_2022.txt.xz", 3000)
    left, right = (cache.vectors(part, args.pooling) for part in texts)
    order = np.random.default_rng(0).permutation(len(left))
    train, test = order[:-600], order[-600:]
    held, rows = np.concatenate([left[test], right[test]]), np.concatenate([left, right])
    rows = rows[np.concatenate([train, train + len(left)])]
    dim = rows.shape[1]
    for size in args.sizes:
        x = rows[:: max(1, len(rows) // size)]
        plain = flows.glow(dim, latent_power=None)
        steps = max(30, 2 * len(x) // 64)
        options = {"batch_size": 64, "steps": steps, "devices": 1, "measured": False}
        inner = flowjax.fit(plain, x, key=0, **options).params
        half = flows.glow(dim, latent_power=0.5)
        moments = moments_of_latents(half, inner, ArraySource(x))
        held_h, log_det = plain.forward(inner, held)
        print(f"n {len(x)}, {steps} steps: held-out nats per example", end="")
        for shrinkage in (0.0, "auto", "likelihood"):
            white = flows.whitening(dim, shrinkage=shrinkage, moments=moments)
            its = white.init(jax.random.key(0), held_h[:1])
            print(
                f" | {shrinkage} {-float((white.log_prob(its, held_h) + log_det).mean()):.1f}",
                end="",
            )
        print()
        h = [np.asarray(plain.forward(inner, part[test])[0]) for part in (left, right)]
        turned = flows.whitening(dim, power=0, shrinkage="likelihood", moments=moments)
        its = turned.init(jax.random.key(0), held_h[:1])
        axes = np.asarray(its["bijector"]["frozen"]["matrix"])
        sd, mean = flows.latent_moments(turned, its)[1], moments.mean
        for power in (0.0, 0.5, 0.75, 1.0):
            cells = []
            for name, part in (("none", 0), ("p", power), ("all", 1)):
                found = measures(*(((y - part * mean) @ axes) * sd**-power for y in h))
                cells.append(f"{name} {found['recall@10']:.1f} {found['auc']:.1f}")
            print(
                f"  power {power}: recall@10, AUC without the mean:", " | ".join(cells), flush=True
            )


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
