"""Does the gain grow with the encoder? The STS-B table for each checkpoint of a pretraining.

    flowjax pretrain ... --train.export-every 500 --out runs/minibert
    python benchmarks/along_training.py --run runs/minibert --data-dir DATA --out runs/along

Writes `along.json`, `along.md` and `along.png`: Spearman on dev and test of plain, standardize,
whitening and glow (one seed) beside the held-out masked-LM loss of `metrics.jsonl`.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import matplotlib.pyplot as plt
import tyro

import flowjax
from flowjax.compare import calibrations
from flowjax.evaluation import evaluate_vectors, load_task

NAMES = ("plain", "standardize", "whitening", "glow")


@dataclasses.dataclass(frozen=True)
class Args:
    run: Path
    """A run of `flowjax pretrain`, with `encoders/STEP/` and `metrics.jsonl`."""
    data_dir: Path
    out: Path
    pooling: str = "first_last"


def measure(args: Args) -> list[dict]:
    """Prints a row for each encoder, in the order of training."""
    lines = (args.run / "metrics.jsonl").read_text().splitlines()
    losses = {r["step"]: r["heldout_loss"] for r in map(json.loads, lines) if "heldout_loss" in r}
    task = load_task("stsb", args.data_dir)
    sentences = list(dict.fromkeys(task.sentences()))
    where = {s: i for i, s in enumerate(sentences)}
    rows = []
    for folder in sorted((args.run / "encoders").iterdir(), key=lambda p: int(p.name)):
        encoder = flowjax.SentenceEncoder.from_pretrained(str(folder), pooling=args.pooling)
        plain = encoder.encode(sentences)
        model = flowjax.BertFlow(encoder, flow="glow", seed=0)
        model.fit_vectors(plain[[where[s] for s in task.sentences()]], epochs=1.0)
        row = {"step": int(folder.name), "heldout_loss": losses.get(int(folder.name))}
        for name, f in calibrations(model).items():
            scores = evaluate_vectors(task, sentences, f(plain))
            row |= {f"{name}_{split}": scores[split]["spearman"] for split in ("dev", "test")}
        rows.append(row)
        print(row, flush=True)
    return rows


def table(rows: list[dict]) -> str:
    """Markdown: test Spearman, and the flow's gain over plain pooling."""
    head = ["step", "held-out loss", *NAMES, "glow - plain", "glow - whitening"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for r in rows:
        values = [r[f"{n}_test"] for n in NAMES]
        gains = [values[3] - values[0], values[3] - values[2]]
        numbers = [r["heldout_loss"] or float("nan"), *values, *gains]
        lines.append(f"| {r['step']} | " + " | ".join(f"{v:.2f}" for v in numbers) + " |")
    return "\n".join(lines)


def main(args: Args) -> None:
    args.out.mkdir(parents=True, exist_ok=True)
    rows = measure(args)
    (args.out / "along.json").write_text(json.dumps(rows, indent=1) + "\n")
    (args.out / "along.md").write_text(table(rows) + "\n")
    print(table(rows))
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name in NAMES:
        axes.plot([r["step"] for r in rows], [r[f"{name}_test"] for r in rows], "o-", label=name)
    axes.set(xscale="log", xlabel="step of the pretraining", ylabel="STS-B test, Spearman x 100")
    axes.legend(frameon=False)
    figure.savefig(args.out / "along.png", dpi=150)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
