"""Compile time of BERT's training gradient for a TPU chip that is not there. Table: `pretrain.md`.

    python benchmarks/compile_layers.py --layers 1 2 12 [--width 128]    # pip install 'jax[tpu]'

"before" is the GELU of Flax and dropout with Threefry; "after" is what the encoder does on a TPU.
CPU seconds and the size of the code are given, because both depend little on other processes.
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "true")

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding

from flowjax.encoder import bert as module
from flowjax.encoder.activations import ACTIVATIONS, gelu
from flowjax.encoder.dropout import Dropout

FORMS = {
    "before": (lambda x: nn.gelu(x, approximate=False), nn.Dropout),
    "after": (gelu, Dropout),
}


def measure(layers: int, form: str, args: argparse.Namespace, where: SingleDeviceSharding) -> str:
    """A line of the table."""
    ACTIVATIONS["gelu"], module.Dropout = FORMS[form]
    config = module.BertConfig(
        vocab_size=1000, hidden_size=args.width, num_hidden_layers=layers,
        num_attention_heads=args.width // 64, intermediate_size=4 * args.width,
        hidden_dropout_prob=args.dropout, attention_probs_dropout_prob=args.dropout,
    )  # fmt: skip
    model = module.Bert(config, jnp.dtype(args.dtype), with_pooler=False)

    def loss(params, ids):
        rngs = {"dropout": jax.random.key(0)}
        return model.apply(params, ids, train=True, rngs=rngs)[0].astype(jnp.float32).sum()

    def shape(x):
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where)

    ids = jax.ShapeDtypeStruct((args.rows, 128), jnp.int32, sharding=where)
    params = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.ones((1, 8), int)))
    began = time.process_time()
    compiled = jax.jit(jax.grad(loss)).lower(jax.tree.map(shape, params), ids).compile()
    seconds = time.process_time() - began
    size = compiled.memory_analysis().generated_code_size_in_bytes / 2**20
    return f"| {layers} | {form} | {seconds:.1f} | {size:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, nargs="+", default=[1, 2, 12])
    parser.add_argument("--width", type=int, default=128, help="a multiple of 64")
    parser.add_argument("--rows", type=int, default=4, help="of 128 tokens")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--forms", nargs="+", default=list(FORMS), choices=list(FORMS))
    parser.add_argument("--target", default="v5e:2x2")
    args = parser.parse_args()
    chips = topologies.get_topology_desc(topology_name=args.target, platform="tpu").devices
    print("| layers | form | CPU s | code, MiB |\n|---|---|---|---|")
    for layers in args.layers:
        for form in args.forms:
            print(measure(layers, form, args, SingleDeviceSharding(chips[0])), flush=True)


if __name__ == "__main__":
    main()
