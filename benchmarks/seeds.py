"""Plain, standardized, whitened and selected vectors on each task's sentences, five seeds.

    python benchmarks/seeds.py --data-dir DATA --tasks stsb,sickr,sts12,sts14

Each seed fits every flow anew on each task's own sentences (all splits, labels unseen); each
sentence is encoded once. The flow "auto", the default of flowjax, selects its vectors without
labels; the table has them under the name "selected". Prints a Markdown table, mean ± standard
deviation over the seeds.
"""

from __future__ import annotations

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
from flowjax.compare import calibrations
from flowjax.evaluation import (
    average,
    by_vectors,
    evaluate_vectors,
    load_task,
    markdown_table,
    summarize_seeds,
)


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
        self.encoder, self.name = encoder, encoder.name
        self.vectors: dict[str, np.ndarray] = {}

    def encode(self, sentences: Sequence[str]) -> np.ndarray:
        new = [s for s in dict.fromkeys(sentences) if s not in self.vectors]
        if new:
            self.vectors |= dict(zip(new, self.encoder.encode(new), strict=True))
        return np.stack([self.vectors[s] for s in sentences])


def main(args: Args) -> None:
    logging.basicConfig(level=logging.WARNING)
    encoder = Known(flowjax.SentenceEncoder.from_pretrained(args.encoder, pooling=args.pooling))
    runs: list[dict] = [{} for _ in range(args.seeds)]
    selections: dict[str, dict[str, Any]] = {}
    for name in args.tasks.split(","):
        task = load_task(name, args.data_dir)
        everything = task.sentences()
        distinct = list(dict.fromkeys(everything))
        plain = encoder.encode(distinct)
        moments = moments_of([encoder.encode(everything)], plain.shape[1])
        for seed in range(args.seeds):
            maps = {}
            for flow in args.flows:
                model = flowjax.BertFlow(encoder, flow=flow, seed=seed)
                model.fit(everything, epochs=args.epochs)
                model.moments = moments  # the baselines are fitted on all sentences
                *others, (own, transform) = calibrations(model).items()
                maps |= {**dict(others), "selected" if flow == "auto" else own: transform}
                if "selection" in model.fitted_on:
                    found = model.fitted_on["selection"]
                    selections[f"{name} seed {seed}"] = found
                    print(f"{name} seed {seed}: {found['advice']}", flush=True)
            scores = {n: evaluate_vectors(task, distinct, f(plain)) for n, f in maps.items()}
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


def _brief(splits: dict[str, Any]) -> dict[str, Any]:
    """Spearman on the test split, by vectors; `all` and `wmean` of a task with subsets."""
    found: dict[str, Any] = {}
    for name, scores in splits["test"].items():
        parts = scores if "spearman" not in scores else {"": scores}
        found[name] = [round(parts[k]["spearman"], 2) for k in ("", "all", "wmean") if k in parts]
    return found


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
