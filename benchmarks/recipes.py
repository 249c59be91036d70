"""Which flow recipe ranks best? A search on STS-B dev; then the choice, five seeds, on tests.

    python benchmarks/recipes.py --data-dir DATA [--encoder FOLDER]

Sentences are encoded once and kept in --cache. A stage varies one thing around the best so far;
every fit is judged twice, as it is and with its latents whitened in closed form. No test pair is
looked at before the choice is made. Each trial is a line of recipes.jsonl in --out.
"""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from embedded import Cache, Embedded, Transform, fit

from flowjax.bijectors import moments, whitening, whitening_from_moments
from flowjax.config import FitConfig, FlowConfig, TrainConfig
from flowjax.evaluation import average, by_vectors, evaluate_vectors, summarize_seeds

TESTS = ("stsb", "sickr", "sts12", "sts14")
# The paper's flow, without the whitening of latents.
START: dict[str, Any] = {
    "name": "glow",
    "latent_power": "none",
    "epochs": 1.0,
    "batch_size": 64,
    "learning_rate": 1e-3,
}
STAGES: tuple[tuple[str, list[dict[str, Any]]], ...] = (
    ("start", [{}, {"name": "whitening_glow", "latent_power": None}]),
    ("longer, wider", [{"epochs": e, "width": w} for e in (2.0, 4.0) for w in (32, 256)]),
    ("wider still", [{"width": 512}, {"width": 128}]),
    ("levels, depth", [{"levels": 1}, {"levels": 3}, {"depth": 6}, {"depth": 2}]),
    (
        "coupling, mixing",
        [{"coupling": "affine"}, {"permutation": "lu"}, {"mask": "checkerboard"}],
    ),
    ("rate", [{"learning_rate": r} for r in (3e-4, 3e-3)]),
    ("batch, schedule", [{"batch_size": 256}, {"schedule": "cosine"}]),
    ("longer", [{"epochs": 8.0}, {"epochs": 8.0, "weight_decay": 0.1}]),
    ("base, early stop", [{"base": "student_t"}, {"validation": 0.1, "patience": 3}]),
)


@dataclasses.dataclass(frozen=True)
class Args:
    data_dir: Path
    encoder: str = "minibert"
    pooling: str = "first_last"
    seeds: int = 5
    cache: Path = Path("runs/vectors")
    out: Path = Path("runs/recipes")
    choice: str = ""
    """JSON of a recipe to test in place of the search's best, or `search` to stop before tests."""


def main(args: Args) -> None:
    cache = Cache(args.cache, args.data_dir, args.encoder)
    args.out.mkdir(parents=True, exist_ok=True)
    best = json.loads(args.choice) if args.choice.startswith("{") else search(args, cache)
    if args.choice != "search":
        final(args, cache, best)


def config_of(recipe: dict[str, Any]) -> FitConfig:
    """A flat recipe as a config's two tables."""
    parts: list[dict[str, Any]] = [{}, {}]
    in_flow = {field.name for field in dataclasses.fields(FlowConfig)}
    for key, value in recipe.items():
        parts[key not in in_flow][key] = value
    return FitConfig(flow=FlowConfig(**parts[0]), train=TrainConfig(**parts[1]))


def spearman_dev(found: Embedded, vectors: np.ndarray) -> float:
    """Spearman x 100 of a task's dev pairs."""
    scores = evaluate_vectors(found.task, found.sentences, vectors, splits=["dev"])
    return round(scores["dev"]["spearman"], 2)


def search(args: Args, cache: Cache) -> dict[str, Any]:
    """Returns the best recipe by STS-B dev, its latents whitened or not."""
    found = cache.task("stsb", args.pooling)
    rows = found.plain[found.target]
    print("plain", spearman_dev(found, found.plain))
    white = whitened_by(lambda x: x, rows)
    print("whitening", spearman_dev(found, white(found.plain)), flush=True)
    best, best_dev = dict(START), -1.0
    for stage, changes in STAGES:
        around = best
        for change in changes:
            recipe, began = around | change, time.monotonic()
            transform, nats = fit(config_of(recipe), rows, seed=0)
            latents = transform(found.plain)
            dev = spearman_dev(found, latents)
            whitened = spearman_dev(found, whitened_by(transform, rows)(found.plain))
            trial = {
                "stage": stage,
                "recipe": recipe,
                "dev": dev,
                "dev_whitened_latents": whitened,
                "validation_nats": nats,
                "seconds": round(time.monotonic() - began, 1),
            }
            print(json.dumps(trial), flush=True)
            with (args.out / "recipes.jsonl").open("a") as file:
                file.write(json.dumps(trial | {"weights": cache.weights}) + "\n")
            if max(dev, whitened) > best_dev:
                best, best_dev = recipe, max(dev, whitened)
    print("best", best, best_dev, flush=True)
    return best


def whitened_by(transform: Transform, rows: np.ndarray) -> Transform:
    """A fitted map, then the closed-form whitening of its latents: `latent_power` 1 of `glow`."""
    latents = transform(rows)
    params = whitening_from_moments(
        moments.moments_of([latents], latents.shape[1]), shrinkage="auto"
    )
    layer = whitening()
    return lambda x: np.asarray(layer.forward(params, transform(x))[0])


def final(args: Args, cache: Cache, recipe: dict[str, Any]) -> None:
    """The recipe beside plain, whitening and the paper's glow, on the test splits, all seeds."""
    trained = {"glow": dict(START)}
    chosen = START | recipe | {"latent_power": "none"}
    if chosen != START:
        trained["chosen"] = chosen
    runs: list[dict[str, Any]] = [{} for _ in range(args.seeds)]
    for name in TESTS:
        found = cache.task(name, args.pooling)
        rows = found.plain[found.target]
        closed: dict[str, Transform] = {"plain": lambda x: x}
        closed |= {
            k: fit(config_of({"name": k}), rows, 0)[0] for k in ("standardize", "whitening")
        }
        fixed = {kind: scored(found, to) for kind, to in closed.items()}
        for seed in range(args.seeds):
            scores = dict(fixed)
            for kind, each in trained.items():
                to = fit(config_of(each), rows, seed)[0]
                scores[kind] = scored(found, to)
                scores[f"{kind}, whitened latents"] = scored(found, whitened_by(to, rows))
            runs[seed][name] = by_vectors(scores)
            test = {k: s["test"].get("wmean", s["test"])["spearman"] for k, s in scores.items()}
            print(name, seed, {k: round(v, 2) for k, v in test.items()}, flush=True)
    summary = {"recipe": recipe, "weights": cache.weights} | {
        aggregation: average(summarize_seeds(runs), aggregation=aggregation)
        for aggregation in ("wmean", "all")
    }
    print(json.dumps(summary, indent=1))
    summary |= {"results": summarize_seeds(runs)}
    (args.out / "recipes.json").write_text(json.dumps(summary, indent=1) + "\n", "utf-8")


def scored(found: Embedded, to: Transform) -> dict[str, Any]:
    """A map's scores on all splits of a task."""
    return evaluate_vectors(found.task, found.sentences, to(found.plain))


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
