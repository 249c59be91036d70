"""Every program is lowered for CPU, CUDA and TPU; lowering needs no such device."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from flowjax import flows, training
from flowjax.encoder.bert import Bert, BertConfig
from flowjax.encoder.embed_rows import embed_rows
from flowjax.encoder.pooling import POOLINGS
from flowjax.fitting.losses import nll_loss
from flowjax.flows.recipe import options_of
from flowjax.parallel import devices
from flowjax.pretraining.masked_lm import MaskedLM, Masking
from flowjax.pretraining.objective import make_loss
from flowjax.types import trainable_mask

PLATFORMS = ("cuda", "tpu", "cpu")
DIM, ROWS, STEPS = 6, 16, 2
SMALL = {"depth": 2, "width": 4, "hidden_layers": 1, "bins": 3, "levels": 1}
CONFIG = BertConfig(
    vocab_size=20,
    hidden_size=8,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=8,
    max_position_embeddings=16,
    hidden_dropout_prob=0.1,
    attention_probs_dropout_prob=0.1,
)


def shapes(tree):
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tree)


def lowered(call, *args):
    """Returns the StableHLO of a program; checks for float64 and calls of the host."""
    exported = export.export(call, platforms=PLATFORMS)(*shapes(args))
    assert exported.platforms == PLATFORMS
    text = exported.mlir_module()
    assert "f64" not in text and "callback" not in text
    return text


def lowered_step(loss, params, batch, precision=None):
    """Lowers a data-parallel training step; the state is donated and the gradients are reduced."""
    optimizer = training.freeze(training.default_optimizer(), params)
    step = training.make_step(loss, optimizer, seed=0, precision=precision)
    mesh = devices.make_mesh()
    state = jax.eval_shape(lambda p: training.init_state(p, optimizer), params)
    rows = np.zeros((STEPS, ROWS), np.int32)
    call = devices.data_parallel(step, mesh)
    text = lowered(call, state, (None, np.int32(STEPS)), {"rows": rows, **batch})
    main = text[text.index("@main(") :].partition("->")[0]
    donated = len(re.findall(r"tf\.aliasing_output|jax\.buffer_donor", main))
    assert donated == len(jax.tree.leaves(state))
    assert mesh.size == 1 or "all_reduce" in text
    return text


def small(name):
    known = options_of(name)
    return {key: value for key, value in SMALL.items() if key in known}


VARIANTS = {name: (name, {}) for name in flows.RECIPES} | {
    "glow_lu": ("glow", {"coupling": "affine", "permutation": "lu", "base": "student_t"}),
    "glow_split": ("glow", {"conditional_split": True, "levels": 2, "unroll": 1}),
    "realnvp_lu": ("realnvp", {"permutation": "lu", "mask": "checkerboard"}),
    "maf_spline": ("maf", {"transform": "spline", "checkpoint": True}),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_programs_of_a_flow(variant):
    name, options = VARIANTS[variant]
    flow = flows.make(name, DIM, **small(name) | options)
    x = np.random.default_rng(0).normal(size=(32, DIM)).astype("f4")
    params = jax.eval_shape(lambda x: flow.init(jax.random.key(0), x), x)
    (n,) = export.symbolic_shape("n")
    lowered(jax.jit(flow.log_prob), params, jax.ShapeDtypeStruct((n, DIM), np.float32))
    z = jax.ShapeDtypeStruct((n, flow.latent_dim or DIM), np.float32)
    lowered(jax.jit(flow.inverse), params, z)
    lowered(jax.jit(lambda params, key: flow.sample(params, key, 4)), params, jax.random.key(0))
    if any(jax.tree.leaves(trainable_mask(params))):
        lowered_step(nll_loss(flow), params, {"x": np.zeros((STEPS, ROWS, DIM), np.float32)})


def test_bfloat16_reaches_the_products_of_the_step():
    flow = flows.realnvp(DIM, **small("realnvp"))
    params = flow.init(jax.random.key(0), np.ones((4, DIM), np.float32))
    batch = {"x": np.zeros((STEPS, ROWS, DIM), np.float32)}
    text = lowered_step(nll_loss(flow), params, batch, "bfloat16")
    assert re.search(r"dot_general.*xbf16>, tensor<[0-9x]*bf16>", text)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_encoder_and_masked_language_model(dtype):
    ids = np.ones((ROWS, 12), np.int32)
    bert = Bert(CONFIG, jnp.dtype(dtype))
    params = jax.eval_shape(lambda: bert.init(jax.random.key(0), ids)["params"])
    for pooling in POOLINGS:

        def encode(params, ids, mask, positions, pooling=pooling):
            return embed_rows(bert, pooling, True, params, ids, mask, positions)

        lowered(jax.jit(encode), params, ids, ids, ids)
    model = MaskedLM(CONFIG, jnp.dtype(dtype))
    params = jax.eval_shape(lambda: model.init(jax.random.key(0), ids, ids[:, :2]))
    batch = {"ids": np.ones((STEPS, ROWS, 12), np.int32)}
    lowered_step(make_loss(model, Masking(0.2, 4, 20)), params, batch)
