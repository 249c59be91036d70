"""The five-seed table: plain, standardize, whitening and flows on each task's own sentences.

    python benchmarks/seeds.py --data-dir DATA --tasks stsb,sickr,sts12,sts14

Each task's sentences (all splits, labels unseen) are embedded once; every seed fits every flow
anew. Prints a Markdown table, mean ± standard deviation over the seeds.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path

import tyro

import flowjax
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
    pooling: str = "first_last"
    flows: tuple[str, ...] = ("glow",)
    seeds: int = 5
    epochs: float = 1.0
    batch_size: int = 64
    learning_rate: float = 1e-3
    out: Path | None = None
    """Folder for seeds.json and seeds.md."""


def main(args: Args) -> None:
    logging.basicConfig(level=logging.WARNING)
    encoder = flowjax.SentenceEncoder.from_pretrained(args.encoder, pooling=args.pooling)
    runs: list[dict] = [{} for _ in range(args.seeds)]
    for name in args.tasks.split(","):
        task = load_task(name, args.data_dir)
        everything = task.sentences()
        distinct = list(dict.fromkeys(everything))
        rows = {s: i for i, s in enumerate(distinct)}
        plain = encoder.encode(distinct)
        fit_on = plain[[rows[s] for s in everything]]
        for seed in range(args.seeds):
            maps = {}
            for flow in args.flows:
                model = flowjax.BertFlow(encoder, flow=flow, seed=seed)
                model.fit_vectors(
                    fit_on,
                    epochs=args.epochs,
                    batch_size=args.batch_size,
                    optimizer=flowjax.training.default_optimizer(args.learning_rate),
                )
                maps |= calibrations(model)
            scores = {n: evaluate_vectors(task, distinct, f(plain)) for n, f in maps.items()}
            runs[seed][name] = by_vectors(scores)
            print(f"{name} seed {seed}", flush=True)
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


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
