"""How much do whitening and the flow gain on encoders of different quality?

    python benchmarks/quality.py --data-dir DATA --encoders MLM=minibert NLI=runs/nli/model \
        --out benchmarks/results

Flows and whitenings are fitted on each task's own sentences (all splits, labels unseen), with a
part held out. The powers and the selected vectors are chosen on pairs of texts made from the
held-out sentences, without labels. Writes quality.jsonl, one line for each encoder, task and seed
(an earlier line is not measured again), quality.md and quality.png. An encoder is NAME=FOLDER,
or NAME=FOLDER@POOLING.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import tyro
from embedded import Cache, Embedded

import flowjax
from flowjax import flows
from flowjax.bijectors.moments import moments_of
from flowjax.calibration.auto import candidates_of, choose, fit_options, fit_rows
from flowjax.calibration.candidates import Candidate, closed_form_candidates
from flowjax.calibration.held import SampledSource
from flowjax.calibration.select import POWERS, pairs_of
from flowjax.data.sentences import open_source
from flowjax.evaluation import evaluate_vectors
from flowjax.plots._style import looks

VECTORS = ("plain", "whitening", "whitening^p", "flow", "flow^q", "selected")


@dataclasses.dataclass(frozen=True)
class Args:
    data_dir: Path
    encoders: tuple[str, ...] = ("minibert=minibert",)
    tasks: str = "stsb,sickr,sts12,sts14"
    seeds: int = 1
    epochs: float = 1.0
    flow: bool = True
    """Fit the flow too; without it, only the closed forms are measured."""
    cache: Path = Path("runs/vectors")
    out: Path = Path("runs/quality")


def main(args: Args) -> None:
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "quality.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    for named in args.encoders:
        label, _, rest = named.partition("=")
        name, _, pooling = rest.partition("@")
        cache = Cache(args.cache, args.data_dir, name)
        encoder = flowjax.SentenceEncoder.from_pretrained(name, pooling=pooling or "auto")
        for task in args.tasks.split(","):
            for seed in range(args.seeds):
                key = {"encoder": label, "weights": cache.weights, "task": task, "seed": seed}
                key |= {"pooling": encoder.pooling, "epochs": args.epochs}
                if any(key.items() <= row.items() for row in rows):
                    continue
                found = cache.task(task, encoder.pooling)
                rows.append(key | measure(found, encoder, seed, args))
                print(json.dumps(rows[-1]), flush=True)
                with file.open("a") as out:
                    out.write(json.dumps(rows[-1]) + "\n")
    (args.out / "quality.md").write_text(table(rows), "utf-8")
    print(table(rows))
    draw(rows, args.out / "quality.png")


def measure(found: Embedded, encoder: Any, seed: int, args: Args) -> dict[str, Any]:
    """Spearman x 100 of each kind of vectors by split, and the chosen powers."""
    source = SampledSource(open_source(found.task.sentences()), seed)
    held = source.held()
    pairs = pairs_of(held.sentences, seed)
    texts = list(dict.fromkeys(t for both in pairs for t in (*both.left, *both.right)))
    place = {text: row for row, text in enumerate(texts)}
    vectors = encoder.encode(texts)
    known = {
        both.kind: tuple(vectors[[place[t] for t in side]] for side in (both.left, both.right))
        for both in pairs
    }
    rest = np.delete(found.plain[found.target], held.rows, axis=0)
    candidates = fitted(rest, encoder, seed, args)
    chosen = {
        "plain": only(candidates, "plain"),
        "whitening": only(candidates, "whitening^1"),
        "whitening^p": best(candidates, "whitening^", known, seed),
        "selected": choose(candidates, known, seed)[1],
    }
    if args.flow:
        chosen |= {
            "flow": only(candidates, "glow^0"),
            "flow^q": best(candidates, "glow", known, seed),
        }
    scores = {
        name: spearman(found, candidate.transform(found.plain))
        for name, candidate in chosen.items()
    }
    return {"chosen": {k: v.name for k, v in chosen.items()}, "scores": scores}


def fitted(rows: np.ndarray, encoder: Any, seed: int, args: Args) -> list[Candidate]:
    """Candidates that are fitted on rows `(n, dim)`."""
    dim = rows.shape[1]
    if not args.flow:
        return closed_form_candidates(moments_of([rows], dim), POWERS)
    options = fit_options(
        None, batch_size=None, learning_rate=None, weight_decay=None, clip_norm=1.0
    )
    steps = max(1, round(args.epochs * len(rows) / options["batch_size"]))
    glow = flows.make("glow", dim)
    return candidates_of(fit_rows(encoder, glow, rows, seed=seed, steps=steps, **options))


def only(candidates: list[Candidate], name: str) -> Candidate:
    """The candidate of a name."""
    return next(one for one in candidates if one.name == name)


def best(candidates: list[Candidate], prefix: str, pairs: Any, seed: int) -> Candidate:
    """The preferred candidate of a family, also where its gain is too small to be selected."""
    family = [one for one in candidates if one.name.startswith(prefix)]
    selection, _ = choose([only(candidates, "plain"), *family], pairs, seed)
    ranked = {one.name: selection.table[one.name] for one in family}
    name = max(ranked, key=lambda name: ranked[name].get("dropped_words", 0.0))
    return only(candidates, name)


def spearman(found: Embedded, vectors: np.ndarray) -> dict[str, float]:
    """Spearman x 100 by split; `all` pairs of a year together."""
    splits = evaluate_vectors(found.task, found.sentences, vectors)
    return {
        split: round((scores["all"] if found.task.grouped else scores)["spearman"], 3)
        for split, scores in splits.items()
    }


def averages(rows: list[dict[str, Any]]) -> dict[str, dict[str, tuple[float, float]]]:
    """Mean over the tasks of each kind of vectors, and its standard deviation over the seeds.

    It is NaN for an encoder that was not measured on all tasks of `rows`.
    """
    found: dict[str, dict[str, tuple[float, float]]] = {}
    tasks = {row["task"] for row in rows}
    for label in dict.fromkeys(row["encoder"] for row in rows):
        own = [row for row in rows if row["encoder"] == label]
        runs = dict.fromkeys((row["weights"], row["seed"]) for row in own)
        found[label] = {}
        for name in VECTORS:
            values = []
            for run in runs:
                parts = {
                    row["task"]: row["scores"][name]["test"]
                    for row in own
                    if (row["weights"], row["seed"]) == run and name in row["scores"]
                }
                values.append(np.mean(list(parts.values())) if {*parts} == tasks else np.nan)
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
            found[label][name] = (float(np.mean(values)), spread)
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: mean over the tasks, and each task."""
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    everywhere = [
        row["encoder"]
        for row in rows
        if {*tasks} == {one["task"] for one in rows if one["encoder"] == row["encoder"]}
    ]
    lines = [
        "# Gain of calibration against the quality of the encoder",
        "",
        "By `python benchmarks/quality.py`. Spearman x 100 on the test splits, pairs of a year "
        "together; p and q are chosen without labels.",
    ]
    groups = {"mean of " + ", ".join(tasks): [r for r in rows if r["encoder"] in everywhere]}
    groups |= {task: [row for row in rows if row["task"] == task] for task in tasks}
    for title, own in groups.items():
        lines += ["", f"| {title} | " + " | ".join(VECTORS) + " | whitening gains | flow gains |"]
        lines += ["| --- |" + " ---: |" * (len(VECTORS) + 2)]
        for label, means in averages(own).items():
            cells = [_cell(*value) for value in means.values()]
            gains = [means[name][0] - means["plain"][0] for name in ("whitening", "flow")]
            cells += [f"{gain:+.1f}" if np.isfinite(gain) else "not run" for gain in gains]
            lines.append(f"| {label} | " + " | ".join(cells) + " |")
    lines += ["", "| encoder | pooling | seeds | chosen on " + ", ".join(tasks) + " | source |"]
    lines += ["| --- | --- | ---: | --- | --- |"]
    for label in dict.fromkeys(row["encoder"] for row in rows):
        own = [row for row in rows if row["encoder"] == label]
        chosen = ", ".join(row["chosen"]["selected"] for row in own if "chosen" in row)
        seeds = own[0].get("seeds") or len({(row["weights"], row["seed"]) for row in own})
        source = own[0].get("source", "quality.jsonl")
        lines.append(f"| {label} | {own[0]['pooling']} | {seeds} | {chosen or '-'} | {source} |")
    return "\n".join(lines) + "\n"


def _cell(mean: float, spread: float) -> str:
    if not np.isfinite(mean):
        return "not run"
    return f"{mean:.2f}" + (f" ± {spread:.2f}" if spread else "")


def draw(rows: list[dict[str, Any]], file: Path) -> None:
    """Draws the gain over plain vectors on STS-B against their Spearman correlation."""
    found = averages([row for row in rows if row["task"] == "stsb"])
    order = sorted(found, key=lambda label: found[label]["plain"][0])
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    kinds = looks(["whitening", "whitening^p", "flow"])
    for name, look in kinds.items():
        points = [
            (found[label]["plain"][0], found[label][name][0] - found[label]["plain"][0])
            for label in order
            if np.isfinite(found[label][name][0])
        ]
        dots = {"ls": "", "marker": look.marker, "color": look.color}
        axes.plot(*np.transpose(points), ms=6, alpha=0.7, label=name, **dots)
    names: dict[float, str] = {}
    for label in order:
        x = found[label]["plain"][0]
        if not label.startswith("MLM, step"):
            near = next((known for known in names if abs(known - x) < 0.2), None)
            names[x if near is None else near] = (
                label if near is None else f"{names[near]}; {label}"
            )
    left = -np.inf
    for x, text in names.items():
        axes.axvline(x, color="0.85", lw=1, zorder=0)
        place = {"rotation": 90, "fontsize": 8, "va": "bottom"}
        place["ha"] = "right" if x - left > 0.85 else "left"  # of the line
        left = x
        axes.text(x, 0.01, text, transform=axes.get_xaxis_transform(), **place)
    axes.axhline(0, color="0.6", lw=1)
    axes.set_ylim(bottom=-11)  # room for the names
    axes.set(
        xlabel="Spearman x 100 of plain vectors, STS-B test",
        ylabel="gain over plain vectors, Spearman x 100",
    )
    axes.legend(frameon=False, loc="upper right")
    figure.savefig(file, dpi=150)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
