"""`flowjax demo`: fit, evaluation and figures on the embedded sample, offline, in minutes."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Annotated, Any

from flowjax.commands.terminal import message
from flowjax.config import DataConfig, EncoderConfig, FitConfig, FlowConfig, TrainConfig
from flowjax.config.ranges import SEED, Range


@dataclasses.dataclass(frozen=True)
class Args:
    """Fit a flow on the embedded sample, evaluate it and draw figures."""

    out: Path = Path("runs/demo")
    """Run folder."""
    flow: str = "glow"
    """Name of the flow, as in flowjax fit."""
    epochs: Annotated[float, Range(above=0)] = 4.0
    """Passes over the sentences."""
    seed: Annotated[int, SEED] = 0
    """Seed of the initialisation and the batches."""
    overwrite: bool = False
    """Replace an existing demo."""


def run(args: Args) -> None:
    """Runs the command."""
    from rich.console import Console

    from flowjax.commands.evaluate import load_tasks
    from flowjax.commands.fit import fit_run
    from flowjax.compare import compare
    from flowjax.evaluation import rich_table

    began = time.monotonic()
    config = FitConfig(
        EncoderConfig(),
        DataConfig(fit="sample"),
        FlowConfig(name=args.flow),
        TrainConfig(epochs=args.epochs, seed=args.seed),
    )
    message("1/3 embedding the sample sentences with minibert and fitting the flow")
    model = fit_run(config, args.out, overwrite=args.overwrite)
    message("2/3 evaluating on the sample pairs")
    report = compare(model, load_tasks("sample", None))
    (args.out / "results.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    message("3/3 drawing figures")
    figures = draw(model, args.out)
    console = Console() if Console().is_terminal else Console(width=120)
    title = "minibert, the 495 labelled pairs of the embedded sample"
    console.print(rich_table(report, title=title))
    print("The sample is not a benchmark; README.md has results on STS-B, SICK-R, STS12, STS14.")
    query = "A man is playing a guitar."
    print(f"nearest sentence to {query!r}:")
    for name, sentence in neighbours(model, query).items():
        print(f"  {name:<10} {sentence}")
    print("figures:  " + ", ".join(str(path) for path in figures))
    print(f"model:    {args.out / 'model'}   ({time.monotonic() - began:.0f} s)")
    print(f"next:     flowjax encode {args.out} YOUR_SENTENCES.txt --out vectors.npy")


def draw(model: Any, out: Path) -> list[Path]:
    """Draws similarities against gold scores, projection, spectrum and training curves."""
    from flowjax import plots
    from flowjax.commands.plot import curves, read_metrics
    from flowjax.data.sample import pairs_file
    from flowjax.evaluation import Lookup, load_pairs

    task = load_pairs(pairs_file(), name="sample")
    pairs = task.pairs("test")
    sentences = task.sentences(unique=True)
    plain = model.encoder.encode(sentences)
    after = model.transform(plain)
    names = ("plain", model.flow_name)
    cosines = [Lookup(sentences, v).cosines(pairs) for v in (plain, after)]
    figures = {
        "similarity": plots.similarity_scatter(pairs.gold, *cosines, names=names),
        "projection": plots.projection_2d(plain, after, names=names),
        "spectrum": plots.spectrum(plain, after, names=names),
    }
    rows = read_metrics(out)
    if rows:
        figures["curves"] = curves(rows)
    return [plots.save(figure, out / f"{name}.png") for name, figure in figures.items()]


def neighbours(model: Any, query: str) -> dict[str, str]:
    """Returns the sample sentence nearest to a query, by plain and by calibrated vectors."""
    import numpy as np

    from flowjax.data.sample import sentences_file
    from flowjax.data.sentences import read_sentences

    texts = [s for s in read_sentences(sentences_file())[0] if s != query]
    plain = model.encoder.encode([query, *texts])
    found = {}
    for name, vectors in (("plain", plain), (model.flow_name, model.transform(plain))):
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        found[name] = texts[int(np.argmax(unit[1:] @ unit[0]))]
    return found
