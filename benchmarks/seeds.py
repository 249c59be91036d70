"""Plain, standardized, whitened and selected vectors on each task's sentences, five seeds.

    python benchmarks/seeds.py --data-dir DATA --tasks stsb,sickr,sts12,sts14

Each seed fits every flow anew on each task's own sentences (all splits, labels unseen); each
sentence is encoded once. The flow "auto", the default of flowjax, selects its vectors without
labels; the table has them under the name "selected". Prints a Markdown table, mean ± standard
deviation over the seeds.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tyro

import flowjax
from flowjax.bijectors.moments import moments_of
from flowjax.calibration.candidates import closed_form
from flowjax.calibration.held import SampledSource
from flowjax.calibration.poolings import choose_pooling, has_default_pooling
from flowjax.data.sentences import open_source
from flowjax.evaluation import (
    PairTask,
    average,
    by_vectors,
    evaluate_vectors,
    load_task,
    markdown_table,
    summarize_seeds,
)
from flowjax.flows.arrays import ArrayCalls


@dataclasses.dataclass(frozen=True)
class Args:
    data_dir: Path
    tasks: str = "stsb"
    encoder: str = "minibert"
    pooling: str = "auto"
    flows: tuple[str, ...] = ("auto",)
    seeds: int = 5
    epochs: float | None = None
    """Passes over the sentences; by default the length of `BertFlow.fit`."""
    out: Path | None = None
    """Folder for seeds.json, seeds.md and selections.json."""


class Known:
    """Encoder that encodes each sentence once."""

    def __init__(self, encoder: Any) -> None:
        self.encoder, self.name = encoder, f"{encoder.name}, {encoder.pooling}"
        self.vectors: dict[str, np.ndarray] = {}

    def encode(self, sentences: Sequence[str]) -> np.ndarray:
        new = [s for s in dict.fromkeys(sentences) if s not in self.vectors]
        if new:
            self.vectors |= dict(zip(new, self.encoder.encode(new), strict=True))
        return np.stack([self.vectors[s] for s in sentences])


def main(args: Args) -> None:
    logging.basicConfig(level=logging.WARNING)
    default = flowjax.SentenceEncoder.from_pretrained(args.encoder, pooling=args.pooling)
    pools = args.pooling == "auto" and has_default_pooling(default)
    known = {default.pooling: Known(default)}
    runs: list[dict] = [{} for _ in range(args.seeds)]
    selections: dict[str, dict[str, Any]] = {}
    for name in args.tasks.split(","):
        task = load_task(name, args.data_dir)
        everything = task.sentences()
        distinct = list(dict.fromkeys(everything))
        for seed in range(args.seeds):
            pooling = default.pooling
            if pools:  # as BertFlow.fit does
                pooling = choose_pooling(
                    default, SampledSource(open_source(everything), seed), seed
                )
            if pooling not in known:
                other = copy.copy(default)
                other.pooling = pooling
                known[pooling] = Known(other)
            scores = baselines(task, known[default.pooling], everything)
            if pooling != default.pooling:
                others = baselines(task, known[pooling], everything)
                scores |= {f"{key}, {pooling}": value for key, value in others.items()}
            for flow in args.flows:
                model = flowjax.BertFlow(known[pooling], flow=flow, seed=seed)
                model.fit(everything, epochs=args.epochs)
                vectors = model.transform(known[pooling].encode(distinct))
                own = "selected" if flow == "auto" else model.vectors_name
                scores[own] = evaluate_vectors(task, distinct, vectors)
                found = model.fitted_on.get("selection", {"advice": flow})
                selections[f"{name} seed {seed}"] = {"pooling": pooling, **found}
                print(f"{name} seed {seed}: {pooling}: {found['advice']}", flush=True)
            runs[seed][name] = by_vectors(scores)
            print(name, seed, json.dumps(_brief(runs[seed][name])), flush=True)
    summary = summarize_seeds([{"results": run} for run in runs])
    text = markdown_table(summary)
    print(text)
    if len(args.tasks.split(",")) > 1:
        for aggregation in ("all", "wmean"):
            means = average(summary, aggregation=aggregation)
            print(f"average, {aggregation}:", {k: round(v, 2) for k, v in means.items()})
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "seeds.json").write_text(json.dumps(summary, indent=1) + "\n", "utf-8")
        (args.out / "seeds.md").write_text(text + "\n", "utf-8")
        lines = json.dumps(selections, indent=1) + "\n"
        (args.out / "selections.json").write_text(lines, "utf-8")


def baselines(task: PairTask, encoder: Known, everything: Sequence[str]) -> dict[str, Any]:
    """Scores of plain, standardized and whitened vectors, fitted on all sentences of a task."""
    distinct = list(dict.fromkeys(everything))
    vectors = {"plain": encoder.encode(distinct)}
    moments = moments_of([encoder.encode(everything)], vectors["plain"].shape[1])
    for name in ("standardize", "whitening"):
        flow, params = closed_form(name, moments)
        vectors[name] = ArrayCalls(flow).forward(params, vectors["plain"])
    return {name: evaluate_vectors(task, distinct, found) for name, found in vectors.items()}


def _brief(splits: dict[str, Any]) -> dict[str, Any]:
    """Spearman on the test split, by vectors; `all` and `wmean` of a task with subsets."""
    found: dict[str, Any] = {}
    for name, scores in splits["test"].items():
        parts = scores if "spearman" not in scores else {"": scores}
        found[name] = [round(parts[k]["spearman"], 2) for k in ("", "all", "wmean") if k in parts]
    return found


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
