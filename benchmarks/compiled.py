"""Compiles every program for TPUs that are not present: benchmarks/compiled.md.

    pip install -e '.[tpu]'
    python benchmarks/compiled.py --out compiled.json [--only TEXT] [--table]

Each finished cell is appended to the file, one JSON object per line, and a repeated command skips
it. `--only` selects cells whose name has the text, `--table` prints the table of the file.
"""

import argparse
import json
import os
from functools import partial
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp

from flowjax import flows
from flowjax.commands.compile import facts
from flowjax.commands.programs import (
    Program,
    encode_program,
    finetune_program,
    fit_program,
    flow_program,
    pretrain_program,
)
from flowjax.config import (
    EncoderConfig,
    FinetuneConfig,
    FinetuneObjective,
    FitConfig,
    PretrainConfig,
    TrainConfig,
)
from flowjax.config.pretrain import PretrainModel
from flowjax.encoder.bert_config import BertConfig
from flowjax.parallel import compile_for, devices, open_target

# name: flow, examples per chip, precision; the most telling recipes first
FLOWS = {
    "glow 768": (partial(flows.glow, 768), 256, "float32"),
    "realnvp 768, 12 x 512": (partial(flows.realnvp, 768, depth=12, width=512), 512, "bfloat16"),
    "neural_spline 64": (partial(flows.neural_spline, 64), 512, "float32"),
    "glow 768, affine": (partial(flows.glow, 768, coupling="affine"), 256, "float32"),
    "glow 768, affine, lu": (
        partial(flows.glow, 768, coupling="affine", permutation="lu"),
        256,
        "float32",
    ),
    "glow_as_released 768": (partial(flows.glow_as_released, 768), 64, "float32"),
    "maf 64": (partial(flows.maf, 64), 512, "float32"),
    "iaf 64": (partial(flows.iaf, 64), 512, "float32"),
    "elementwise_spline 64": (partial(flows.elementwise_spline, 64), 512, "float32"),
    "whitening_glow 768": (partial(flows.whitening_glow, 768), 256, "float32"),
    "glow 768, scanned": (partial(flows.glow, 768, depth=12), 256, "float32"),
    "whitening 768": (partial(flows.whitening, 768), 256, "float32"),
}
ENCODERS = {
    "MiniLM-L6": BertConfig(hidden_size=384, num_hidden_layers=6, intermediate_size=1536),
    "BERT-base": BertConfig(),
    "BERT-large": BertConfig(
        hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096
    ),
}
SMALL = BertConfig(hidden_size=128, num_hidden_layers=2, num_attention_heads=2,
                   intermediate_size=512)  # fmt: skip
OBJECTIVES = ("nli", "mnr", "simcse")
FEW, MANY, FEW_P, MANY_P = TARGETS = ("v5e:2x2", "v5e:16x16", "v5p:2x2x1", "v5p:4x8x8")
WHAT = ("log_prob", "inverse", "sample")
SHOWN = ("gather", "scatter", "sort", "while")


def cells():
    """Yields `(name, target, function target -> facts)`, in the order of `cost`."""
    return sorted(all_cells(), key=lambda cell: cost(*cell[:2]))


def cost(name, target):
    """Orders the cells: the first targets and the cheap programs first."""
    large = ("BERT-large", "BERT-base", "MiniLM", "of 768, step")
    place = next((len(large) - i for i, word in enumerate(large) if word in name), 0)
    return 2 * place + TARGETS.index(target) + 4 * ("pmap" in name and "glow 768," not in name)


def all_cells():
    for target in TARGETS:
        for name, (make, batch, precision) in FLOWS.items():
            if name != "whitening 768":  # has no training steps
                for mapping in ("shard_map", "pmap"):
                    yield (
                        f"{name}, step, {mapping}",
                        target,
                        partial(fitted, make, batch, precision, mapping),
                    )
        for name in OBJECTIVES:
            yield f"fine-tuning {name}, 2 layers of 128, step", target, partial(tuned, name, SMALL)
        for name, (make, batch, _) in FLOWS.items():
            for what in WHAT:
                yield f"{name}, {what}", target, partial(evaluated, make, batch, what)
        for name, sizes in ENCODERS.items():
            for dtype in ("bfloat16", "float32"):
                yield f"{name}, encode, {dtype}", target, partial(encoded, sizes, dtype)
        for layers, width in ((2, 128), (12, 128), (2, 768), (12, 768)):
            yield (
                f"masked LM, {layers} layers of {width}, step",
                target,
                partial(pretrained, layers, width),
            )
        yield (
            "fine-tuning mnr, BERT-base of 768, step",
            target,
            partial(tuned, "mnr", BertConfig()),
        )
        for name in ("eigh", "cholesky", "top_k"):
            yield f"{name} of 768 x 768", target, partial(part, name)


def described(name, batch, build, target):
    return facts(Program(name, batch, "examples", build), build(target, batch), None)


def fitted(make, batch, precision, mapping, target):
    config = FitConfig(train=TrainConfig(precision=precision, mapping=mapping))
    return described("fit", batch, partial(fit_program, config, make()), target)


def evaluated(make, batch, what, target):
    return described(what, batch, partial(flow_program, what, make()), target)


def encoded(sizes, dtype, target):
    build = partial(encode_program, sizes, EncoderConfig(dtype=dtype), 64)
    return described("encode", 256, build, target)


def pretrained(layers, width, target):
    model = PretrainModel(layers=layers, width=width, heads=width // 64, vocab_size=30_522)
    return described(
        "pretrain", 32, partial(pretrain_program, PretrainConfig(model=model)), target
    )


def tuned(objective, sizes, target):
    config = FinetuneConfig(objective=FinetuneObjective(objective)).resolved()
    return described("finetune", 64, partial(finetune_program, config, sizes), target)


def part(name, target):
    """Closed forms of whitening, and the choice of masked tokens, on one chip."""
    one = target._replace(mesh=devices.mesh_of(list(target.mesh.devices.flat)[:1]))
    calls = {
        "eigh": jnp.linalg.eigh,
        "cholesky": jnp.linalg.cholesky,
        "top_k": lambda x: jax.lax.top_k(x, 100),
    }
    x = jax.ShapeDtypeStruct((768, 768), jnp.float32)
    return described(name, 768, lambda target, batch: compile_for(one, calls[name], x), target)


def read(file):
    rows = map(json.loads, file.read_text().splitlines()) if file.exists() else []
    return {(row["cell"], row["target"]): row for row in rows}


def table(rows):
    """Returns the table of benchmarks/compiled.md."""
    lines = [
        "| program | target | compile, CPU s | arguments, MB | scratch, MB | reused, MB | flops "
        "| moved, MB | least, MB | ratio | activations, MB | all-reduces | their MB "
        "| gather, scatter, sort | at least, ms |",
        "|---" * 15 + "|",
    ]
    for row in sorted(rows.values(), key=lambda row: TARGETS.index(row["target"])):
        calls, size = row["collectives"].get("all-reduce", (0, 0))
        ops = ", ".join(str(row["operations"].get(op, 0)) for op in SHOWN[:3])
        keys = ("argument_bytes", "scratch_bytes", "aliased_bytes")
        mega = [f"{row[k] / 1e6:.3g}" for k in keys]
        moved, least = row["bytes_moved"], row["bytes_at_least"]
        kept = row["activation_bytes"]
        bound = row["seconds_at_least"]["total"] * 1e3
        lines.append(
            f"| {row['cell']} | {row['target']} | {row['compile_cpu_seconds']:.0f} | "
            f"{' | '.join(mega)} | {row['flops']:.3g} | {moved / 1e6:.3g} | {least / 1e6:.3g} | "
            f"{moved / least:.2f} | {kept / 1e6:.3g} | {calls} | {size / 1e6:.3g} | {ops} | "
            f"{bound:.3g} |"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    done = read(args.out)
    if args.table:
        print(table(done))
        return
    jax.config.update("jax_enable_compilation_cache", False)
    for cell, target, run in cells():
        key = f"{cell}, {target}"
        if (cell, target) in done or args.only not in key:
            continue
        try:
            row = {"cell": cell, **run(open_target(target)), "target": target}
        except Exception as error:  # one cell must not end the others
            print(key, f"{type(error).__name__}: {str(error)[:300]}", flush=True)
            continue
        with args.out.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(key, f"{row['compile_cpu_seconds']:.0f} s", flush=True)
        jax.clear_caches()


if __name__ == "__main__":
    main()
