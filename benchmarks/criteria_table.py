"""Tables of `criteria.py`: how well label-free criteria choose a transformation.

    python benchmarks/criteria_table.py --runs runs/criteria [--margin 0.2] [--encoders minibert]

A criterion is a weighted mean of the log-odds of measures. It selects the recipe with its highest
value, or plain vectors if the value exceeds that of plain vectors by less than `margin`. Gains
over plain vectors and regrets (against the best recipe) are Spearman x 100.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import tyro
from scipy.special import expit, logit

from flowjax.evaluation import spearman

MEASURES = ("recall@1", "recall@10", "mrr", "mrr20", "auc")
DROPPED = ("dropped_words_0.7", "mrr")
MARKERS = {"stsb": "o", "sickr": "s", "sts12": "D"}
Part = tuple[str, str, float]  # kind of pairs, measure, weight


@dataclasses.dataclass(frozen=True)
class Args:
    runs: Path
    margin: float = 0.0
    encoders: str = ""
    """Only encoders whose names begin so."""
    recipes: tuple[str, ...] = ("plain", "standardized", "whitening", "glow")
    """Only recipes whose names begin so."""
    pairs: tuple[int, ...] = (50, 100, 200, 400, 800)
    """Numbers of pairs of the table about their number."""
    figure: str = ""
    """File of a figure, `criteria.png` for example; none if empty."""


class Run(NamedTuple):
    """Recipes of one encoder, pooling and source: scores by label, and contributions of pairs."""

    encoder: str
    pooling: str
    source: str
    names: list[str]
    labels: dict[str, np.ndarray]
    pairs: dict[tuple[str, str], np.ndarray]


def load(args: Args) -> Iterator[Run]:
    for file in sorted(args.runs.glob(f"{args.encoders}*.json")):
        encoder, pooling, source = file.stem.split("+")
        lines = json.loads(file.read_text("utf-8"))
        names = [line["recipe"] for line in lines]
        keep = [i for i, name in enumerate(names) if name.startswith(args.recipes)]
        labels = {k: np.array([lines[i]["labels"][k] for i in keep]) for k in lines[0]["labels"]}
        pairs: dict[tuple[str, str], np.ndarray] = {}
        for key, values in np.load(file.with_suffix(".npz")).items():
            kind, measure = key.split()
            values = values[keep].astype(np.float64)
            pairs |= contributions(kind, np.round(2 * values) / 2) if measure == "rank" else {}
            pairs |= {(kind, "auc"): values / 100} if measure == "auc" else {}
        yield Run(encoder, pooling, source, [names[i] for i in keep], labels, pairs)


def contributions(kind: str, rank: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
    q = rank / (rank.shape[1] - 1)
    among = np.divide(1 - (1 - q) ** 20, 20 * q, out=np.ones_like(q), where=q > 0)
    found = {"recall@1": rank < 1, "recall@10": rank < 10, "mrr": 1 / (rank + 1), "mrr20": among}
    return {(kind, measure): values.astype(np.float64) for measure, values in found.items()}


def criterion(
    run: Run, parts: tuple[Part, ...], rows: np.ndarray | slice = slice(None)
) -> np.ndarray | None:
    """Value for each recipe; None if a kind of pairs is missing."""
    if any(part[:2] not in run.pairs for part in parts):
        return None
    means = [run.pairs[kind, measure][:, rows].mean(1) for kind, measure, _ in parts]
    return sum(w * logit(np.clip(v, 1e-6, 1 - 1e-6)) for (_, _, w), v in zip(parts, means))


def criteria() -> dict[str, tuple[Part, ...]]:
    kinds = ("neighbours", "halves", "dropped_words_0.2", "dropped_words_0.5", DROPPED[0])
    found: dict[str, tuple[Part, ...]] = {
        f"{k}, {m}": ((k, m, 1.0),) for k in (*kinds, "dropout") for m in MEASURES
    }
    for other in ("neighbours", "halves"):
        for weight in (0.5, 0.7, 0.8):
            for measure in ("mrr", "mrr20", "auc"):
                rest = (other, measure, round(1 - weight, 1))
                found[f"{weight:g} {', '.join(DROPPED)}; {rest[2]:g} {other}, {measure}"] = (
                    (*DROPPED, weight),
                    rest,
                )
    return found


# The rule of the library: the first criterion chooses a recipe, the second one accepts it.
CHOICE: tuple[Part, ...] = ((*DROPPED, 1.0),)
GATE = {k: ((*DROPPED, 0.7), (k, "auc", 0.3)) for k in ("neighbours", "halves")}


def select(value: np.ndarray, margin: float) -> int:
    best = int(value.argmax())
    return best if value[best] - value[0] >= margin else 0


def main(args: Args) -> None:
    runs = list(load(args))
    agreement(runs, args.margin)
    chosen(runs)
    number_of_pairs(runs, args)
    if args.figure:
        figure(runs, args)


def figure(runs: list[Run], args: Args) -> None:
    """Gain of a criterion against gain of the labels: a line per task, a point per recipe."""
    panels: dict[str, tuple[Part, ...]] = {
        "words dropped (70 %), MRR": ((*DROPPED, 1.0),),
        "halves of a sentence, AUC": (("halves", "auc", 1.0),),
        "0.7 words dropped, 0.3 halves": GATE["halves"],
    }
    canvas, axes = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained", sharey=True)
    places = list(dict.fromkeys((run.encoder, run.pooling) for run in runs))
    for axis, (title, parts) in zip(axes, panels.items()):
        for run, _, label in same(runs):
            if label == "sts12 all":
                continue
            value, score = criterion(run, parts), run.labels[label]
            keep = [i for i, n in enumerate(run.names) if n.startswith("whitening")]
            place = places.index((run.encoder, run.pooling))
            style = {"color": f"C{place}", "marker": MARKERS[run.source]}
            x, y = value[keep] - value[0], score[keep] - score[0]
            axis.plot(x, y, markersize=3.5, linewidth=0.8, **style)
        axis.axhline(0, color="0.7", linewidth=0.8)
        axis.axvline(0, color="0.7", linewidth=0.8)
        axis.set(title=title, xlabel="gain of the criterion, log-odds")
    axes[2].axvline(args.margin, color="0.3", linewidth=0.8, linestyle="--")
    axes[0].set(ylabel="gain on labelled pairs, Spearman x 100")
    for place, (encoder, pooling) in enumerate(places):
        axes[0].plot([], [], color=f"C{place}", label=f"{encoder}, {pooling}")
    for task, marker in zip(("STS-B dev", "SICK-R dev", "STS12"), MARKERS.values()):
        axes[1].plot([], [], marker, color="0.4", markersize=3.5, label=task)
    for axis in axes[:2]:
        axis.legend(frameon=False, fontsize=8)
    canvas.savefig(args.figure, dpi=130)


def agreement(runs: list[Run], margin: float) -> None:
    """Rank correlation over recipes, gain and regret of each criterion."""
    for title, triples in (("same source", list(same(runs))), ("documents", list(other(runs)))):
        print(f"\n## {title}, {len(triples)} labels\n")
        print("| criterion | n | rank correlation | gain | worst | regret | worst | below plain |")
        print("|---|---:|---:|---:|---:|---:|---:|---:|")
        for name, parts in criteria().items():
            rows = []
            for run, target, label in triples:
                value, score = criterion(run, parts), target.labels[label]
                if value is None:
                    continue
                i = select(value, margin)
                rho = spearman(value, score) if np.ptp(value) > 1e-9 else np.nan
                rows.append((rho, score[i] - score[0], score[i] - score.max()))
            if rows:
                rho, gain, regret = np.array(rows).T
                print(
                    f"| {name} | {len(rows)} | {np.nanmean(rho):.2f} | {gain.mean():+.2f}"
                    f" | {gain.min():+.2f} | {regret.mean():.2f} | {regret.min():.2f}"
                    f" | {(gain < -0.5).sum()} |"
                )


def chosen(runs: list[Run]) -> None:
    """Choice of the rule, and its gain that the margin is compared with."""
    print("\n## selections\n")
    print("| encoder | pooling | source | pairs | MRR | choice | MRR | gain (SE) | labels |")
    print("|---|---|---|---|---:|---|---:|---:|---|")
    rng = np.random.default_rng(0)
    for run in runs:
        for kind, gate in GATE.items():
            choice, value = criterion(run, CHOICE), criterion(run, gate)
            if choice is None or value is None:
                continue
            i = int(choice.argmax())
            resampled = [criterion_resampled(run, gate, rng)[[i, 0]] for _ in range(200)]
            error = np.subtract(*np.transpose(resampled)).std()
            targets = {k: t.labels[k] for r, t, k in (*same(runs), *other(runs)) if r is run}
            labels = ", ".join(
                f"{k} {v[i]:.1f} ({v[i] - v[0]:+.1f}, {v[i] - v.max():.1f})"
                for k, v in targets.items()
            )
            print(
                f"| {run.encoder} | {run.pooling} | {run.source} | {kind}"
                f" | {100 * expit(choice[0]):.1f} | {run.names[i]} | {100 * expit(choice[i]):.1f}"
                f" | {value[i] - value[0]:+.2f} ({error:.2f}) | {labels} |"
            )


def criterion_resampled(run: Run, parts: tuple[Part, ...], rng: np.random.Generator) -> np.ndarray:
    total = np.zeros(len(run.names))
    for kind, measure, weight in parts:
        values = run.pairs[kind, measure]
        rows = rng.integers(0, values.shape[1], values.shape[1])
        total += weight * logit(np.clip(values[:, rows].mean(1), 1e-6, 1 - 1e-6))
    return total


def number_of_pairs(runs: list[Run], args: Args) -> None:
    """Selections from random subsets of the pairs; the pool of candidates stays whole."""
    print("\n## number of pairs, halves\n")
    print("| encoder | pooling | source | pairs | plain kept | gain | 5 % quantile | best |")
    print("|---|---|---|---:|---:|---:|---:|---:|")
    rng = np.random.default_rng(0)
    for run, target, label in same(runs):
        parts = GATE["halves"]
        if criterion(run, parts) is None:
            continue
        most = min(run.pairs[part[:2]].shape[1] for part in parts)
        score = target.labels[label]
        for n in (n for n in args.pairs if n <= most):
            found = []
            for _ in range(200):
                rows = rng.choice(most, n, replace=False)
                i = int(criterion(run, CHOICE, rows).argmax())
                value = criterion(run, parts, rows)
                found.append(i if value[i] - value[0] >= args.margin else 0)
            gain = score[found] - score[0]
            print(
                f"| {run.encoder} | {run.pooling} | {label} | {n}"
                f" | {np.mean(np.equal(found, 0)):.2f}"
                f" | {gain.mean():+.2f} | {np.quantile(gain, 0.05):+.2f}"
                f" | {score.max() - score[0]:+.2f} |"
            )


def same(runs: list[Run]) -> Iterator[tuple[Run, Run, str]]:
    """Criterion and label from one source."""
    for run in runs:
        if run.source not in ("wikinews", "enwiki"):
            yield from ((run, run, label) for label in run.labels)


def other(runs: list[Run]) -> Iterator[tuple[Run, Run, str]]:
    """Criterion from documents; label of a task, whose sentences the recipe is fitted on."""
    places = {(r.encoder, r.pooling, r.source): r for r in runs}
    for run in runs:
        if run.source in ("wikinews", "enwiki"):
            for task in ("stsb", "sickr", "sts12"):
                target = places.get((run.encoder, run.pooling, task))
                if target is not None:
                    order = [target.names.index(name) for name in run.names]
                    labels = {k: v[order] for k, v in target.labels.items()}
                    matched = target._replace(names=run.names, labels=labels)
                    yield from ((run, matched, label) for label in labels)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
