"""Greedy average of the weights of several fine-tuned encoders (model soup, arXiv 2203.05482).

    python benchmarks/soup.py --models runs/a/model runs/b/model --data-dir DATA --out runs/soup

The models have the same start and shape. The best one on STS-B dev is the first ingredient; each
other one, in descending order, is kept if the average with it is not worse on STS-B dev.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tyro
from safetensors.numpy import load_file, save_file

import flowjax
from flowjax.evaluation import evaluate_vectors, load_task

WEIGHTS = "model.safetensors"


@dataclasses.dataclass(frozen=True)
class Args:
    models: tuple[Path, ...]
    data_dir: Path
    out: Path


def main(args: Args) -> None:
    task = load_task("stsb", args.data_dir)
    sentences = list(dict.fromkeys(task.sentences()))

    def score(models: Sequence[Path]) -> float:
        with tempfile.TemporaryDirectory() as folder:
            write(models, Path(folder))
            encoder = flowjax.SentenceEncoder.from_pretrained(folder)
            return evaluate_vectors(task, sentences, encoder.encode(sentences))["dev"]["spearman"]

    alone = {model: score([model]) for model in args.models}
    for model, value in alone.items():
        print(f"{value:.2f} {model}", flush=True)
    first, *others = sorted(args.models, key=alone.__getitem__, reverse=True)
    kept, best = [first], alone[first]
    for model in others:
        value = score([*kept, model])
        print(f"{value:.2f} with {model}", flush=True)
        if value >= best:
            kept, best = [*kept, model], value
    write(kept, args.out)
    print(f"{best:.2f} {args.out}: average of {', '.join(map(str, kept))}")


def write(models: Sequence[Path], out: Path) -> None:
    """Writes the folder of the first model with the average of the weights of all."""
    facts = shutil.ignore_patterns("finetune.json", "README.md")  # of the first model alone
    shutil.copytree(models[0], out, dirs_exist_ok=True, ignore=facts)
    weights = [load_file(model / WEIGHTS) for model in models]
    mean = {
        name: np.mean([w[name].astype(np.float32) for w in weights], axis=0).astype(value.dtype)
        for name, value in weights[0].items()
    }
    save_file(mean, out / WEIGHTS, metadata={"format": "pt"})


if __name__ == "__main__":
    main(tyro.cli(Args))
