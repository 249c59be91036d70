"""Nominal and measured false-positive rates of thresholds on cosines, see false_positives.md.

    python benchmarks/false_positives.py --data-dir DATA [--encoder FOLDER --pooling mean]

The null distribution is computed from sentences of Wikinews. Rates are measured on random pairs of
other sentences of Wikinews, of Wikipedia, SNLI and STS-B dev; recall on the STS-B dev pairs with
gold scores of at least 4. The tables are printed as Markdown, and written as JSON to --out.
"""

from __future__ import annotations

import dataclasses
import json
import lzma
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from embedded import Cache

import flowjax
from flowjax import flows
from flowjax.calibration.scores import Scores, is_other_source, scores_of_fit, source_distance
from flowjax.evaluation import load_task
from flowjax.evaluation.null import isotropic_threshold, isotropy_distance, null_of
from flowjax.flows.arrays import ArrayCalls

RATES = (0.05, 0.01, 0.001)
RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("identity", {}),
    "centred": ("center", {}),
    "whitening^0.5": ("whitening", {"power": 0.5}),
    "whitening": ("whitening", {}),
    "glow": ("glow", {"latent_power": 1.0}),
}


@dataclasses.dataclass(frozen=True)
class Args:
    data_dir: Path
    encoder: str = "minibert"
    pooling: str = "first_last"
    fit: int = 8000
    """Sentences that the flow and the null distribution are computed from."""
    measured: int = 2500
    """Sentences of each source whose pairs are measured."""
    few: int = 300
    """Sentences for a recalibration."""
    draws: int = 10
    """Draws of these sentences."""
    steps: int = 1000
    recipes: tuple[str, ...] = tuple(RECIPES)
    sources: tuple[str, ...] = ()
    """Names of the sources to measure; none means all."""
    cache: Path = Path("runs/vectors")
    out: Path = Path("runs/false_positives.json")


def main(args: Args) -> None:
    cache = Cache(args.cache, args.data_dir, args.encoder)
    texts = sentences(args.data_dir)
    plain = {name: cache.vectors(part, args.pooling) for name, part in texts.items()}
    fit = plain.pop("wikinews, fitted")[: args.fit]
    # The right sides are left out: random pairs should not contain the true pairs.
    pairs = plain["stsb"], plain.pop("stsb, right")
    plain["stsb"] = np.unique(plain["stsb"], axis=0)
    plain = {name: x for name, x in plain.items() if name in (args.sources or plain)}
    task = load_task("stsb", args.data_dir).splits["dev"]
    (dev,) = task.values()
    pairs = pairs[0][dev.gold >= 4], pairs[1][dev.gold >= 4]
    found = {}
    for name in args.recipes:
        found[name] = measure(args, name, fit, plain, pairs)
        print(name, json.dumps(found[name]), flush=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(found, indent=1) + "\n")
    print("\n".join(tables(found)))


def sentences(data: Path) -> dict[str, list[str]]:
    """Returns random distinct sentences of each source, and the sides of the STS-B dev pairs."""
    news = drawn(prose(data / "wikinews/wikinews_en_2022.txt.xz"), 14_000)
    snli = [line for part in ("s1", "s2") for line in lines(data / f"snli/{part}.test")]
    (dev,) = load_task("stsb", data).splits["dev"].values()
    return {
        "wikinews, fitted": news[:8000],
        "wikinews, unseen": news[8000:],
        "wikipedia": drawn(prose(data / "enwiki2015/part-0.txt.xz"), 6000),
        "snli": drawn(snli, 6000),
        "stsb": list(dev.sentences1),
        "stsb, right": list(dev.sentences2),
    }


def lines(file: Path) -> list[str]:
    return file.read_text("utf-8").splitlines()


def prose(file: Path, most: int = 400_000) -> list[str]:
    """Returns the sentences of 5 to 40 words of a compressed text."""
    found: list[str] = []
    with lzma.open(file, "rt", encoding="utf-8") as opened:
        for line in opened:
            parts = re.split(r"(?<=[.!?])\s+(?=[A-Z\"])", line.strip())
            found += [part.strip() for part in parts if 5 <= len(part.split()) <= 40]
            if len(found) > most:
                break
    return found


def drawn(texts: list[str], count: int) -> list[str]:
    distinct = list(dict.fromkeys(texts))
    return [distinct[i] for i in np.random.default_rng(0).permutation(len(distinct))[:count]]


def measure(
    args: Args,
    name: str,
    fit: np.ndarray,
    plain: dict[str, np.ndarray],
    pairs: tuple[np.ndarray, np.ndarray],
) -> dict[str, Any]:
    """Returns the measured rates of one recipe, in percent."""
    recipe, options = RECIPES[name]
    flow = flows.make(recipe, fit.shape[1], **options)
    params = flowjax.fit(
        flow, fit, key=0, batch_size=64, steps=args.steps, optimizer=1e-3, measured=False
    ).params
    calls = ArrayCalls(flow)
    scores = scores_of_fit(flow, params, fit, calls=calls)
    if scores is None:
        raise SystemExit(f"{name}: no null distribution")
    dim = flow.latent_dim or flow.dim
    naive = null_of(calls.forward(params, fit), plain=fit)
    thresholds = {
        "null": [scores.null.threshold(rate) for rate in RATES],
        "fitted": [naive.threshold(rate) for rate in RATES],
        "closed form": [isotropic_threshold(dim, rate) for rate in RATES],
    }
    left, right = (unit(calls.forward(params, side)) for side in pairs)
    true = (left * right).sum(1)
    result: dict[str, Any] = {
        "distance": isotropy_distance(scores.null, dim),
        "effective_dim": scores.null.effective_dim,
        "thresholds": thresholds["null"],
        "recall": [100 * float((true > t).mean()) for t in thresholds["null"]],
        "sources": {},
    }
    for source, x in plain.items():
        z = unit(calls.forward(params, x))
        log_prob = calls.log_prob(params, x)
        cosines = Cosines(z[-args.measured :], x[-args.measured :])
        about = {kind: cosines.rates(found) for kind, found in thresholds.items()}
        about["distance"] = source_distance(scores, log_prob)
        about |= recalibrated(args, scores, z, x, log_prob, true if source == "stsb" else None)
        result["sources"][source] = about
    return result


def recalibrated(
    args: Args,
    scores: Scores,
    z: np.ndarray,
    x: np.ndarray,
    log_prob: np.ndarray,
    true: np.ndarray | None,
) -> dict[str, Any]:
    """Returns rates after a recalibration, and how often the warning is given before it."""
    rates, recalls, warned = [], [], []
    for seed in range(args.draws):
        order = np.random.default_rng(seed).permutation(len(z))
        few, rest = order[: args.few], order[args.few :][:1500]
        null = null_of(z[few], plain=x[few])
        found = [null.threshold(rate) for rate in RATES]
        rates.append([rate for rate, _ in Cosines(z[rest], x[rest]).rates(found)])
        warned.append(is_other_source(scores, log_prob[few]))
        if true is not None:
            recalls.append([100 * float((true > t).mean()) for t in found])
    found = {
        "recalibrated": [*zip(np.mean(rates, 0).tolist(), np.std(rates, 0).tolist(), strict=True)],
        "warned": 100 * float(np.mean(warned)),
    }
    return found | ({"recall": np.mean(recalls, 0).tolist()} if recalls else {})


class Cosines:
    """Cosines of all pairs of sentences that differ."""

    def __init__(self, z: np.ndarray, x: np.ndarray) -> None:
        self.cosines = z @ z.T
        plain = unit(x)
        self.pairs = (plain @ plain.T) < 1 - 1e-6
        np.fill_diagonal(self.pairs, False)

    def rates(self, thresholds: list[float]) -> list[tuple[float, float]]:
        """Returns the rates above thresholds and their standard errors, in percent.

        Pairs share sentences. The variance of the rate is therefore 4 / n times the variance of
        the rates of single sentences (Hoeffding's projection, which a bootstrap over sentences
        approaches).
        """
        found = []
        for threshold in thresholds:
            above = (self.cosines > threshold) & self.pairs
            each = above.sum(1) / self.pairs.sum(1)
            error = 2 * each.std() / np.sqrt(len(each))
            found.append((100 * float(above.sum() / self.pairs.sum()), 100 * float(error)))
        return found


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def tables(found: dict[str, Any]) -> Iterator[str]:
    """Yields the Markdown tables."""
    columns = " | ".join(f"{100 * rate:g} %" for rate in RATES)
    for source in next(iter(found.values()))["sources"]:
        yield f"\n{source}: measured rate in % (standard error)\n"
        yield f"| vectors | thresholds from | {columns} | warning |"
        yield "| --- | --- |" + " ---: |" * (len(RATES) + 1)
        for name, result in found.items():
            about = result["sources"][source]
            for kind in ("null", "fitted", "closed form", "recalibrated"):
                cells = " | ".join(f"{rate:.2f} ({error:.2f})" for rate, error in about[kind])
                warning = f"{about['warned']:.0f} %" if kind == "null" else ""
                yield f"| {name} | {kind} | {cells} | {warning} |"
    yield "\nRecall in % of the STS-B dev pairs with gold scores of at least 4\n"
    yield f"| vectors | null distribution | {columns} | distance from the closed form (exact) |"
    yield "| --- | --- |" + " ---: |" * (len(RATES) + 1)
    for name, result in found.items():
        if "stsb" not in result["sources"]:
            continue
        after = result["sources"]["stsb"]["recall"]
        far = result["distance"]
        for kind, recall in (("wikinews", result["recall"]), ("stsb, recalibrated", after)):
            cells = " | ".join(f"{value:.1f}" for value in recall)
            last = f"{far['distance']:.3f} ({far['exact']:.4f})" if kind == "wikinews" else ""
            yield f"| {name} | {kind} | {cells} | {last} |"


if __name__ == "__main__":
    main(tyro.cli(Args))
