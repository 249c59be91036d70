"""Speed with and without large pages from glibc, in interleaved rounds. Table: `pretrain.md`.

    python benchmarks/large_pages.py [--rounds 9] [--work glow pretrain encode]

Each round runs the same work in two processes, one after the other: one with and one without
`GLIBC_TUNABLES=glibc.malloc.hugetlb=1`. The order changes from round to round.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

Ready = Callable[[float, int], None]  # called with the seconds of a round and its repetitions


def rounds_of(steps: int, ready: Ready) -> Callable[[Any, Any], None]:
    """Returns an `on_chunk` that reports the mean time of each `steps` training steps."""
    spent = 0.0

    def on_chunk(chunk: Any, _: Any) -> None:
        nonlocal spent
        spent += chunk.seconds
        if chunk.stop % steps == 0:
            ready(spent, steps)
            spent = 0.0

    return on_chunk


def glow(ready: Ready) -> None:
    """Trains the default glow of `flowjax fit-array` on rows of 768 columns, batch 64."""
    import jax
    import numpy as np

    from flowjax import flows, training
    from flowjax.data.arrays import ArraySource
    from flowjax.fitting.fit import nll_loss
    from flowjax.fitting.passes import init_params, trained_part
    from flowjax.training.optimizers import default_optimizer

    flow = trained_part(flows.glow(768))
    rows = np.random.default_rng(0).normal(size=(10_000, 768)).astype(np.float32)
    optimizer = default_optimizer()
    source = ArraySource(rows)
    state = training.init_state(init_params(flow, jax.random.key(0), source), optimizer)
    training.train(
        nll_loss(flow),
        optimizer,
        state,
        source,
        steps=10**6,
        batch_size=64,
        seed=0,
        every=256,
        on_chunk=rounds_of(256, ready),
    )


def pretrain(ready: Ready) -> None:
    """Trains the masked language model of `flowjax pretrain` at its default size."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from flowjax import training
    from flowjax.config import PretrainConfig
    from flowjax.pretraining.masked_lm import MaskedLM, Masking
    from flowjax.pretraining.objective import make_loss, make_optimizer
    from flowjax.pretraining.packed import PackedRows
    from flowjax.pretraining.preparation import bert_config

    config = PretrainConfig()
    words, length = config.model.vocab_size, config.data.length
    model = MaskedLM(bert_config(config, words), dtype=jnp.float32)
    ids = jnp.zeros((1, 8), jnp.int32)
    optimizer = make_optimizer(config)
    state = training.init_state(model.init(jax.random.key(0), ids, ids[:, :2]), optimizer)
    rows = np.random.default_rng(0).integers(5, words, (10_000, length)).astype(np.uint16)
    training.train(
        make_loss(model, Masking(config.train.mask_rate, 4, words)),
        optimizer,
        state,
        PackedRows(rows),
        steps=10**6,
        batch_size=config.train.batch_size,
        seed=0,
        every=8,
        on_chunk=rounds_of(8, ready),
    )


def encode(ready: Ready) -> None:
    """Encodes 5,000 sentences with minibert."""
    import flowjax
    from flowjax.data.sample import sentences_file
    from flowjax.data.sentences import read_sentences

    encoder = flowjax.SentenceEncoder.from_pretrained("minibert")
    sentences = (list(read_sentences(sentences_file())[0]) * 2)[:5000]
    while True:
        began = time.perf_counter()
        encoder.encode(sentences)
        ready(time.perf_counter() - began, 1)


WORK: dict[str, Callable[[Ready], None]] = {"glow": glow, "pretrain": pretrain, "encode": encode}


def work(name: str) -> None:
    """Runs one round for each line of standard input."""
    began = 0.0

    def ready(seconds: float, repeats: int) -> None:
        nonlocal began
        cpu = time.process_time() - began
        print(json.dumps([seconds / repeats * 1000, cpu / repeats * 1000]), flush=True)
        if not sys.stdin.readline():
            os._exit(0)
        began = time.process_time()

    sys.stdin.readline()
    WORK[name](ready)


def measure(name: str, rounds: int) -> list[tuple[list[float], list[float]]]:
    """Returns `(default, large pages)` milliseconds of each round: wall-clock and CPU time."""
    command = [sys.executable, __file__, "--worker", name]
    base = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
    workers = [
        subprocess.Popen(command, env=base | extra, text=True, stdin=-1, stdout=-1)
        for extra in ({}, {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"})
    ]
    times: list[list[list[float]]] = [[], []]
    for turn in range(rounds + 2):  # two rounds of compilation and warm-up do not count
        for index in (0, 1) if turn % 2 else (1, 0):
            print(file=workers[index].stdin, flush=True)
            answer = json.loads(workers[index].stdout.readline())  # type: ignore[union-attr]
            if turn > 1:
                times[index].append(answer)
    for process in workers:
        process.communicate()
    return [([t[i] for t in times[0]], [t[i] for t in times[1]]) for i in (0, 1)]


def main() -> None:
    """Prints one line of the table for each kind of work."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--work", nargs="+", choices=WORK, default=list(WORK))
    parser.add_argument("--worker", choices=WORK, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return work(args.worker)
    print("| work | clock | default, ms | large pages, ms | ratio: median of pairs (quartiles) |")
    print("|---|---|---|---|---|")
    for name in args.work:
        for clock, (default, large) in zip(
            ("wall", "CPU"), measure(name, args.rounds), strict=True
        ):
            ratios = [a / b for a, b in zip(default, large, strict=True)]
            low, middle, high = statistics.quantiles(ratios)
            medians = f"{statistics.median(default):.4g} | {statistics.median(large):.4g}"
            print(
                f"| {name} | {clock} | {medians} | {middle:.2f} ({low:.2f} to {high:.2f}) |",
                flush=True,
            )


if __name__ == "__main__":
    main()
