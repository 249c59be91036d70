"""Speed, memory and compile times on an accelerator; `accelerator.sh` runs this file.

    benchmarks/accelerator.sh --out runs/accelerator

Each cell is a separate process with a limit of time, so a failure or a limit loses one cell at
most. All results are written again after every measurement. `--size small` runs everything on a
CPU; the tests do that.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# Cells in the order of their value, with their largest fractions of the total time.
CELLS = {
    "machine": 0.15,
    "encoder": 0.25,
    "torch_encoder": 0.15,
    "epoch": 0.3,
    "masked_lm": 0.25,
    "functions": 0.25,
    "mappings": 0.2,
    "sentences": 0.15,
    "tests": 0.4,
}
BASE = {
    "vocab_size": 30_522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
}
TINY = {
    "vocab_size": 30_522,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
FULL: dict[str, Any] = {
    "matmul": 8192,
    "copy": 1 << 30,  # bytes
    "bert": BASE,
    "dtypes": ("bfloat16", "float32"),
    "lengths": (16, 32, 64, 128),
    "tokens": 1 << 16,  # per call of the encoder
    "rows": 1_000_000,
    "dim": 768,
    "wide": {"depth": 12, "width": 512},
    "batches": (64, 512, 4096),
    "function_rows": 1 << 16,
    "flows": ("glow", "realnvp 12 x 512", "glow, LU, affine", "neural_spline", "whitening"),
    "trained": 2,  # the first flows
    "masked": (64, 128),  # rows and length of a batch
    "dropouts": (0.0, 0.1),
    "batch_sizes": (64, 1024, 4096),  # of `encode`
    "sentences": 20_000,
    "seconds": 2.0,  # of one measurement
    "step_seconds": 4.0,
}
SMALL: dict[str, Any] = FULL | {
    "matmul": 64,
    "copy": 1 << 16,
    "bert": TINY,
    "dtypes": ("bfloat16",),
    "lengths": (16,),
    "tokens": 256,
    "rows": 512,
    "dim": 8,
    "wide": {"depth": 2, "width": 8},
    "batches": (64,),
    "function_rows": 256,
    "flows": ("realnvp 12 x 512",),
    "masked": (8, 16),
    "dropouts": (0.1,),
    "batch_sizes": (64,),
    "sentences": 64,
    "seconds": 0.01,
    "step_seconds": 0.05,
}


def timed(call: Callable[[], Any], seconds: float) -> dict[str, float]:
    """Milliseconds of a call that returns arrays: median, quartiles; and seconds of the first."""
    import jax

    began = time.perf_counter()
    jax.block_until_ready(call())
    first = time.perf_counter() - began
    began = time.perf_counter()
    jax.block_until_ready(call())
    once = max(time.perf_counter() - began, 1e-6)
    inner = max(1, int(seconds / 9 / once))  # calls between two synchronisations
    times = []
    for _ in range(9):
        began = time.perf_counter()
        for _ in range(inner):
            done = call()
        jax.block_until_ready(done)
        times.append(1e3 * (time.perf_counter() - began) / inner)
    low, middle, high = statistics.quantiles(times, n=4)
    return {"ms": middle, "ms_low": low, "ms_high": high, "first_s": first}


def memory() -> dict[str, float]:
    """Largest use of device memory by this process so far, in GiB; {} where it is unknown."""
    import jax

    stats = jax.local_devices()[0].memory_stats() or {}
    peak = stats.get("peak_bytes_in_use")
    return {} if peak is None else {"peak_GiB": peak / 2**30}


def random_rows(rows: int, dim: int) -> Any:
    """Correlated normal rows on the host, made on the device."""
    import jax
    import numpy as np

    @jax.jit
    def block(key: Any) -> Any:
        mixing = jax.random.normal(jax.random.key(7), (dim, dim)) / dim**0.5
        return jax.random.normal(key, (min(rows, 1 << 16), dim)) @ mixing

    count = -(-rows // (1 << 16))
    blocks = [np.asarray(block(jax.random.key(i))) for i in range(count)]
    return np.concatenate(blocks)[:rows]


def product_rate(size: int, dtype: Any, precision: str | None, seconds: float) -> float:
    """TFLOP/s of a square matrix product of random numbers."""
    import jax

    a, b = (jax.random.normal(jax.random.key(i), (size, size), dtype) for i in range(2))
    call = jax.jit(partial(jax.numpy.matmul, precision=precision))
    return 2 * size**3 / timed(lambda: call(a, b), seconds)["ms"] / 1e9


def cell_machine(size: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    import flax
    import jax
    import jax.numpy as jnp

    device = jax.devices()[0]
    yield (
        "versions",
        {
            "device": device.device_kind,
            "platform": device.platform,
            "devices": jax.device_count(),
            "jax": jax.__version__,
            "flax": flax.__version__,
            "python": platform.python_version(),
            "cores": os.cpu_count(),
        },
    )
    n, seconds = size["matmul"], size["seconds"]
    for dtype, precision in (
        ("bfloat16", None),
        ("float32", None),
        ("float32", "highest"),
    ):
        rate = product_rate(n, jnp.dtype(dtype), precision, seconds)
        name = f"product {n}, {dtype}, {precision or 'default'} precision"
        yield name, {"TFLOP/s": rate}
    x = jax.random.normal(jax.random.key(0), (size["copy"] // 4,))
    copied = timed(partial(jax.jit(jnp.negative), x), seconds)
    yield "copy, read and written", {"GB/s": 2 * x.nbytes / copied["ms"] / 1e6}


def bert_flops(config: dict[str, Any], rows: int, length: int) -> float:
    """Floating-point operations of the matrix products of an encoder."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    token = 2 * (4 * width**2 + 2 * width * inner) + 4 * length * width
    return float(config["num_hidden_layers"] * token * rows * length)


def cell_encoder(size: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    import jax
    import jax.numpy as jnp

    from flowjax.encoder.bert import Bert, BertConfig
    from flowjax.encoder.embed_rows import embed_rows

    config = BertConfig(**size["bert"])
    reached = product_rate(size["matmul"], jnp.bfloat16, None, size["seconds"])
    for dtype in size["dtypes"]:
        bert = Bert(config, jnp.dtype(dtype), with_pooler=False)
        params = jax.jit(partial(bert.init, jax.random.key(0)))(jnp.ones((1, 8), int))["params"]
        embed = jax.jit(partial(embed_rows, bert, "first_last", True))
        for length in size["lengths"]:
            rows = size["tokens"] // length
            shape = (rows, length)
            ids = jax.random.randint(jax.random.key(1), shape, 5, config.vocab_size)
            mask = jnp.ones(shape, jnp.int32)
            positions = jnp.broadcast_to(jnp.arange(length), shape)
            found = timed(partial(embed, params, ids, mask, positions), size["seconds"])
            rate = bert_flops(size["bert"], rows, length) / found["ms"] / 1e9
            values = {"sentences/s": 1e3 * rows / found["ms"], "TFLOP/s": rate}
            values["of the bfloat16 product"] = rate / reached
            yield f"{dtype}, {rows} x {length}", {**values, **found, **memory()}


def cell_torch_encoder(size: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same sizes in PyTorch: scaled dot-product attention, mean of layers 1 and 12."""
    import torch
    import transformers

    on = "cuda" if torch.cuda.is_available() else "cpu"
    config = transformers.BertConfig(**size["bert"], attn_implementation="sdpa")
    model = transformers.BertModel(config, add_pooling_layer=False).eval().to(on, torch.bfloat16)

    def wait() -> None:
        if on == "cuda":
            torch.cuda.synchronize()

    for compiled in (False, True) if on == "cuda" else (False,):
        call = torch.compile(model, dynamic=False) if compiled else model
        for length in size["lengths"]:
            rows = size["tokens"] // length
            ids = torch.randint(5, config.vocab_size, (rows, length), device=on)

            def embed(ids: Any = ids, call: Any = call) -> Any:
                states = call(ids, output_hidden_states=True).hidden_states
                return ((states[1].float() + states[-1].float()) / 2).mean(1)

            times = []
            with torch.inference_mode():
                began = time.perf_counter()
                embed()
                wait()
                first = time.perf_counter() - began
                began, count = time.perf_counter(), 0
                while time.perf_counter() - began < size["seconds"] or count < 3:
                    then = time.perf_counter()
                    embed()
                    wait()
                    times.append(1e3 * (time.perf_counter() - then))
                    count += 1
            ms = statistics.median(times)
            rate = bert_flops(size["bert"], rows, length) / ms / 1e9
            values = {"sentences/s": 1e3 * rows / ms, "TFLOP/s": rate, "ms": ms, "first_s": first}
            kind = "torch.compile" if compiled else "eager"
            yield f"{kind}, bfloat16, {rows} x {length}", {**values, "torch": torch.__version__}


def train_ms(
    loss: Any, optimizer: Any, params: Any, source: Any, batch: int, seconds: float, **options: Any
) -> dict[str, float]:
    """Milliseconds per step of the training loop, and seconds until the first steps are done."""
    from flowjax import training

    state = training.init_state(params, optimizer)
    began, chunks = time.perf_counter(), []

    def on_chunk(chunk: Any, _: Any) -> bool:
        chunks.append((chunk.stop, time.perf_counter()))
        return len(chunks) > 4 and chunks[-1][1] - chunks[2][1] > seconds

    training.train(
        loss, optimizer, state, source, steps=10**7, batch_size=batch, seed=0, on_chunk=on_chunk,
        **options,
    )  # fmt: skip
    pairs = pairwise(chunks[2:])  # the first ones compile
    ms = [1e3 * (b[1] - a[1]) / (b[0] - a[0]) for a, b in pairs]
    return {"ms": statistics.median(ms), "first_s": chunks[0][1] - began}


def flows_of(size: dict[str, Any]) -> dict[str, tuple[Any, str | None]]:
    """Flow and precision of the training, by name."""
    from flowjax import flows

    dim = size["dim"]
    table: dict[str, tuple[Callable[[], Any], str | None]] = {
        "glow": (lambda: flows.glow(dim, latent_power=None), None),
        "realnvp 12 x 512": (lambda: flows.realnvp(dim, **size["wide"]), "bfloat16"),
        "glow, LU, affine": (lambda: flows.glow(dim, permutation="lu", coupling="affine"), None),
        "neural_spline": (lambda: flows.neural_spline(dim), None),
        "whitening": (lambda: flows.whitening(dim), None),
    }
    return {name: (table[name][0](), table[name][1]) for name in size["flows"]}


def cell_epoch(size: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    import jax

    from flowjax.data.arrays import ArraySource
    from flowjax.fitting.losses import nll_loss
    from flowjax.training import default_optimizer, freeze

    rows = random_rows(size["rows"], size["dim"])
    for name, (flow, precision) in list(flows_of(size).items())[: size["trained"]]:
        params = flow.init(jax.random.key(0), rows[:4096])
        for batch in size["batches"]:
            for resident in (True, False):
                source = ArraySource(rows, resident=resident)
                found = train_ms(
                    nll_loss(flow), freeze(default_optimizer(), params), params, source, batch,
                    size["step_seconds"], precision=precision,
                )  # fmt: skip
                epoch = found["ms"] * size["rows"] / batch / 1e3
                kind = "resident" if resident else "streamed"
                values = {"epoch_s": epoch, "examples/s": 1e3 * batch / found["ms"]}
                yield f"{name}, batch {batch}, {kind}", {**values, **found, **memory()}


def cell_functions(size: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    import jax

    n, dim = size["function_rows"], size["dim"]
    x = jax.device_put(random_rows(n, dim))
    for name, (flow, _) in flows_of(size).items():
        params = flow.init(jax.random.key(0), x[:4096])
        calls = {
            "log_prob": partial(jax.jit(flow.log_prob), params, x),
            "inverse": partial(jax.jit(lambda p, z, f=flow: f.inverse(p, z)[0]), params, x),
            "sample": partial(
                jax.jit(flow.sample, static_argnums=2), params, jax.random.key(0), n
            ),
        }
        for function, call in calls.items():
            found = timed(call, size["seconds"] / 2)
            yield f"{name}, {function}", {"examples/s": 1e3 * n / found["ms"], **found, **memory()}


def cell_masked_lm(size: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    from flowjax.encoder.bert import BertConfig
    from flowjax.pretraining.masked_lm import MaskedLM, Masking, masked_lm_loss
    from flowjax.pretraining.packed import PackedRows

    rows, length = size["masked"]
    vocab = size["bert"]["vocab_size"]
    ids = np.random.default_rng(0).integers(5, vocab, (rows * 64, length)).astype(np.uint16)
    masking = Masking(0.15, 4, vocab)
    for dtype, dropout in product(size["dtypes"], size["dropouts"]):
        config = BertConfig(
            **size["bert"], hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout
        )
        model = MaskedLM(config, jnp.dtype(dtype))

        # As in `pretraining.objective`, whose configs need further packages.
        def loss(params: Any, _: Any, batch: Any, key: Any, model: Any = model) -> Any:
            keys = jax.vmap(jax.random.fold_in, (None, 0))(key, batch["rows"])
            return masked_lm_loss(model, params, batch["ids"], keys, masking, train=True)

        example = jnp.ones((1, 8), int)
        params = jax.jit(partial(model.init, jax.random.key(0)))(example, example[:, :2])
        found = train_ms(
            loss, optax.adamw(1e-4), params, PackedRows(ids), rows,
            size["step_seconds"],
        )  # fmt: skip
        head = 2 * masking.count(length) * rows * config.hidden_size * vocab
        rate = 3 * (bert_flops(size["bert"], rows, length) + head) / found["ms"] / 1e9
        values = {"tokens/s": 1e3 * rows * length / found["ms"], "TFLOP/s": rate}
        yield f"{dtype}, dropout {dropout}, {rows} x {length}", {**values, **found, **memory()}


def cell_mappings(size: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """`shard_map` and `pmap`, interleaved."""
    import jax

    from flowjax.data.arrays import ArraySource
    from flowjax.fitting.losses import nll_loss
    from flowjax.training import default_optimizer, freeze

    rows = random_rows(min(size["rows"], 1 << 16), size["dim"])
    for name, (flow, precision) in list(flows_of(size).items())[: size["trained"]]:
        params = flow.init(jax.random.key(0), rows[:4096])
        found: dict[str, list[float]] = {"shard_map": [], "pmap": []}
        for turn in range(3):
            for mapping in list(found)[:: 1 if turn % 2 else -1]:
                ms = train_ms(
                    nll_loss(flow), freeze(default_optimizer(), params), params,
                    ArraySource(rows, resident=True), size["batches"][-1],
                    size["step_seconds"] / 4, precision=precision, mapping=mapping,
                )["ms"]  # fmt: skip
                found[mapping].append(ms)
        middle = {f"{mapping}_ms": statistics.median(ms) for mapping, ms in found.items()}
        yield name, {**middle, "ratio": middle["pmap_ms"] / middle["shard_map_ms"]}


def cell_sentences(size: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Strings in, calibrated vectors out: the tokenizer, packing and copies are included."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from flowjax.encoder.bert import Bert, BertConfig
    from flowjax.encoder.embed import SentenceEncoder
    from flowjax.model import BertFlow

    config = BertConfig(**size["bert"])
    bert = Bert(config, with_pooler=False)
    params = jax.jit(partial(bert.init, jax.random.key(0)))(jnp.ones((1, 8), int))["params"]
    tokenizer = SentenceEncoder.from_pretrained("minibert").tokenizer
    words = "the harbour was quiet a man plays guitar and two dogs run in red rain".split()
    rng = np.random.default_rng(0)
    counts = rng.integers(4, 24, size["sentences"])
    sentences = [" ".join(rng.choice(words, n)) for n in counts]
    for batch in size["batch_sizes"]:
        encoder = SentenceEncoder(
            params, config, tokenizer, name="random", batch_size=batch, dtype="bfloat16"
        )
        model = BertFlow(encoder, flow="standardize")
        model.fit_vectors(rng.normal(size=(64, encoder.dim)).astype("f4"), measured=False)
        times = []
        for _ in range(2):
            began = time.perf_counter()
            model.encode(sentences)
            times.append(time.perf_counter() - began)
        values = {"sentences/s": len(sentences) / times[1], "first_s": times[0]}
        yield f"batch_size {batch}", {**values, **memory()}


def cell_tests(size: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The tests that compare the accelerator with the CPU."""
    options = [
        "-q",
        "-o",
        "addopts=",
        "-p",
        "no:cacheprovider",
        "-m",
        "gpu",
        "-rA",
        "-W",
        "ignore",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(ROOT / "tests" / "gpu")],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": ""},
    )  # fmt: skip
    lines = done.stdout.strip().splitlines()
    for line in lines:
        outcome, _, test = line.partition(" ")
        if outcome in ("PASSED", "FAILED", "ERROR"):
            yield test.partition(" - ")[0], {"outcome": outcome}
    yield "summary", {"outcome": lines[-1] if lines else "", "exit": done.returncode}


def shown(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def table(results: list[dict[str, Any]]) -> str:
    """Markdown tables of the results, one per cell."""
    lines = ["# Measurements on an accelerator", "", "    benchmarks/accelerator.sh", ""]
    lines.append("ms: median of a call or step; first_s: the first call, with its compilation.")
    for cell in dict.fromkeys(result["cell"] for result in results):
        rows = [result for result in results if result["cell"] == cell]
        columns = list(dict.fromkeys(key for row in rows for key in row["values"]))
        lines += ["", f"## {cell}", "", f"| | {' | '.join(columns)} |"]
        lines.append("|---" * (len(columns) + 1) + "|")
        for row in rows:
            cells = [shown(row["values"].get(column, "")) for column in columns]
            lines.append(f"| {row['name']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def write(out: Path, results: list[dict[str, Any]]) -> None:
    """Writes both files, each in one step."""
    for name, text in (
        ("accelerator.json", json.dumps(results, indent=1) + "\n"),
        ("accelerator.md", table(results)),
    ):
        partial_file = out / f".{name}.partial"
        partial_file.write_text(text, "utf-8")
        os.replace(partial_file, out / name)


def run_cell(cell: str, args: argparse.Namespace, limit: float) -> Iterator[dict[str, Any]]:
    """Runs a cell in a separate process, and yields its results while it runs."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, __file__, "--cell", cell, "--size", args.size],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    errors: list[str] = []
    reader = threading.Thread(target=lambda: errors.extend(process.stderr or ()), daemon=True)
    reader.start()
    stopped = threading.Event()

    def stop() -> None:
        stopped.set()
        process.kill()

    timer = threading.Timer(limit, stop)
    timer.start()
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith('{"name"'):
            yield {"cell": cell, **json.loads(line)}
    code = process.wait()
    timer.cancel()
    reader.join(5)
    seconds = time.perf_counter() - began
    values: dict[str, Any] = {"seconds": seconds}
    if stopped.is_set():
        values["error"] = f"stopped after {limit:.0f} s"
    elif code:
        lines = [line.strip() for line in errors if line.strip()] or [f"exit code {code}"]
        values["error"] = lines[-1][:200].replace("|", "/")
    yield {"cell": "cells", "name": cell, "values": values}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", nargs="*", help=f"among {', '.join(CELLS)}; all by default")
    parser.add_argument("--out", type=Path, default=Path("runs/accelerator"))
    parser.add_argument("--seconds", type=float, default=520, help="limit of all cells together")
    parser.add_argument("--size", choices=["full", "small"], default="full")
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.cell:
        size = FULL if args.size == "full" else SMALL
        for name, values in globals()[f"cell_{args.cell}"](size):
            print(json.dumps({"name": name, "values": values}), flush=True)
        return 0
    if unknown := [cell for cell in args.cells if cell not in CELLS]:
        parser.error(f"expected cells among {', '.join(CELLS)}, got {unknown[0]}")
    args.out.mkdir(parents=True, exist_ok=True)
    began, results = time.perf_counter(), []
    for cell in args.cells or CELLS:
        left = args.seconds - (time.perf_counter() - began)
        if left < 5:
            values = {"error": "not run: no time left"}
            results.append({"cell": "cells", "name": cell, "values": values})
            write(args.out, results)
            continue
        for result in run_cell(cell, args, min(left, CELLS[cell] * args.seconds)):
            results.append(result)
            write(args.out, results)
            print(
                f"{result['cell']}: {result['name']}: {json.dumps(result['values'])}", flush=True
            )
    print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
