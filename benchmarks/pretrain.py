"""Tokens/s of masked-LM training beside PyTorch, in interleaved rounds. Table: `pretrain.md`.

    python benchmarks/pretrain.py --torch ENV/bin/python [--layers 3 4] [--rounds 4] [--steps 6]

Run it by the interpreter that has this library; ENV has torch and transformers. Both train one
shape (width 256, 4 heads, 12,000 words, 32 rows of 128 tokens, 20 % masked, logits of the masked
positions alone, clipping and AdamW). Ours is the library's loop, `flowjax.training.train`, masking
and reading included; torch's is a bare loop on batches that were masked before, fused AdamW, SDPA.
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

BATCH, LENGTH, VOCAB, RATE = 32, 128, 12_000, 0.2
# For both alike (see `flows.py`).
SETTINGS = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "OMP_NUM_THREADS": "2",
    "MKL_NUM_THREADS": "2",
    "JAX_PLATFORMS": "cpu",
}


def ours(layers: int, dtype: str, steps: int, ready: Callable[[str, float], None]) -> None:
    """Trains by the library's loop; `ready(versions, seconds)` after each round of `steps`."""
    from dataclasses import replace

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
    config = replace(
        config,
        model=replace(config.model, layers=layers, width=256, heads=4, dropout=0.0),
        data=replace(config.data, length=LENGTH),
    )
    model = MaskedLM(bert_config(config, VOCAB), dtype=jnp.dtype(dtype))
    ids = jnp.zeros((1, 8), jnp.int32)
    optimizer = make_optimizer(config)
    state = training.init_state(model.init(jax.random.key(0), ids, ids[:, :2]), optimizer)
    rows = np.random.default_rng(0).integers(5, VOCAB, (10_000, LENGTH)).astype(np.uint16)
    spent = 0.0

    def on_chunk(chunk: training.Chunk, _: training.TrainState) -> None:
        nonlocal spent
        spent += chunk.seconds
        if chunk.stop % steps == 0:
            ready(f"jax {jax.__version__}", spent)
            spent = 0.0

    training.train(
        make_loss(model, Masking(RATE, 4, VOCAB)),
        optimizer,
        state,
        PackedRows(rows),
        steps=10**6,
        batch_size=BATCH,
        seed=0,
        every=steps,
        on_chunk=on_chunk,
    )


def peer(layers: int, dtype: str, steps: int, ready: Callable[[str, float], None]) -> None:
    """The same in PyTorch; bfloat16 is autocast."""
    import torch
    import transformers
    from torch.nn import functional

    torch.set_num_threads(2)
    config = transformers.BertConfig(
        vocab_size=VOCAB,
        hidden_size=256,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=1024,
        max_position_embeddings=LENGTH,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        attn_implementation="sdpa",
    )
    model = transformers.BertForMaskedLM(config).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), 1e-3, (0.9, 0.98), 1e-6, weight_decay=0.01, fused=True
    )
    masked = round(RATE * LENGTH)
    ids = torch.randint(5, VOCAB, (BATCH, LENGTH))
    where = torch.rand(BATCH, LENGTH).topk(masked).indices
    targets = ids.gather(1, where).flatten()
    ids = ids.scatter(1, where, 4)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            states = model.bert(ids).last_hidden_state
            states = states.gather(1, where[..., None].expand(-1, -1, states.shape[-1]))
            logits = model.cls(states)
        functional.cross_entropy(logits.float().flatten(0, 1), targets).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    while True:
        began = time.perf_counter()
        for _ in range(steps):
            step()
        ready(f"torch {torch.__version__}", time.perf_counter() - began)


def work(args: argparse.Namespace) -> None:
    """A contestant's process: a round for each line on standard input."""

    def ready(version: str, seconds: float) -> None:
        rate = args.steps * BATCH * LENGTH / seconds
        print(json.dumps({"version": version, "tokens_per_s": rate}), flush=True)
        if not sys.stdin.readline():
            os._exit(0)

    sys.stdin.readline()
    {"ours": ours, "torch": peer}[args.worker](args.layers[0], args.dtype, args.steps, ready)


def main() -> None:
    """Prints a line of the table for each shape and dtype."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch", help="an interpreter with torch and transformers")
    parser.add_argument("--layers", type=int, nargs="+", default=[3, 4])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=6, help="of a round")
    parser.add_argument("--worker", choices=["ours", "torch"], help=argparse.SUPPRESS)
    parser.add_argument("--dtype", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return work(args)
    print("| shape | dtype | ours | torch | ours / torch |\n|---|---|---|---|---|")
    versions = set()
    for layers in args.layers:
        for dtype in args.dtypes:
            workers, rates = {}, {}
            for name, python in (("ours", sys.executable), ("torch", args.torch)):
                if python:
                    command = [python, __file__, "--worker", name, "--dtype", dtype]
                    command += ["--layers", str(layers), "--steps", str(args.steps)]
                    workers[name] = subprocess.Popen(
                        command,
                        env=os.environ | SETTINGS,
                        text=True,
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                    )
                    rates[name] = []
            for turn in range(args.rounds + 1):  # the first compiles and does not count
                for name in list(workers) if turn % 2 else list(workers)[::-1]:
                    workers[name].stdin.write("\n")
                    workers[name].stdin.flush()
                    answer = json.loads(workers[name].stdout.readline())
                    versions.add(answer["version"])
                    if turn:
                        rates[name].append(answer["tokens_per_s"])
            for worker in workers.values():
                worker.stdin.close()
                worker.wait()
            median = {name: statistics.median(r) for name, r in rates.items()}
            cells = [f"{median[n]:,.0f}" if n in median else "" for n in ("ours", "torch")]
            ratio = f"{median['ours'] / median['torch']:.2f}" if len(median) == 2 else ""
            print(f"| {layers} x 256 | {dtype} | {' | '.join(cells)} | {ratio} |", flush=True)
    print(", ".join(sorted(versions)))


if __name__ == "__main__":
    main()
