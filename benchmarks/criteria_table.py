"""Tables of `criteria.py`: how well label-free criteria choose a transformation.

    python benchmarks/criteria_table.py --runs runs/criteria [--margin 2]

A criterion selects the recipe with its highest value, or plain vectors if the value exceeds that
of plain vectors by less than `margin` standard errors. Gains and regrets are Spearman x 100.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tyro

from flowjax.evaluation import spearman

MEASURES = ("recall@1", "recall@10", "mrr", "auc")
DROPPED = "dropped_words_0.7"


@dataclasses.dataclass(frozen=True)
class Args:
    runs: Path
    margin: float = 0.0
    recipes: str = ""
    """Only plain and the recipes whose names begin so, such as `whitening`; all if empty."""
    details: bool = False


class Run(NamedTuple):
    """Recipes of one encoder, pooling and source: scores by label, and contributions of pairs."""

    encoder: str
    pooling: str
    source: str
    names: list[str]
    labels: dict[str, np.ndarray]
    pairs: dict[tuple[str, str], np.ndarray]


class Criterion(NamedTuple):
    """Log of a criterion for each recipe, and standard error of its difference from plain."""

    value: np.ndarray
    error: np.ndarray


def load(args: Args) -> Iterator[Run]:
    for file in sorted(args.runs.glob("*.json")):
        encoder, pooling, source = file.stem.split("+")
        lines = json.loads(file.read_text("utf-8"))
        names = [line["recipe"] for line in lines]
        keep = [i for i, n in enumerate(names) if n == "plain" or n.startswith(args.recipes)]
        labels = {k: np.array([lines[i]["labels"][k] for i in keep]) for k in lines[0]["labels"]}
        pairs: dict[tuple[str, str], np.ndarray] = {}
        for key, values in np.load(file.with_suffix(".npz")).items():
            kind, measure = key.split()
            values = values[keep].astype(np.float64)
            if measure == "auc":
                pairs[kind, "auc"] = values / 100
            else:
                values = np.round(2 * values) / 2
                pairs[kind, "mrr"] = 1 / (values + 1)
                for k in (1, 10):
                    pairs[kind, f"recall@{k}"] = (values < k).astype(np.float64)
        yield Run(encoder, pooling, source, [names[i] for i in keep], labels, pairs)


def criterion(run: Run, *parts: tuple[str, str]) -> Criterion | None:
    """The mean of the logs of measures; None if a kind of pairs is missing."""
    if any(part not in run.pairs for part in parts):
        return None
    values, errors = [], []
    for part in parts:
        each = run.pairs[part]
        mean = np.maximum(each.mean(1), 1e-9)
        values.append(np.log(mean))
        difference = each / mean[:, None] - each[0] / mean[0]  # of the logs, to first order
        errors.append(difference.std(1) / each.shape[1] ** 0.5)
    return Criterion(np.mean(values, 0), np.sqrt(np.square(errors).sum(0)) / len(parts))


def candidates() -> dict[str, tuple[tuple[str, str], ...]]:
    kinds = ("neighbours", "halves", "dropped_words_0.5", DROPPED, "dropout")
    found = {f"{k} {m}": ((k, m),) for k, m in itertools.product(kinds, MEASURES)}
    for other, measure in itertools.product(("neighbours", "halves"), MEASURES):
        found[f"{DROPPED} mrr x {other} {measure}"] = ((DROPPED, "mrr"), (other, measure))
    return found


def select(found: Criterion, margin: float) -> int:
    best = int(found.value.argmax())
    return best if found.value[best] - found.value[0] > margin * found.error[best] else 0


def main(args: Args) -> None:
    runs = list(load(args))
    by_place = {(r.encoder, r.pooling, r.source): r for r in runs}
    for title, pairs in (("same source", same(runs)), ("documents", other(runs, by_place))):
        rows: dict[str, list[tuple[float, ...]]] = {}
        pairs = list(pairs)
        for name, parts in candidates().items():
            for run, target, label in pairs:
                found = criterion(run, *parts)
                if found is None:
                    continue
                score = target.labels[label]
                chosen = select(found, args.margin)
                rho = spearman(found.value, score) if np.ptp(found.value) > 0 else np.nan
                gain, regret = score[chosen] - score[0], score[chosen] - score.max()
                rows.setdefault(name, []).append((rho, gain, regret))
                if args.details and (len(parts) == 2 or name == f"{DROPPED} mrr"):
                    print(
                        f"{run.encoder:20} {run.pooling:15} {run.source:9} {label:12} {name:40}"
                        f" {run.names[chosen]:14} {rho:5.2f} {gain:+6.2f} {regret:6.2f}"
                    )
        print(f"\n## {title}, {len(pairs)} labels\n")
        print("| criterion | n | rank correlation | gain | worst gain | regret | worst | below |")
        print("|---|---:|---:|---:|---:|---:|---:|---:|")
        for name, values in rows.items():
            rho, gain, regret = np.array(values).T
            print(
                f"| {name} | {len(values)} | {np.nanmean(rho):.2f} | {gain.mean():.2f}"
                f" | {gain.min():.2f} | {regret.mean():.2f} | {regret.min():.2f}"
                f" | {(gain < -0.5).sum()} |"
            )


def same(runs: list[Run]) -> Iterator[tuple[Run, Run, str]]:
    """Criterion and label from one source."""
    for run in runs:
        if run.source not in ("wikinews", "enwiki"):
            yield from ((run, run, label) for label in run.labels)


def other(runs: list[Run], by_place: dict[tuple[str, ...], Run]) -> Iterator[tuple[Run, Run, str]]:
    """Criterion from documents, label from a task; the recipe is fitted on the task's text."""
    for run in runs:
        if run.source in ("wikinews", "enwiki"):
            for task in ("stsb", "sickr", "sts12"):
                target = by_place.get((run.encoder, run.pooling, task))
                if target is not None and target.names == run.names:
                    yield from ((run, target, label) for label in target.labels)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
