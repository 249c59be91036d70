"""Tests of the masking, of the loss against plain NumPy, and of hand-written gradients."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowjax.encoder.bert import Bert, BertConfig
from flowjax.encoder.dense import Dense
from flowjax.pretraining.cross_entropy import cross_entropy
from flowjax.pretraining.masked_lm import MaskedLM, Masking, mask_tokens, masked_lm_loss

MASKING = Masking(rate=0.15, mask_id=4, vocab_size=60)
SIZES = dict(vocab_size=60, hidden_size=8, num_hidden_layers=1, num_attention_heads=2)
CONFIG = BertConfig(**SIZES, intermediate_size=16, max_position_embeddings=40)
MASK_ALL = jax.jit(jax.vmap(mask_tokens, (0, 0, None)), static_argnums=2)


@pytest.fixture(scope="module")
def masked():
    """2,000 masked rows, each with a different key."""
    ids = np.random.default_rng(0).integers(5, 60, (2000, 40))
    ids[:, 0], ids[:, 20], ids[:, 39] = 2, 3, 3
    keys = jax.random.split(jax.random.key(7), len(ids))
    return ids, keys, [np.asarray(a) for a in MASK_ALL(keys, ids, MASKING)]


@pytest.mark.parametrize(("rate", "length", "count"), [(0.15, 40, 6), (0.01, 8, 1), (0.4, 10, 4)])
def test_a_fixed_number_of_tokens_is_chosen(rate, length, count):
    assert Masking(rate, 4, 60).count(length) == count


def test_masked_positions_and_targets(masked):
    ids, _, (shown, positions, targets, weights) = masked
    assert positions.shape == targets.shape == weights.shape == (2000, 6)
    assert all(len(set(row)) == 6 for row in positions.tolist())
    rows = np.arange(2000)[:, None]
    np.testing.assert_array_equal(ids[rows, positions], targets)
    untouched = np.ones(ids.shape, bool)
    untouched[rows, positions] = False
    np.testing.assert_array_equal(shown[untouched], ids[untouched])
    assert (weights == 1).all()
    # Special tokens are never chosen; ordinary tokens are chosen equally often.
    assert (targets >= 5).all()
    often = np.bincount(positions.ravel(), minlength=40)
    assert not often[[0, 20, 39]].any()
    inner = np.delete(often, [0, 20, 39])
    assert 0.8 * inner.mean() < inner.min() <= inner.max() < 1.2 * inner.mean()


def test_chosen_tokens_are_80_10_10_masked_random_and_kept(masked):
    _, _, (shown, positions, targets, _) = masked
    became = shown[np.arange(2000)[:, None], positions]
    fraction = (became == 4).mean()
    assert abs(fraction - 0.8) < 0.015
    kept = (became == targets).mean()
    assert abs(kept - (0.1 + 0.1 / 55)) < 0.012
    random = became[(became != 4) & (became != targets)]
    assert random.min() == 5
    assert random.max() == 59


def test_masking_depends_on_the_key_of_the_row_only(masked):
    ids, keys, want = masked
    again = MASK_ALL(keys[100:110], ids[100:110], MASKING)
    for a, b in zip(again, want, strict=True):
        np.testing.assert_array_equal(a, b[100:110])
    other = MASK_ALL(keys[:10], ids[100:110], MASKING)
    assert (np.asarray(other[1]) != want[1][100:110]).any()


def test_a_row_with_too_few_words_has_weights_of_0():
    ids = np.array([[2, 9, 3] + [0] * 37, [2, 3] + [0] * 38])
    keys = jax.random.split(jax.random.key(0), 2)
    shown, positions, targets, weights = map(np.asarray, MASK_ALL(keys, ids, MASKING))
    assert weights.sum(1).tolist() == [1, 0]
    assert positions[0, 0] == 1
    assert targets[0, 0] == 9
    np.testing.assert_array_equal(shown[1], ids[1])
    assert (shown[0] != ids[0]).sum() <= 1


def test_the_loss_equals_plain_numpy():
    from scipy.special import erf

    model = MaskedLM(CONFIG)
    random = np.random.default_rng(1)
    ids = random.integers(5, 60, (3, 40))
    ids[2, 3:] = 0  # fewer words than masked positions: weights of 0
    shapes = jax.eval_shape(model.init, jax.random.key(0), ids, ids[:, :2])
    params = jax.tree.map(lambda x: random.normal(0, 0.3, x.shape).astype(np.float32), shapes)
    keys = jax.random.split(jax.random.key(3), 3)
    compute = jax.jit(lambda p, i, k: masked_lm_loss(model, p, i, k, MASKING))
    loss, report = compute(params, ids, keys)

    shown, positions, targets, weights = map(np.asarray, MASK_ALL(keys, ids, MASKING))
    inner = params["params"]
    run = jax.jit(Bert(CONFIG, with_pooler=False).apply)
    (states,) = run({"params": inner["bert"]}, shown)
    x = np.take_along_axis(np.asarray(states, np.float64), positions[..., None], 1)
    x = x @ inner["transform"]["kernel"] + inner["transform"]["bias"]
    x = x * 0.5 * (1 + erf(x / np.sqrt(2)))
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
    x = x * inner["norm"]["scale"] + inner["norm"]["bias"]
    table = inner["bert"]["embeddings"]["word_embeddings"]["embedding"]
    logits = x @ table.T + inner["bias"]
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    nll = -np.take_along_axis(log_probs, targets[..., None], -1)[..., 0]
    assert 0 < weights[2].sum() < 6
    np.testing.assert_allclose(loss, (nll * weights).sum() / weights.sum(), rtol=2e-5)
    right = (logits.argmax(-1) == targets) * weights
    np.testing.assert_allclose(report["accuracy"], right.sum() / weights.sum(), rtol=1e-6)


@pytest.mark.parametrize("leading", [(6,), (2, 3), (2, 1, 3)])
def test_the_dense_layer_equals_flax(leading):
    x = jax.random.normal(jax.random.key(0), (*leading, 4))
    theirs, ours = nn.Dense(5), Dense(5)
    params = jax.tree.map(lambda p: p + 0.1, theirs.init(jax.random.key(1), x))
    assert jax.tree.map(jnp.shape, ours.init(jax.random.key(1), x)) == jax.tree.map(
        jnp.shape, params
    )

    def value_and_gradients(layer):
        return jax.value_and_grad(lambda p, x: jnp.sin(layer.apply(p, x)).sum(), (0, 1))(params, x)

    for a, b in zip(*map(jax.tree.leaves, map(value_and_gradients, (ours, theirs))), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_the_gradient_of_cross_entropy_equals_autodiff():
    random = np.random.default_rng(4)
    x, table, bias = (random.normal(0, 1, s).astype("f4") for s in ((2, 3, 4), (9, 4), (9,)))
    targets, weights = random.integers(0, 9, (2, 3)), random.uniform(0, 1, (2, 3))

    def plain(x, table, bias):
        log_probs = jax.nn.log_softmax(x @ table.T + bias)
        return -(jnp.take_along_axis(log_probs, targets[..., None], -1)[..., 0] * weights).sum()

    def ours(*args):
        return (cross_entropy(*args, targets)[0] * weights).sum()

    (a, b) = (jax.value_and_grad(f, (0, 1, 2))(x, table, bias) for f in (ours, plain))
    for got, want in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.slow  # a second dtype
def test_bfloat16_has_nearly_the_loss_and_gradient_of_float32():
    ids = np.random.default_rng(2).integers(5, 60, (4, 40))
    keys = jax.random.split(jax.random.key(3), 4)
    params = MaskedLM(CONFIG).init(jax.random.key(0), ids, ids[:, :2])

    def compute(dtype):
        model = MaskedLM(CONFIG, dtype)
        value = jax.value_and_grad(lambda p: masked_lm_loss(model, p, ids, keys, MASKING)[0])
        return jax.jit(value)(params)

    (loss, grads), (half, half_grads) = compute(jnp.float32), compute(jnp.bfloat16)
    assert half.dtype == jnp.float32
    assert all(g.dtype == jnp.float32 for g in jax.tree.leaves(half_grads))
    np.testing.assert_allclose(half, loss, rtol=5e-3)
    a, b = (np.concatenate([np.ravel(g) for g in jax.tree.leaves(t)]) for t in (grads, half_grads))
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.99


def test_the_encoder_has_the_parameters_of_bert():
    ids = jnp.zeros((1, 8), int)
    ours = jax.eval_shape(MaskedLM(CONFIG).init, jax.random.key(0), ids, ids[:, :2])
    bert = jax.eval_shape(Bert(CONFIG, with_pooler=False).init, jax.random.key(0), ids)
    assert ours["params"]["bert"] == bert["params"]
