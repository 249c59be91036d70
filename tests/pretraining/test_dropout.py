"""Dropout of masked-LM training: every place has its own mask, and only training applies it."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowjax.encoder.bert import Bert, BertConfig
from flowjax.pretraining import masked_lm
from flowjax.pretraining.masked_lm import MaskedLM, Masking, masked_lm_loss

CONFIG = BertConfig(
    vocab_size=60, hidden_size=16, num_hidden_layers=2, num_attention_heads=4,
    intermediate_size=4, max_position_embeddings=40, hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)  # fmt: skip
IDS = np.random.default_rng(0).integers(5, 60, (4, 8))


def constants():
    """Parameters of zeros, except for the scales of the norms."""
    shapes = jax.eval_shape(Bert(CONFIG, with_pooler=False).init, jax.random.key(0), IDS)

    def value(path, leaf):
        return np.full(leaf.shape, float(path[-1].key == "scale"), np.float32)

    return jax.tree_util.tree_map_with_path(value, shapes)["params"]


def states(params, seed=1, **rates):
    """Hidden states of all layers in training, shape (3, batch, length, hidden)."""
    model = Bert(dataclasses.replace(CONFIG, **rates), with_pooler=False)

    @jax.jit
    def run(params, key):
        options = {"layers": (0, 1, 2), "train": True, "rngs": {"dropout": key}}
        return jnp.stack(model.apply({"params": params}, IDS, **options))

    return np.asarray(run(params, jax.random.key(seed)))


@pytest.fixture(scope="module")
def masks():
    """Features that each dropout of hidden states keeps, by place, shape (batch, length, hidden).

    The dropped vector is constant and much larger than the residual, so that the following norm
    has a positive value exactly at the kept features.
    """
    found = {}
    for name in ("attention_output", "output"):
        params = constants()
        for layer in ("layer_0", "layer_1"):
            params[layer][name]["bias"] += 1000
        kept = states(params, hidden_dropout_prob=0.5) > 0
        found |= {f"{name} {i}": kept[i] for i in (1, 2)}
    params = constants()
    params["embeddings"]["LayerNorm"] = {k: np.ones(16, np.float32) for k in ("scale", "bias")}
    embeddings = states(params, hidden_dropout_prob=0.5)[0]
    assert set(np.unique(embeddings)) == {0, 2}
    return {**found, "embeddings": embeddings > 0}


def test_hidden_states_are_dropped_with_the_rate_and_independently(masks):
    assert len(masks) == 5
    for kept in masks.values():
        assert 0.4 < kept.mean() < 0.6
        rows = kept.reshape(-1, 16)
        assert len(np.unique(rows, axis=0)) > 0.9 * len(rows), "tokens share a mask"
    for a, b in itertools.combinations(masks.values(), 2):
        assert 0.35 < (a == b).mean() < 0.65, "two places share a mask"


def test_attention_weights_are_dropped_per_head_and_layer():
    """With equal weights and values, a head's output is the number of kept tokens."""
    params = constants()
    for layer in ("layer_0", "layer_1"):
        params[layer]["value"]["bias"] += 1000
        params[layer]["attention_output"]["kernel"] += np.eye(16, dtype=np.float32)
    heads = states(params, attention_probs_dropout_prob=0.5)[1:, ..., ::4]
    assert (np.ptp(heads, axis=-1) > 0.5).mean() > 0.9, "heads share a mask"
    assert len(np.unique(heads.reshape(-1, 4).round(3), axis=0)) > 20, "tokens share a mask"
    assert 0.35 < ((heads[0] > 0) == (heads[1] > 0)).mean() < 0.65, "layers share a mask"
    other = states(params, seed=2, attention_probs_dropout_prob=0.5)[1:, ..., ::4]
    assert not np.array_equal(heads, other)


def test_only_training_applies_dropout_to_the_loss(monkeypatch):
    """The masks are fixed here, so that the keys change the dropout only."""

    def fixed(_, ids, masking):
        positions = jnp.arange(2)
        return ids.at[positions].set(masking.mask_id), positions, ids[:2], jnp.ones(2)

    monkeypatch.setattr(masked_lm, "mask_tokens", fixed)
    masking, keys = Masking(0.3, 4, 60), jax.random.split(jax.random.key(3), 4)
    config = dataclasses.replace(CONFIG, num_hidden_layers=1)
    shapes = jax.eval_shape(MaskedLM(config).init, jax.random.key(0), IDS, IDS[:, :2])
    random = np.random.default_rng(1)
    params = jax.tree.map(lambda x: random.normal(0, 0.3, x.shape).astype(np.float32), shapes)
    losses = {}
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "none"):
        rates = {} if name == "none" else {name: 0.5}
        model = MaskedLM(dataclasses.replace(config, **rates))

        @jax.jit
        def both(params, keys, model=model):
            given = model, params, jnp.asarray(IDS), keys, masking
            return [masked_lm_loss(*given, train=train)[0] for train in (True, False)]

        losses[name] = np.array([both(params, k) for k in (keys, keys, keys[::-1])])
    plain = losses["none"][0, 1]
    np.testing.assert_allclose(losses["none"], plain, rtol=1e-6)
    for name in losses.keys() - {"none"}:
        trained, evaluated = losses[name].T
        np.testing.assert_allclose(evaluated, plain, rtol=1e-6)
        assert abs(trained[0] - plain) > 1e-3 and trained[0] == trained[1]
        assert abs(trained[0] - trained[2]) > 1e-3, "all keys give the same dropout"
