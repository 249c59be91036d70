"""Sentences a second at BERT-base size, beside three peers.

    python benchmarks/encoder.py prepare --work DIR --tokenizer DIR  # torch, transformers, onnx
    python benchmarks/encoder.py run --work DIR --sentences FILE --n 2000 \
        --flowjax-python PYTHON --peer-python PYTHON

Each contestant is a separate process that loads the same random weights, embeds everything once
(compiling is not counted) and then once more for every `go` it is told; rounds are interleaved.
Strings go in and a NumPy array comes out, so tokenising is inside the time.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

LENGTH = 64


def prepare(work: Path, tokenizer: Path) -> None:
    """Writes BERT-base with random weights for Hugging Face, sentence-transformers and ONNX."""
    import shutil

    import torch
    from transformers import AutoModel, BertConfig

    torch.manual_seed(0)
    bert = AutoModel.from_config(BertConfig(), attn_implementation="eager").eval()
    bert.save_pretrained(work / "bert")
    for file in tokenizer.iterdir():
        if file.name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
            shutil.copy(file, work / "bert")

    class FirstLast(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bert = bert

        def forward(self, ids, mask):
            h = self.bert(input_ids=ids, attention_mask=mask, output_hidden_states=True)
            return first_last(h.hidden_states, mask)

    axes = {name: {0: "batch", 1: "length"} for name in ("ids", "mask")}
    example = torch.ones(2, 16, dtype=torch.int64)
    with torch.inference_mode():
        torch.onnx.export(
            FirstLast(), (example, example), str(work / "bert.onnx"), input_names=["ids", "mask"],
            output_names=["vectors"], dynamic_axes=axes, opset_version=17, dynamo=False,
        )  # fmt: skip


def first_last(states, mask):
    weights = mask[..., None].to(states[1].dtype)
    return ((states[1] + states[-1]) * 0.5 * weights).sum(1) / weights.sum(1)


def flowjax(work: Path, batch: int, dtype: str = "float32"):
    from flowjax.commands.environment import set_defaults

    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "0"
    set_defaults()
    from flowjax import SentenceEncoder

    encoder = SentenceEncoder.from_pretrained(work / "bert", max_length=LENGTH, dtype=dtype)
    return lambda texts: encoder.encode(texts, batch_size=batch)


def flowjax_bfloat16(work: Path, batch: int):
    return flowjax(work, batch, "bfloat16")


def sentence_transformers(work: Path, batch: int):
    from sentence_transformers import SentenceTransformer, models

    words = models.Transformer(str(work / "bert"), max_seq_length=LENGTH)
    model = SentenceTransformer(modules=[words, models.Pooling(768, "mean")], device="cpu")
    return lambda texts: model.encode(texts, batch_size=batch)


def transformers(work: Path, batch: int):
    import torch
    from transformers import AutoModel

    model = AutoModel.from_pretrained(
        work / "bert", attn_implementation="sdpa", add_pooling_layer=False
    ).eval()

    def call(ids, mask):
        with torch.inference_mode():
            ids, mask = torch.from_numpy(ids), torch.from_numpy(mask)
            states = model(ids, mask, output_hidden_states=True).hidden_states
            return first_last(states, mask).numpy()

    return sorted_by_length(work, batch, call)


def onnxruntime(work: Path, batch: int):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = os.cpu_count() or 1
    session = ort.InferenceSession(
        str(work / "bert.onnx"), options, providers=["CPUExecutionProvider"]
    )
    return sorted_by_length(
        work, batch, lambda ids, mask: session.run(None, {"ids": ids, "mask": mask})[0]
    )


def sorted_by_length(work: Path, batch: int, call):
    """The usual way: sorted by length, a batch padded to its own longest."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(work / "bert" / "tokenizer.json"))
    tokenizer.enable_truncation(LENGTH)
    tokenizer.no_padding()

    def encode(texts):
        tokens = [e.ids for e in tokenizer.encode_batch(texts)]
        order = sorted(range(len(tokens)), key=lambda i: -len(tokens[i]))
        out = np.empty((len(texts), 768), np.float32)
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            ids = np.zeros((len(part), len(tokens[part[0]])), np.int64)
            mask = np.zeros_like(ids)
            for row, i in enumerate(part):
                ids[row, : len(tokens[i])] = tokens[i]
                mask[row, : len(tokens[i])] = 1
            out[part] = call(ids, mask)
        return out

    return encode


# name: (what makes it, sentences a batch): batch sizes at which an earlier, separate screening of
# 8 to 64 saw each peer at its best.
CONTESTANTS = {
    "flowjax": (flowjax, 64),
    "flowjax_bfloat16": (flowjax_bfloat16, 64),
    "onnxruntime": (onnxruntime, 32),
    "transformers": (transformers, 16),
    "sentence_transformers": (sentence_transformers, 32),
}


def read(file: Path, n: int) -> list[str]:
    """n different sentences, evenly spaced over a text file or STS-B's csv."""
    text = file.read_text("utf-8")
    if file.suffix == ".csv":
        rows = csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
        lines = [sentence for row in rows for sentence in row[5:7]]
    else:
        lines = [line for line in text.splitlines() if line.strip()]
    lines = list(dict.fromkeys(lines))
    if len(lines) < n:
        raise SystemExit(f"--n: expected at most {len(lines)} (the sentences of {file}), got {n}")
    return [lines[i * len(lines) // n] for i in range(n)]


def worker(name: str, work: Path, texts: list[str]) -> None:
    make, batch = CONTESTANTS[name]
    encode = make(work, batch)
    began = time.perf_counter()
    vectors = encode(texts)
    np.save(work / f"{name}.npy", vectors)
    print(json.dumps(time.perf_counter() - began), flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        encode(texts)
        print(json.dumps(time.perf_counter() - began), flush=True)


def run(args: argparse.Namespace) -> None:
    """Starts the workers, then tells one after the other to go, round by round."""
    base = [__file__, "worker", "--work", str(args.work), "--sentences", str(args.sentences)]
    workers, first = {}, {}
    for name in args.contestants.split(","):
        python = args.flowjax_python if name.startswith("flowjax") else args.peer_python
        workers[name] = subprocess.Popen(
            [python, *base, "--n", str(args.n), "--name", name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        first[name] = json.loads(workers[name].stdout.readline())
        print(name, "first pass", round(first[name], 2), flush=True)
    times: dict[str, list[float]] = {name: [] for name in workers}
    began = time.monotonic()
    for number in range(args.rounds):
        if time.monotonic() - began > args.minutes * 60:
            break
        for name in list(workers)[:: 1 if number % 2 else -1]:  # no library is always first
            print("go", file=workers[name].stdin, flush=True)
            times[name].append(json.loads(workers[name].stdout.readline()))
        print({name: round(t[-1], 2) for name, t in times.items()}, flush=True)
    for process in workers.values():
        process.stdin.close()
        process.wait()
    report(args, first, times)


def report(args: argparse.Namespace, first: dict, times: dict[str, list[float]]) -> None:
    medians = {name: float(np.median(t)) for name, t in times.items()}
    rows = ["| | first pass, s | median, s | best, s | sentences/s (median) | flowjax is |"]
    rows += ["|---|---|---|---|---|---|"]
    for name, seconds in medians.items():
        rows.append(
            f"| {name} | {first[name]:.1f} | {seconds:.2f} | {min(times[name]):.2f} | "
            f"{args.n / seconds:.1f} | {seconds / medians['flowjax']:.2f}x |"
        )
    if (args.work / "transformers.npy").exists():
        mine, theirs = (np.load(args.work / f"{n}.npy") for n in ("flowjax", "transformers"))
        if mine.shape == theirs.shape:
            rows.append(
                f"\nLargest difference from transformers: {np.abs(mine - theirs).max():.1e}."
            )
    print("\n".join(rows))
    if args.json:
        args.json.write_text(json.dumps({"n": args.n, "first": first, "times": times}, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mode", choices=["prepare", "run", "worker"])
    parser.add_argument("--work", type=Path, required=True, help="a folder for weights")
    parser.add_argument("--tokenizer", type=Path, help="a folder with bert-base-uncased's")
    parser.add_argument("--sentences", type=Path, help=".txt, a line each, or STS-B's .csv")
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=60, help="no new round after these")
    parser.add_argument("--contestants", default=",".join(CONTESTANTS))
    parser.add_argument("--flowjax-python", default=sys.executable)
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--name")
    args = parser.parse_args()
    if args.mode == "prepare":
        args.work.mkdir(parents=True, exist_ok=True)
        prepare(args.work, args.tokenizer)
    elif args.mode == "worker":
        worker(args.name, args.work, read(args.sentences, args.n))
    else:
        run(args)


if __name__ == "__main__":
    main()
