"""Which small BERT to train: a few shapes (layers x width x vocabulary) at one budget of tokens.

    python benchmarks/shapes.py --text TEXT/part-0.txt.xz --heldout TEXT/part-7.txt.xz \
        --data-dir DATA

Every shape is trained by `flowjax.pretraining.pretrain` for the same steps of the same text and
judged on held-out text. Losses of different vocabularies cannot be compared by the word piece, so
a column divides by the letters of a piece: bits per character of what was masked. The last two are
what the encoder is for: Spearman on STS-B dev, plain and whitened.
"""

from __future__ import annotations

import dataclasses
import math
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
import tyro
from tqdm import tqdm

import flowjax
from flowjax.config import PretrainConfig, PretrainData, PretrainModel, PretrainTrain
from flowjax.encoder.tokenizer import load_tokenizer
from flowjax.evaluation import evaluate_vectors, load_task
from flowjax.pretraining.preparation import prepare_tokenizer
from flowjax.pretraining.pretrain import pretrain


@dataclasses.dataclass(frozen=True)
class Args:
    text: tuple[str, ...]
    heldout: tuple[str, ...]
    data_dir: Path
    """Parent of the folder of STS-B."""
    shapes: tuple[str, ...] = (
        "3x256x12000", "2x256x12000", "4x256x8000", "2x256x16000", "6x192x12000",
    )  # fmt: skip
    """Layers x width x vocabulary; heads are 64 wide."""
    steps: int = 1000
    tokenizer_lines: int = 40_000
    ppmi_rows: int = 90_000


def letters_of_a_piece(rows: np.ndarray, tokenizer: Path) -> float:
    """Mean number of characters of the word pieces in packed rows, without special tokens."""
    vocab = load_tokenizer(tokenizer).get_vocab()
    length = np.zeros(len(vocab))
    for token, i in vocab.items():
        length[i] = len(token.removeprefix("##"))
    ordinary = rows[rows >= 5]
    return float(length[ordinary].mean())


def sts_dev(model: Path, data_dir: Path) -> tuple[float, float]:
    """Spearman x 100 on STS-B dev, plain and whitened on all of STS-B's sentences."""
    encoder = flowjax.SentenceEncoder.from_pretrained(str(model), pooling="first_last")
    task = load_task("stsb", data_dir)
    sentences = list(dict.fromkeys(task.sentences()))
    plain = encoder.encode(sentences)
    whitening = flowjax.flows.whitening(plain.shape[1])
    whitened = np.asarray(whitening.forward(whitening.init(jax.random.key(0), plain), plain)[0])
    vectors = (plain, whitened)
    return tuple(evaluate_vectors(task, sentences, v)["dev"]["spearman"] for v in vectors)


def main(args: Args) -> None:
    print("| layers x width x vocabulary | MB, float16 | tokens/s | held-out loss | accuracy "
          "| bits/character | STS-B dev, plain | whitened |\n" + "|---" * 8 + "|")  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        for shape in tqdm(args.shapes, disable=None):
            layers, width, vocab = map(int, shape.split("x"))
            made = Path(scratch) / str(vocab)
            data = PretrainData(tokenizer_lines=args.tokenizer_lines)
            model = PretrainModel(
                layers=layers, width=width, heads=max(1, width // 64), vocab_size=vocab,
                ppmi_rows=args.ppmi_rows,
            )  # fmt: skip
            train = PretrainTrain(
                steps=args.steps, warmup_steps=args.steps // 5, decay_steps=args.steps // 3,
                checkpoint_every=args.steps, validate_every=0,
            )  # fmt: skip
            config = PretrainConfig(data, model, train)
            prepare_tokenizer(config, [Path(p) for p in args.text], made)
            data = dataclasses.replace(data, tokenizer=str(made / "tokenizer"))
            config = dataclasses.replace(config, data=data)
            out, rows = Path(scratch) / shape, list[dict]()
            began = time.time()
            report = pretrain(config, args.text, args.heldout, out, log=rows.append)
            size = sum(f.stat().st_size for f in (out / "model").iterdir()) / 1e6
            speed = np.median([row["tokens_per_s"] for row in rows])
            held = np.load(out / "heldout.npy", mmap_mode="r")[:4096]
            bits = report["heldout_loss"] / letters_of_a_piece(held, made / "tokenizer")
            plain, whitened = sts_dev(out / "model", args.data_dir)
            print(
                f"| {shape} | {size:.1f} | {speed:.0f} | {report['heldout_loss']:.3f} "
                f"| {report['heldout_accuracy']:.3f} | {bits / math.log(2):.3f} "
                f"| {plain:.1f} | {whitened:.1f} |",
                f"<!-- {time.time() - began:.0f} s -->",
                flush=True,
            )


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
