"""Tests of `Bert`: hidden states of every family equal PyTorch, with any padding and packing."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowjax.encoder.bert import Bert, BertConfig, distance_buckets, resolve_layer
from flowjax.encoder.pooling import POOLINGS, layers_of, pool_packed
from flowjax.encoder.weights import load_pretrained
from flowjax.errors import FlowjaxError

FAMILIES = ("bert", "roberta", "mpnet", "distilbert")


def pool(states, mask, pooling):
    """Pools one sentence per row; the module has applied its pooler."""
    if pooling == "pooler":
        return states[0]
    return pool_packed([jnp.asarray(s) for s in states], mask, pooling, slots=1)[:, 0]


@pytest.fixture(scope="module")
def loaded(goldens):
    """Function from a family to (model, variables, golden arrays, run), each loaded once.

    `run(ids, mask, types=, positions=)` returns every hidden state and, if the model has a pooler,
    its output. Models with token types always get them, to compile fewer programs.
    """
    cache = {}

    def runner(model, params):
        layers = tuple(range(model.config.num_hidden_layers + 1))
        layers += ("pooler",) if model.with_pooler else ()
        apply = jax.jit(partial(model.apply, {"params": params}, layers=layers))

        def run(ids, mask, types=None, positions=None):
            if types is None and model.config.type_vocab_size:
                types = np.zeros_like(ids)
            return apply(ids, mask, types=types, positions=positions)

        return run

    def load(family):
        if family not in cache:
            params, config = load_pretrained(goldens / family)
            model = Bert(config, with_pooler="pooler" in params)
            with np.load(goldens / family / "states.npz") as arrays:
                golden = dict(arrays)
            cache[family] = model, {"params": params}, golden, runner(model, params)
        return cache[family]

    return load


@pytest.mark.parametrize("family", FAMILIES)
def test_hidden_states_and_poolings_equal_pytorch(loaded, family):
    model, _, golden, run = loaded(family)
    with jax.numpy_rank_promotion("raise"):
        out = run(golden["ids"], golden["mask"], types=golden.get("types"))
    assert all(array.dtype == np.float32 for array in out)
    states = np.stack(out[: model.config.num_hidden_layers + 1])
    states = np.where(golden["mask"][None, :, :, None], states, 0)
    np.testing.assert_allclose(states, golden["states"], rtol=0, atol=1e-5)
    poolings = set(POOLINGS) - (set() if model.with_pooler else {"pooler"})
    assert poolings == {k[7:] for k in golden if k.startswith("pooled_") and k[-8:] != "_special"}
    for pooling in poolings:
        taken = [out[-1] if i == "pooler" else states[i] for i in layers_of(pooling)]
        vectors = pool(taken, golden["mask"], pooling)
        np.testing.assert_allclose(vectors, golden[f"pooled_{pooling}"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_of_any_length_changes_nothing(loaded, family):
    model, _, golden, run = loaded(family)
    ids, mask = golden["ids"], golden["mask"]
    blocks = slice(model.config.num_hidden_layers + 1)
    reference = np.stack(run(ids, mask)[blocks])
    scale = np.abs(reference).max()  # about 4: one unit in the last place is 5e-7
    vectors = pool([reference[1], reference[-1]], mask, "first_last")
    most = model.config.max_length
    # Ids at padding must not matter, so they differ from the pad id.
    padding = np.full((len(ids), most - ids.shape[1]), 5, np.int32)
    long_mask = np.hstack([mask, 0 * padding])
    positions = np.broadcast_to(np.arange(most, dtype=np.int32), long_mask.shape)
    padded = np.stack(run(np.hstack([ids, padding]), long_mask, positions=positions)[blocks])
    difference = (padded[:, :, : ids.shape[1]] - reference) * mask[..., None]
    assert np.abs(difference).max() <= 1e-6 * scale
    again = pool([padded[1], padded[-1]], long_mask, "first_last")
    np.testing.assert_allclose(again, vectors, rtol=0, atol=1e-6)
    if family == "bert":
        alone = np.stack(run(ids[1:2, :9], mask[1:2, :9])[blocks])  # 9 tokens without padding
        assert np.abs(alone[:, 0] - reference[:, 1, :9]).max() <= 1e-6 * scale


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_sentences_equal_single_sentences(loaded, family):
    model, _, golden, run = loaded(family)
    lengths = golden["mask"].sum(1)[1:]  # 9 + 5 + 2 tokens in the first row of four
    number, where, tokens = np.zeros((3, 4, model.config.max_length), np.int32)
    spans, at = [], 0
    for row, length in enumerate(lengths, 1):
        span = slice(at, at + length)
        number[0, span], where[0, span] = row, np.arange(length)
        tokens[0, span] = golden["ids"][row, :length]
        spans.append(span)
        at += length
    packed = run(tokens, number, positions=where)
    single = run(golden["ids"], golden["mask"])
    for row, span in enumerate(spans, 1):
        for i in range(model.config.num_hidden_layers + 1):
            want = single[i][row, : lengths[row - 1]]
            np.testing.assert_allclose(packed[i][0, span], want, rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_is_close(loaded, family):
    model, variables, golden, _ = loaded(family)
    half = Bert(model.config, jnp.bfloat16, with_pooler=model.with_pooler)
    run = jax.jit(partial(half.apply, layers=(1, -2, -1)))
    first, second, last = run(variables, golden["ids"], golden["mask"], types=golden.get("types"))
    assert first.dtype == jnp.bfloat16
    cases = {"cls": [last], "mean": [last], "last2": [last, second], "first_last": [first, last]}
    for pooling, states in cases.items():
        got, want = np.asarray(pool(states, golden["mask"], pooling)), golden[f"pooled_{pooling}"]
        # A single token is noisier than a mean; the error of PyTorch's bfloat16 is 1.3e-2.
        limit = 2e-2 if pooling == "cls" else 1e-2
        assert np.linalg.norm(got - want) / np.linalg.norm(want) <= limit
        norms = np.linalg.norm(got, axis=1) * np.linalg.norm(want, axis=1)
        assert ((got * want).sum(1) / norms).min() >= 0.999


def test_a_subset_of_layers_equals_the_full_run(loaded):
    model, variables, golden, run = loaded("bert")
    full = run(golden["ids"], golden["mask"])
    for layers in ((1,), (-2, "pooler", 1, -2, 0)):
        some = jax.jit(partial(model.apply, layers=layers))
        states = some(variables, golden["ids"], golden["mask"])
        for index, state in zip(layers, states, strict=True):
            place = 4 if index == "pooler" else index % 4
            np.testing.assert_allclose(state, full[place], rtol=0, atol=1e-6)


def test_layers_above_the_requested_ones_do_not_run(loaded):
    model, variables, golden, _ = loaded("bert")
    without = {k: v for k, v in variables["params"].items() if k not in ("layer_1", "layer_2")}
    run = partial(model.apply, layers=(1,))
    (state,) = jax.eval_shape(run, {"params": without}, golden["ids"], golden["mask"])
    assert state.shape == (*golden["ids"].shape, 32)


def test_mpnet_buckets_equal_pytorch(goldens):
    with np.load(goldens / "mpnet" / "states.npz") as arrays:
        golden = arrays["buckets"]  # buckets of the distances -300 to 300
    apart = np.arange(-300, 301)
    table = distance_buckets(32)
    ours = table[np.minimum(np.abs(apart), 128)] + np.where(apart > 0, 16, 0)
    np.testing.assert_array_equal(ours, golden)


@pytest.mark.parametrize("family", FAMILIES)
def test_init_has_the_parameters_of_the_files(loaded, family):
    model, variables, golden, _ = loaded(family)
    made = jax.eval_shape(model.init, jax.random.key(0), golden["ids"])
    shapes = jax.tree.map(jnp.shape, made["params"])
    assert shapes == jax.tree.map(jnp.shape, variables["params"])


def test_dropout_only_when_training(loaded):
    model, variables, golden, _ = loaded("bert")
    run = jax.jit(partial(model.apply, layers=(0,)), static_argnames="train")
    rngs = {"dropout": jax.random.key(0)}
    (plain,), (again,) = run(variables, golden["ids"]), run(variables, golden["ids"], rngs=rngs)
    (dropped,) = run(variables, golden["ids"], train=True, rngs=rngs)
    np.testing.assert_array_equal(plain, again)
    assert 0.05 < (np.asarray(dropped) == 0).mean() < 0.15


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (dict(layers=(4,)), "layers: expected -4 to 3, got 4"),
        (dict(layers=("pooler",)), "layers: expected a model with a pooler"),
        (dict(types=np.zeros((1, 3), int)), "types: expected None for bert, got token types"),
    ],
)
def test_a_missing_layer_pooler_or_type_is_an_error(call, message):
    sizes = dict(vocab_size=9, hidden_size=4, num_hidden_layers=3, num_attention_heads=2)
    config = BertConfig(**sizes, intermediate_size=8, type_vocab_size=0)
    model = Bert(config, with_pooler=False)
    ids = np.zeros((1, 3), int)
    params = jax.tree.map(
        lambda x: np.zeros(x.shape, x.dtype), jax.eval_shape(model.init, jax.random.key(0), ids)
    )
    with pytest.raises(FlowjaxError, match=message):
        jax.eval_shape(partial(model.apply, **call), params, ids)


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_a_row_beyond_the_positions_is_an_error(loaded, family):
    model, variables, _, _ = loaded(family)
    most = model.config.max_length
    assert most == {"bert": 24, "roberta": 38}[family]
    with pytest.raises(FlowjaxError, match=f"at most {most} tokens per row, got {most + 1}"):
        model.apply(variables, np.ones((1, most + 1), int))


def test_resolve_layer():
    assert [resolve_layer(i, 3) for i in (0, 3, -1, -4)] == [0, 3, 3, 0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (dict(model_type="gpt2"), "model_type: expected one of bert, roberta, .*, got 'gpt2'"),
        (dict(architectures=["RobertaModel"]), "model_type: expected .*, got 'RobertaModel'"),
        (dict(position_embedding_type="relative_key"), "expected 'absolute'"),
        (dict(is_decoder=True), "is_decoder: expected False, got True"),
        (dict(hidden_size=10, num_attention_heads=4), "a multiple of 4 heads, got 10"),
        (dict(hidden_act="swish"), "hidden_act: expected one of .*, got 'swish'"),
        (
            dict(hidden_size="768"),
            "hidden_size: expected an integer from 1 to 2147483647, got '768'",
        ),
        (dict(num_hidden_layers=0), "num_hidden_layers: expected an integer from 1 to"),
        (dict(model_type="roberta", max_position_embeddings=2), "expected at least 3, got 2"),
    ],
)
def test_bad_configs_name_the_field(values, message):
    with pytest.raises(FlowjaxError, match=message):
        BertConfig.from_dict(values)


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "mpnet", "distilbert"])
def test_config_round_trip(family):
    config = BertConfig.from_dict({"model_type": family, "pad_token_id": None, "unknown": 1})
    assert BertConfig.from_dict(config.to_dict()) == config
    assert config.pad_token_id == (0 if family in ("bert", "distilbert") else 1)


def test_gradients_of_embeddings_are_added_in_float32():
    """Sums in bfloat16 stop growing; one row of the token types has no scatter of all tokens."""
    config = BertConfig(
        vocab_size=9, hidden_size=4, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=8,
    )  # fmt: skip
    ids = jnp.ones((2, 5), jnp.int32)
    model = Bert(config, jnp.bfloat16, with_pooler=False)
    params = model.init(jax.random.key(0), ids)

    def loss(params):
        return model.apply(params, ids)[0].astype(jnp.float32).sum()

    def scatters(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name == "scatter-add":
                yield [(v.aval.shape, v.aval.dtype.name) for v in equation.invars]
            for part in equation.params.values():
                if hasattr(part, "jaxpr"):
                    yield from scatters(part.jaxpr)

    found = list(scatters(jax.make_jaxpr(jax.grad(loss))(params).jaxpr))
    assert {table[1] for table, _, _ in found} == {"float32"}
    rows = {table[0][0]: math.prod(updates[0][:-1]) for table, _, updates in found}
    assert rows[9] == 10 and rows[2] == 1  # words; token types
