"""Figures and tables of README.md and docs/reports.md.

    python benchmarks/figures.py                  # cone, cosines, spectrum, gain, sentences
    python benchmarks/figures.py --data-dir DATA  # forest and averages of STS-B, SICK-R, STS12, 14

The first command repeats the check of `flowjax demo`; all its values are of held-out sentences.
The second one fits on the sentences of each task without their labels, seed 0; its intervals are
of a bootstrap over the pairs.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import flowjax
from flowjax import plots
from flowjax.bijectors.moments import moments_of
from flowjax.calibration.candidates import closed_form
from flowjax.data.sample import sentences_file
from flowjax.evaluation import by_vectors, evaluate_vectors, load_task
from flowjax.evaluation.intervals import Place, interval, resampled_scores
from flowjax.evaluation.sts import Lookup
from flowjax.flows.arrays import ArrayCalls
from flowjax.plots._style import drawn
from flowjax.report.check import gain_plot
from flowjax.report.check import shown_vectors as shown

TASKS = {"stsb": "STS-B", "sickr": "SICK-R", "sts12": "STS12", "sts14": "STS14"}
KINDS = ("plain", "whitening", "glow")
STEPS = 93  # of `flowjax demo`
QUERIES = (
    "In early 1607, this group sailed up Chesapeake Bay.",
    "Why do many stars rise and set each night?",
    "Who takes the decisions, do it with less ideology.",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--encoder", default="minibert")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    args = parser.parse_args()
    if args.data_dir is None:
        of_the_sample(args.encoder, args.out)
    else:
        of_tasks(args.encoder, args.data_dir, args.out)


def of_the_sample(encoder: str, out: Path) -> None:
    """Writes the figures of a check of the embedded text, and prints nearest sentences."""
    found = flowjax.check(sentences_file(), encoder=encoder, steps=STEPS)
    print(found.advice)
    names = [n for n in shown(found.table, found.verdict.best) if n.split("^")[0] in KINDS]
    both = {"plain": found.inputs.held, found.verdict.best: found.calibrated}
    cosines = {name: found.measured.cosines[name] for name in names}
    spectra = {name: found.measured.spectra[name] for name in names}
    dim = found.inputs.held.shape[1]
    draw = partial(plots.pair_cosines, cosines, related="neighbouring sentences", dim=dim)
    save(drawn(partial(plots.cone, both), panels=2), out / "cone.png")
    for number, (name, x) in enumerate(both.items(), 1):  # the site stacks them on narrow screens
        panel = partial(plots.cone, {name: x}, kinds=list(both))
        save(drawn(panel, size=(3.6, 3.4)), out / f"cone_{number}.png")
    save(drawn(draw), out / "cosines.png")
    draw = partial(plots.spectra, spectra, found.measured.band)
    save(drawn(draw), out / "spectrum.png")
    save(gain_plot(found.table).figures["gain"], out / "gain.png")
    texts = found.inputs.texts
    queries = [texts.index(text) for text in QUERIES if text in texts]
    print("| query | plain | " + found.verdict.best + " |\n| --- | --- | --- |")
    for row in plots.nearest_neighbours(texts, both, queries, k=1):
        cells = [f"{row[name][0][0]} ({row[name][0][1]:.2f})" for name in both]
        print("|", " | ".join([row["query"], *cells]), "|")


def of_tasks(encoder: str, folder: Path, out: Path) -> None:
    """Writes the forest plot, and prints the averages over the tasks with intervals."""
    scores: dict[str, dict[str, Any]] = {}
    averages: dict[str, dict[str, list[Any]]] = {"wmean": {}, "all": {}}
    for name, label in TASKS.items():
        task = load_task(name, folder)
        everything = task.sentences()
        distinct = list(dict.fromkeys(everything))
        kinds = vectors(encoder, everything, distinct)
        results = by_vectors({k: evaluate_vectors(task, distinct, x) for k, x in kinds.items()})
        drawn_scores = resampled_scores(task, {k: Lookup(distinct, x) for k, x in kinds.items()})
        for aggregation, sums in averages.items():
            part = aggregation if task.grouped else "-"
            for kind, values in drawn_scores[Place("test", part, "spearman")].items():
                value = results["test"][kind]
                value = (value[part] if task.grouped else value)["spearman"]
                sums.setdefault(kind, []).append((value, values))
                if aggregation == "wmean":
                    scores.setdefault(kind, {})[label] = value, *interval(values)
    draw = partial(plots.forest, scores, xlabel="Spearman x 100 with 95 % interval")
    save(drawn(draw, size=(5.4, 3.8)), out / "forest.png")
    for aggregation, sums in averages.items():
        for kind, values in sums.items():
            print(f"{aggregation}: {kind} {_average(values)}")
        difference = [
            (a[0] - b[0], a[1] - b[1]) for a, b in zip(*list(sums.values())[::-2], strict=True)
        ]
        print(f"{aggregation}: default - plain {_average(difference)}")
    print(scores)


def _average(values: list[tuple[float, np.ndarray]]) -> str:
    low, high = interval(np.mean([draws for _, draws in values], axis=0))
    return f"{np.mean([value for value, _ in values]):.1f} [{low:.1f}, {high:.1f}]"


def vectors(encoder: str, everything: list[str], distinct: list[str]) -> Mapping[str, np.ndarray]:
    """Returns plain and whitened vectors, and those of the default, of a task's sentences."""
    plain = flowjax.SentenceEncoder.from_pretrained(encoder)
    x = plain.encode(distinct)
    rows = dict(zip(distinct, range(len(distinct)), strict=True))
    moments = moments_of([x[[rows[text] for text in everything]]], x.shape[1])
    flow, params = closed_form("whitening", moments)
    model = flowjax.BertFlow(encoder, seed=0)
    model.fit(everything)
    print(model.encoder.pooling, model.fitted_on["selection"]["advice"], flush=True)
    white = np.asarray(ArrayCalls(flow).forward(params, x))
    return {"plain": x, "whitening": white, "default": model.encode(distinct)}


def save(figure: Any, path: Path) -> None:
    plots.save(figure, path, dpi=160)
    print(path)


if __name__ == "__main__":
    main()
