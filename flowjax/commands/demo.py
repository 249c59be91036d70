"""`flowjax demo`: a check and a fit on the embedded text, offline, in under a minute."""

from __future__ import annotations

import dataclasses
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from flowjax.commands.terminal import message
from flowjax.config import DataConfig, EncoderConfig, FitConfig, FlowConfig, TrainConfig
from flowjax.config.ranges import SEED, Range
from flowjax.literals import DEFAULT_ENCODER

if TYPE_CHECKING:
    from flowjax.calibration.checked import Check

WIDTH = 80
# Queries whose nearest sentences are printed, and their numbers of words.
QUERIES, WORDS = 3, range(6, 15)
# Why the advice of the check and the selection of the fit can differ.
PAIRS = (
    "(the check relates neighbouring sentences, the fit two texts made from one sentence; "
    "if their answers differ, compare on labelled pairs of your own with flowjax evaluate)"
)


@dataclasses.dataclass(frozen=True)
class Args:
    """Check whether calibration helps on the embedded text, and fit a model."""

    out: Path = Path("runs/demo")
    """Run folder."""
    encoder: str = DEFAULT_ENCODER
    """Encoder: minibert-nli or minibert (embedded), a folder, or a name on the Hugging Face
    Hub."""
    flow: str = "auto"
    """Name of the flow, as in flowjax fit."""
    epochs: Annotated[float, Range(above=0)] = 4.0
    """Passes over the sentences."""
    seed: Annotated[int, SEED] = 0
    """Seed of the division of the text, the initialisation and the batches."""
    format: Literal["png", "svg", "pdf"] = "png"
    """Format of the figures; a page contains PNG if the format is pdf."""
    overwrite: bool = False
    """Replace an existing demo."""


def run(args: Args) -> None:
    """Runs the command."""
    from flowjax import flows
    from flowjax.calibration.auto import AUTO_RECIPE
    from flowjax.calibration.check import check
    from flowjax.commands import runs
    from flowjax.commands.fit import fit_run, step_count
    from flowjax.data.sample import sentences_file
    from flowjax.data.sentences import read_sentences
    from flowjax.errors import check_choice

    check_choice("--flow", args.flow, ["auto", *flows.RECIPES])
    began = time.monotonic()
    train = TrainConfig(epochs=args.epochs, seed=args.seed)
    config = FitConfig(
        EncoderConfig(args.encoder), DataConfig(fit="sample"), FlowConfig(name=args.flow), train
    )
    runs.check_run(args.out, config, command="fit", overwrite=args.overwrite)
    file = sentences_file()
    count = len(read_sentences(file)[0])
    message(f"1/2 checking on {count:,} sentences of news and textbooks, encoder {args.encoder}")
    flow: Any = AUTO_RECIPE if args.flow == "auto" else args.flow
    found = check(file, args.encoder, flow=flow, steps=step_count(train, count), seed=args.seed)
    print(found)
    print("\n".join(nearest_lines(found, file)), flush=True)
    message(f"2/2 fitting a model on all sentences, flow {args.flow}")
    model = fit_run(config, args.out, overwrite=args.overwrite)
    page = found.save(
        args.out / "check",
        overwrite=True,
        command=f"flowjax demo --encoder {args.encoder}",
        image=args.format,
    )
    facts = model.fitted_on
    chosen = (
        f"{facts['selection']['advice']} {PAIRS}" if "selection" in facts else model.vectors_name
    )
    for name, value in (
        ("page", page),
        ("model", f"{args.out / 'model'}, {chosen}"),
        ("time", f"{time.monotonic() - began:.0f} s"),
        ("next", "flowjax check YOUR_TEXT.txt --out check"),
        ("", "flowjax fit --data YOUR_TEXT.txt --out runs/mine"),
        ("", "flowjax encode runs/mine YOUR_TEXT.txt --out vectors.npy"),
    ):
        print(textwrap.fill(f"{name:<7} {value}", WIDTH, subsequent_indent=" " * 8))


def nearest_lines(found: Check, file: Path) -> Iterator[str]:
    """Yields lines with nearest held-out sentences by plain vectors and by the best calibration.

    The queries are the first ones, in random order, whose nearest sentences differ.

    Args:
        found: result of the check of a file.
        file: file of documents with one sentence per line.
    """
    import numpy as np

    from flowjax.data.documents import read_documents

    texts = found.inputs.texts or []
    documents = read_documents(file).documents
    article = {text: i for i, document in enumerate(documents) for text in document}
    names = ("plain", str(found.verdict.best))
    nearest = [neighbours(v) for v in (found.inputs.held, found.calibrated)]
    same = [
        np.mean([article[texts[i]] == article[t] for i, t in zip(near, texts, strict=True)])
        for near in nearest
    ]
    yield ""
    yield from textwrap.wrap(
        f"The nearest of the {len(texts):,} held-out sentences is from the same document for "
        + " and ".join(f"{100 * s:.0f} % ({n})" for n, s in zip(names, same, strict=True))
        + " of the sentences. Random examples for which the nearest sentences differ:",
        WIDTH,
    )
    fitting = [
        i
        for i in np.random.default_rng(0).permutation(len(texts))
        if len(texts[i].split()) in WORDS and nearest[0][i] != nearest[1][i]
    ]
    left = max(map(len, names)) + 4
    for i in fitting[:QUERIES]:
        yield ""
        for name, row in (("query", i), *((n, v[i]) for n, v in zip(names, nearest, strict=True))):
            yield f"  {name}".ljust(left) + textwrap.shorten(
                texts[row], WIDTH - left, placeholder=" ..."
            )
    yield ""


def neighbours(vectors: Any) -> Any:
    """Returns the row of the nearest other vector by cosine for each vector, shape (n,)."""
    import numpy as np

    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    return cosines.argmax(axis=1)
