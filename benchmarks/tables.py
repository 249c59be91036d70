"""The paper's tables on the embedded encoder: the configs named minibert_* run.

    python benchmarks/tables.py --data-dir DATA --seeds 5 --out benchmarks/results
    python benchmarks/tables.py --data-dir DATA --tables table3 --encoder runs/0/model,runs/1/model

Each row is a file of configs/; sentences are encoded once. Target rows are fitted on each task's
own sentences, NLI rows on SNLI's dev and test sentences in DATA/snli. Writes tables.md and .json.
The encoders of table 3 are results of configs/table3/minibert_nli_finetune.toml, one for each
seed; the n-th flow is fitted on the n-th encoder.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from embedded import Cache, Embedded, Transform, fit

from flowjax.config import FitConfig, read_config
from flowjax.evaluation import (
    Lookup,
    evaluate_vectors,
    lexical_correlations,
    null_top_singular_vectors,
    spearman,
    standardize_then_null,
)

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
TASKS = {
    "table2": "stsb,sickr,sts12,sts14",
    "table3": "stsb,sickr,sts12,sts14",
    "table4": "qnli",
    "table5": "stsb",
    "table6": "stsb",
}


@dataclasses.dataclass(frozen=True)
class Args:
    data_dir: Path
    encoder: str = "minibert"
    """Another one to run the same rows on: a folder or a name; or several, one for each seed."""
    tables: str = "table2,table4,table5,table6"
    seeds: int = 5
    cache: Path = Path("runs/vectors")
    out: Path = Path("runs/tables")


def main(args: Args) -> None:
    caches = [Cache(args.cache, args.data_dir, name) for name in args.encoder.split(",")]
    results: dict[str, dict[str, dict[str, list[float]]]] = {}
    for table in args.tables.split(","):
        rows = results.setdefault(table, {})
        for file in sorted((CONFIGS / table).glob("minibert_*.toml")):
            if file.stem.endswith("_finetune"):
                continue
            row = rows.setdefault(file.stem.removeprefix("minibert_"), {})
            config = read_config(file, FitConfig)
            several = range(args.seeds if config.flow.name == "glow" else 1)
            for number, cache in enumerate(caches):
                for seed in [number] if len(caches) > 1 else several:
                    for scores in scored(table, file.stem, config, cache, seed):
                        for key, value in scores.items():
                            row.setdefault(key, []).append(value)
            print(
                table, file.stem, {k: np.round(v, 2).tolist() for k, v in row.items()}, flush=True
            )
    args.out.mkdir(parents=True, exist_ok=True)
    facts = {
        "encoder": ", ".join(Path(name).parent.name or name for name in args.encoder.split(",")),
        "weights": ", ".join(cache.weights for cache in caches),
        "seeds": args.seeds if len(caches) == 1 else len(caches),
    }
    (args.out / "tables.json").write_text(json.dumps(facts | results, indent=1) + "\n", "utf-8")
    (args.out / "tables.md").write_text(markdown(facts, results), "utf-8")


def scored(
    table: str, stem: str, config: FitConfig, cache: Cache, seed: int
) -> Iterator[dict[str, float]]:
    """Yields a row's numbers on each task of a table."""
    pooling, shared = config.encoder.pooling, None
    if config.data.fit == "nli.txt":
        shared = calibration(config, stem, cache.vectors(nli(cache.data_dir), pooling), seed)
    for name in TASKS[table].split(","):
        found = cache.task(name, pooling)
        to = shared or calibration(config, stem, found.plain[found.target], seed)
        yield measure(table, found, to)


def nli(data_dir: Path) -> list[str]:
    """The sentences of SNLI's files, both of each pair."""
    files = sorted((data_dir / "snli").glob("s[12].*"))
    return [line for file in files for line in file.read_text("utf-8").splitlines()]


def calibration(config: FitConfig, stem: str, on: np.ndarray, seed: int) -> Transform:
    """Returns the transformation of a row: a flow, or NATSV by the name of the file."""
    if "natsv_" in stem:
        null = standardize_then_null if "sn_natsv" in stem else null_top_singular_vectors
        return null(on, int(stem.rsplit("_", 1)[1]))
    return fit(config, on, seed)[0]


def measure(table: str, found: Embedded, to: Transform) -> dict[str, float]:
    """A task's numbers in a table, by column."""
    vectors = to(found.plain)
    if table == "table6":  # the dev split, as `lexical_correlations` says
        pairs = found.task.pairs("dev")
        cosines = Lookup(found.sentences, vectors).cosines(pairs)
        measures = {"gold": pairs.gold, "similarity": cosines}
        edits = lexical_correlations(pairs.sentences1, pairs.sentences2, measures)
        return {
            "gold with edit distance": edits["gold"],
            "with edit distance": edits["similarity"],
            "with gold": 100 * spearman(cosines, pairs.gold, ("cosine", "gold")),
        }
    splits = evaluate_vectors(found.task, found.sentences, vectors)
    name = found.task.name
    if found.task.metric == "auc":
        return {f"{name} AUC": next(iter(splits.values()))["auc"]}
    test = splits["test"]
    if not found.task.grouped:
        return {name: test["spearman"]}
    return {f"{name} {kind}": test[kind]["spearman"] for kind in ("wmean", "all")}


def markdown(facts: dict[str, Any], results: dict[str, Any]) -> str:
    """The tables, mean ± sample standard deviation over the seeds."""
    lines = [
        "# The paper's tables on our encoder",
        "",
        f"`{facts['encoder']}` (weights {facts['weights']}), {facts['seeds']} seed(s), by "
        "`python benchmarks/tables.py --data-dir DATA`; a row is a file of `configs/`. Spearman x "
        "100 on the test split (table 4: AUC x 100 on dev; table 6: dev). Table 2 NLI: SNLI's dev "
        "and test sentences alone.",
    ]
    for table, rows in results.items():
        columns = list(dict.fromkeys(key for row in rows.values() for key in row))
        head = [f"{table} ", *columns]
        lines += ["", "| " + " | ".join(head) + " |", "| --- |" + " ---: |" * len(columns)]
        for name, row in rows.items():
            cells = [f"{np.mean(row[c]):.2f}" + spread(row[c]) for c in columns]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def spread(values: list[float]) -> str:
    """` ± s` for more than one seed."""
    return f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else ""


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
