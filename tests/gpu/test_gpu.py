"""The GPU gives the results of the CPU, within the stated tolerances.

Skipped without a GPU: `JAX_PLATFORMS= pytest -o addopts= -m gpu tests/gpu`. With
`FLOWJAX_TEST_DEVICE=cpu` a second CPU device takes the place of the GPU.
"""

from __future__ import annotations

import functools
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowjax import flows, training
from flowjax.bijectors.permutation import permutation
from flowjax.encoder.bert import Bert, BertConfig
from flowjax.encoder.embed_rows import embed_rows
from flowjax.fitting.losses import nll_loss
from flowjax.parallel import devices
from flowjax.pretraining.masked_lm import MaskedLM, Masking, mask_tokens, masked_lm_loss
from flowjax.types import trainable_mask

pytestmark = pytest.mark.gpu
DIM, ROWS = 64, 512
FLOWS = {
    "glow": lambda: flows.glow(DIM, levels=2, depth=2, latent_power=None),
    "glow_lu": lambda: flows.glow(
        DIM, levels=1, permutation="lu", coupling="affine", latent_power=None
    ),
    "glow_as_released": lambda: flows.glow_as_released(DIM, levels=2),
    "realnvp": lambda: flows.realnvp(DIM, depth=4),
    "neural_spline": lambda: flows.neural_spline(DIM, depth=2),
    "maf": lambda: flows.maf(DIM, depth=2),
    "whitening": lambda: flows.whitening(DIM),
    "whitening_glow": lambda: flows.whitening_glow(DIM),
}
CONFIG = BertConfig(
    vocab_size=1000,
    hidden_size=128,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=256,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)


@pytest.fixture(scope="module")
def places():
    """The first CPU device, and the GPU."""
    cpus = jax.local_devices(backend="cpu")
    if os.environ.get("FLOWJAX_TEST_DEVICE") == "cpu":
        return cpus[0], cpus[-1]
    try:
        return cpus[0], jax.local_devices(backend="gpu")[0]
    except RuntimeError:
        pytest.skip("no GPU")


def error(found, wanted):
    """Relative error ||found - wanted|| / ||wanted|| of two arrays."""
    found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    assert np.isfinite(found).all()
    return np.linalg.norm(found - wanted) / max(np.linalg.norm(wanted), 1e-12)


def on_both(call, places, *args):
    """Returns the results of a jitted function on the GPU and on the CPU, as NumPy arrays."""
    done = []
    for place in places:
        with jax.default_device(place):
            done.append(jax.tree.map(np.asarray, jax.jit(call)(*jax.device_put(args, place))))
    return done[1], done[0]


def rows(seed=0, n=ROWS):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, DIM)) @ rng.normal(size=(DIM, DIM)) / 4 + 1).astype(np.float32)


@functools.cache
def fitted(name):
    """A flow with parameters that differ from their initial values."""
    flow = FLOWS[name]()
    params = jax.tree.map(np.asarray, flow.init(jax.random.key(0), jnp.asarray(rows())))
    rng = np.random.default_rng(1)
    moved = jax.tree.map(
        lambda a, train: a + train * 0.02 * rng.normal(size=a.shape).astype(a.dtype),
        params,
        trainable_mask(params),
    )
    return flow, moved


# Of float32 products: the precision "highest" on both; and the default, TF32 on NVIDIA GPUs.
TOLERANCES = {"highest": 1e-4, None: 1e-2}


@pytest.mark.parametrize(
    ("name", "precision"),
    [*((name, "highest") for name in FLOWS), ("glow_lu", None), ("realnvp", None)],
)
def test_flows(name, precision, places):
    flow, params = fitted(name)
    x = rows(2)

    def functions(params, x):
        z, log_det = flow.forward(params, x)
        grads = jax.grad(lambda x: flow.log_prob(params, x).mean())(x)
        return z, log_det, flow.inverse(params, z)[0], flow.log_prob(params, x), grads

    with jax.default_matmul_precision(precision):
        found, wanted = on_both(functions, places, params, x)
    for a, b in zip(found, wanted):
        assert error(a, b) < TOLERANCES[precision]
    assert error(found[2], x) < 10 * TOLERANCES[precision]


def test_permutations_and_random_numbers_are_bitwise_equal(places):
    layer, x = permutation(seed=3), rows()
    found, wanted = on_both(lambda x: layer.forward({}, x)[0], places, x)
    assert np.array_equal(found, wanted)
    ids = np.random.default_rng(0).integers(0, 50, (8, 32)).astype(np.int32)

    def masked(ids):
        keys = jax.random.split(jax.random.key(5), 8)
        return jax.vmap(mask_tokens, (0, 0, None))(keys, ids, Masking(0.15, 4, 50))

    for a, b in zip(*on_both(masked, places, ids)):
        assert np.array_equal(a, b)


@pytest.mark.parametrize(
    ("dtype", "precision", "most"),
    [("float32", "highest", 1e-5), ("float32", None, 5e-3), ("bfloat16", None, 2e-2)],
)
def test_encoder(dtype, precision, most, places):
    """The reference is float32 on the CPU."""
    ids = np.random.default_rng(0).integers(5, 1000, (16, 64)).astype(np.int32)
    mask = np.repeat([[1] * 20 + [2] * 30 + [0] * 14], 16, 0).astype(np.int32)
    position = np.concatenate([np.arange(20), np.arange(30), np.zeros(14)]).astype(np.int32)
    params = Bert(CONFIG).init(jax.random.key(0), ids)["params"]

    def call(dtype):
        bert = Bert(CONFIG, jnp.dtype(dtype))
        return lambda *arrays: embed_rows(bert, "first_last", True, *arrays)[:, :2]

    arrays = (params, ids, mask, np.repeat(position[None], 16, 0))
    with jax.default_matmul_precision(precision):
        found, _ = on_both(call(dtype), places[1:] * 2, *arrays)
    _, wanted = on_both(call("float32"), places[:1] * 2, *arrays)
    assert error(found, wanted) < most


def losses(loss, params, batches, place, mapping):
    """Losses of ten steps on one device."""
    optimizer = training.freeze(training.default_optimizer(), params)
    step = training.make_step(loss, optimizer, seed=0, precision="float32")
    call = devices.data_parallel(step, devices.Mesh(np.array([place]), ("data",)), mapping)
    with jax.default_device(place):
        state = jax.device_put(training.init_state(params, optimizer), place)
        steps = jax.device_put(np.int32(10), place)
        return np.asarray(call(state, (None, steps), batches)[1]["loss"])


@pytest.mark.parametrize("mapping", ["shard_map", "pmap"])
def test_training_steps_of_a_flow(mapping, places):
    flow, params = fitted("realnvp")
    batches = {"x": np.stack([rows(i, 64) for i in range(10)])}
    batches["rows"] = np.arange(640, dtype=np.int32).reshape(10, 64)
    cpu, gpu = (losses(nll_loss(flow), params, batches, p, mapping) for p in places)
    np.testing.assert_allclose(gpu, cpu, rtol=1e-3)


def test_training_steps_of_the_masked_language_model(places):
    model = MaskedLM(CONFIG)
    ids = np.random.default_rng(0).integers(5, 1000, (10, 8, 32)).astype(np.int32)
    params = model.init(jax.random.key(0), ids[0], ids[0, :, :2])
    batches = {"ids": ids, "rows": np.arange(80, dtype=np.int32).reshape(10, 8)}

    def loss(params, _, batch, key):
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, batch["rows"])
        return masked_lm_loss(model, params, batch["ids"], keys, Masking(0.15, 4, 1000))

    cpu, gpu = (losses(loss, params, batches, place, "shard_map") for place in places)
    np.testing.assert_allclose(gpu, cpu, rtol=1e-2)
