"""Which label-free criterion agrees with labelled data? Ranks of label-free pairs per recipe.

    python benchmarks/criteria.py --data-dir DATA --encoder FOLDER --poolings first_last mean

Transformations are fitted on a part of a text source. Pairs that need no labels are made from
the held-out part. The same transformations are scored on the labelled pairs of STS-B dev, SICK-R
dev and STS12; test splits of STS-B and SICK-R, and the other years, are not read.
`criteria_table.py` makes tables from the files of --out.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import lzma
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import tyro
from embedded import Cache

import flowjax
from flowjax import flows
from flowjax.calibration.pairs import Pairs, dropped_words, halves, neighbours
from flowjax.encoder.batching import batches, slots
from flowjax.encoder.bert import Bert
from flowjax.encoder.pooling import layers_of, pool_packed
from flowjax.encoder.tokenizer import encode_texts
from flowjax.evaluation import PairTask, evaluate_vectors, load_task
from flowjax.evaluation.retrieval import per_pair

Transform = Callable[[np.ndarray], np.ndarray]
POWERS = tuple(round(0.1 * i, 1) for i in range(11))
LABELLED = {"stsb": "dev", "sickr": "dev", "sts12": "test"}
TEXTS = {"wikinews": "wikinews/wikinews_en_2022.txt.xz", "enwiki": "enwiki2015/part-7.txt.xz"}


@dataclasses.dataclass(frozen=True)
class Args:
    data_dir: Path
    encoder: str = "minibert"
    poolings: tuple[str, ...] = ("first_last",)
    sources: tuple[str, ...] = (*LABELLED, *TEXTS)
    pairs: int = 1500
    """Largest number of pairs of each kind."""
    rows: int = 20_000
    """Largest number of sentences to fit on."""
    rates: tuple[float, ...] = (0.2, 0.5, 0.7)
    """Fractions of words to drop."""
    glow: bool = True
    dropout: bool = True
    cache: Path = Path("runs/vectors")
    out: Path = Path("runs/criteria")


class Source(NamedTuple):
    """A text source: sentences to fit on, pairs of the held-out rest, labelled pairs if any."""

    sentences: list[str]
    pairs: list[Pairs]
    task: PairTask | None


def documents(file: Path) -> Iterator[list[str]]:
    """Sentences of 5 to 40 words of each paragraph."""
    with lzma.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            parts = re.split(r"(?<=[.!?])\s+(?=[A-Z\"])", line.strip())
            yield [part for part in parts if 5 <= len(part.split()) <= 40]


def source(name: str, args: Args) -> Source:
    """70 % of a task's sentences and 30 % held out; or 3,000 paragraphs and 1,500 held out."""
    rng = np.random.default_rng(0)
    found: list[Pairs] = []
    if name in LABELLED:
        task = load_task(name, args.data_dir)
        sentences = task.sentences(unique=True)
        order = rng.permutation(len(sentences))
        cut = round(0.7 * len(order))
        fit, held = ([sentences[i] for i in part] for part in (order[:cut], order[cut:]))
    else:
        task = None
        paragraphs = (d[:2] for d in documents(args.data_dir / TEXTS[name]) if len(d) > 1)
        parts = list(itertools.islice(paragraphs, 3000 + args.pairs))
        fit = [sentence for part in parts[args.pairs :] for sentence in part]
        held = [sentence for part in parts[: args.pairs] for sentence in part]
        found.append(neighbours(parts[: args.pairs]))
        held = [held[i] for i in rng.permutation(len(held))]
    found.append(halves(held))
    for rate in args.rates:
        found.append(dropped_words(held, rate=rate)._replace(kind=f"dropped_words_{rate:g}"))
    if args.dropout:
        held = [sentence for sentence in held if len(sentence.split()) >= 5]
        found.append(Pairs("dropout", held, held))
    return Source(
        fit, [Pairs(kind, a[: args.pairs], b[: args.pairs]) for kind, a, b in found], task
    )


class Dropout:
    """Vectors of an encoder with dropout switched on, at the rate of BERT's pretraining."""

    def __init__(self, name: str, pooling: str, rate: float = 0.1) -> None:
        self.encoder = flowjax.SentenceEncoder.from_pretrained(name, pooling=pooling)
        config = dataclasses.replace(
            self.encoder.config, hidden_dropout_prob=rate, attention_probs_dropout_prob=rate
        )
        model = Bert(config, with_pooler="pooler" in self.encoder.params)

        def embed(params: Any, batch: tuple[Any, ...], key: jax.Array) -> jax.Array:
            ids, mask, positions = batch
            states = model.apply(
                {"params": params}, ids, mask, positions=positions, layers=layers_of(pooling),
                train=True, rngs={"dropout": key},
            )  # fmt: skip
            return pool_packed(states, mask, pooling, slots=slots(ids.shape[-1]))

        self.embed = jax.jit(embed)

    def __call__(self, sentences: Sequence[str], seed: int) -> np.ndarray:
        length = self.encoder.max_length
        tokens = [t[:length] for t in encode_texts(self.encoder.tokenizer, list(sentences))]
        vectors = np.empty((len(tokens), self.encoder.dim), np.float32)
        for number, batch in enumerate(batches(tokens, 64, length)):
            key = jax.random.fold_in(jax.random.key(seed), number)
            found = self.embed(self.encoder.params, (batch.ids, batch.mask, batch.positions), key)
            vectors[batch.sentences] = np.asarray(found)[batch.row, batch.slot]
        return vectors


def recipes(rows: np.ndarray, glow: bool) -> Iterator[tuple[str, Transform]]:
    """Transformations fitted on rows `(n, d)`, by name."""
    rows = rows.astype(np.float64)
    mean, sd = rows.mean(0), np.maximum(rows.std(0), 1e-6 * rows.std())
    variances, axes = principal(rows)
    yield "plain", lambda x: x
    yield "standardized", lambda x: (x - mean) / sd
    for power in POWERS:
        scales = axes * variances ** -(power / 2)
        yield f"whitening^{power:g}", lambda x, scales=scales: (x - mean) @ scales
    for count in (1, 2, 3, 5, 10):
        top = axes[:, -count:]
        yield f"top-{count}", lambda x, top=top: (x - mean) - (x - mean) @ top @ top.T
    if not glow:
        return
    flow = flows.make("glow", rows.shape[1], latent_power=None)
    result = flowjax.fit(flow, rows, key=0, epochs=1, batch_size=64)
    forward = jax.jit(lambda x: flow.forward(result.params, x)[0])

    known: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # keeps x alive, so its id is unique

    def latents(x: np.ndarray) -> np.ndarray:
        if id(x) not in known:
            blocks = [np.asarray(forward(x[i : i + 4096])) for i in range(0, len(x), 4096)]
            known[id(x)] = x, np.concatenate(blocks).astype(np.float64)
        return known[id(x)][1]

    z = latents(rows)
    middle, (variances, axes) = z.mean(0), principal(z)
    for power in POWERS:
        scales = axes * variances ** -(power / 2)
        yield f"glow^{power:g}", lambda x, scales=scales: (latents(x) - middle) @ scales


def principal(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variances, at least 1e-6 of the largest, and axes."""
    variances, axes = np.linalg.eigh(np.cov(rows.T))
    return np.maximum(variances, 1e-6 * variances[-1]), axes


def labels(task: PairTask, vectors: np.ndarray) -> dict[str, float]:
    """Spearman x 100 of the split that may be read."""
    split = LABELLED[task.name]
    sentences = task.sentences([split], unique=True)
    found = evaluate_vectors(task, sentences, vectors, splits=[split])[split]
    if task.grouped:
        return {f"{task.name} {kind}": found[kind]["spearman"] for kind in ("wmean", "all")}
    return {task.name: found["spearman"]}


class Texts:
    """Vectors of all texts of the study; each text is encoded once."""

    def __init__(self, cache: Cache, pooling: str, sources: dict[str, Source]) -> None:
        self.vectors = {}
        for each in sources.values():
            texts = dict.fromkeys(each.sentences)
            for pairs in each.pairs:
                texts |= dict.fromkeys(pairs.left) | dict.fromkeys(pairs.right)
            if each.task is not None:
                split = LABELLED[each.task.name]
                texts |= dict.fromkeys(each.task.sentences([split], unique=True))
            self.vectors |= zip(texts, cache.vectors(list(texts), pooling))

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([self.vectors[text] for text in texts])


def study(name: str, pooling: str, sources: dict[str, Source], texts: Texts, args: Args) -> None:
    """Writes the labelled scores, and the ranks and AUC of every pair, for each recipe."""
    here = sources[name]
    rows = texts(here.sentences)
    pairs = {p.kind: (texts(p.left), texts(p.right)) for p in here.pairs if p.kind != "dropout"}
    for p in here.pairs:
        if p.kind == "dropout":
            dropout = Dropout(args.encoder, pooling)
            pairs[p.kind] = dropout(p.left, 1), dropout(p.right, 2)
    tasks = [each.task for each in sources.values() if each.task is not None]
    tasks = [here.task] if here.task is not None else tasks
    labelled = [(t, texts(t.sentences([LABELLED[t.name]], unique=True))) for t in tasks]
    arrays: dict[str, list[np.ndarray]] = {}
    lines = []
    for recipe, to in recipes(rows, args.glow):
        for kind, (left, right) in pairs.items():
            found = per_pair(to(left), to(right))
            arrays.setdefault(f"{kind} rank", []).append(100 / found["mrr"] - 1)
            arrays.setdefault(f"{kind} auc", []).append(found["auc"])
        scores: dict[str, float] = {}
        for task, vectors in labelled:
            scores |= labels(task, to(vectors))
        lines.append({"recipe": recipe, "labels": scores})
    name = f"{Path(args.encoder).name}+{pooling}+{name}"
    np.savez(args.out / f"{name}.npz", **{k: np.float32(v) for k, v in arrays.items()})
    (args.out / f"{name}.json").write_text(json.dumps(lines, indent=1) + "\n", "utf-8")
    print(name, {kind: len(left) for kind, (left, _) in pairs.items()}, flush=True)


def main(args: Args) -> None:
    args.out.mkdir(parents=True, exist_ok=True)
    sources = {name: source(name, args) for name in args.sources}
    cache = Cache(args.cache, args.data_dir, args.encoder)
    for pooling in args.poolings:
        texts = Texts(cache, pooling, sources)
        for name in args.sources:
            study(name, pooling, sources, texts, args)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
