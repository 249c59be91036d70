"""Objectives against sentence-transformers, on one and on eight devices, and gradient caching."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.traverse_util import flatten_dict
from grids import grid

from flowjax.data.shuffle import batches_rows
from flowjax.encoder.bert import Bert, BertConfig
from flowjax.encoder.weights import load_pretrained, names
from flowjax.finetuning.encode import make_encode
from flowjax.finetuning.mnr import mnr
from flowjax.finetuning.nli import nli
from flowjax.finetuning.objective import Objective, make_optimizer, training_loss
from flowjax.finetuning.simcse import simcse
from flowjax.finetuning.source import PackedExamples, TokenTable
from flowjax.parallel import devices
from flowjax.training import init_state, make_step, train

GOLDENS = Path(__file__).parents[1] / "goldens"
STEPS, BATCH, DIM = 3, 6, 32
POOLING = {"nli": "mean", "mnr": "mean", "simcse": "cls"}


@pytest.fixture(scope="module")
def golden():
    return dict(np.load(GOLDENS / "finetune.npz"))


@pytest.fixture(scope="module")
def encoder():
    params, config = load_pretrained(GOLDENS / "encoder" / "bert")
    return {k: v for k, v in params.items() if k != "pooler"}, config


@pytest.fixture(scope="module")
def tiny():
    config = BertConfig(61, DIM, 1, 2, 16, max_position_embeddings=16, initializer_range=0.3)
    model = Bert(config, with_pooler=False)
    return model.init(jax.random.key(0), jnp.zeros((1, 4), int))["params"], config


def table_of(golden):
    return TokenTable(golden["ids"], np.concatenate([[0], np.cumsum(golden["sizes"])]))


def sentences_of(name, count):
    first = 3 * np.arange(count)
    columns = {"nli": (0, 1), "mnr": (0, 1, 2), "simcse": (0, 0)}[name]
    return np.stack([first + c for c in columns], axis=1)


def make(name, config, golden, *, group, parts=1, gather=lambda rows: rows):
    views = 3 if name == "mnr" else 2
    model = Bert(config, with_pooler=False)
    encode = make_encode(model, POOLING[name], views=views, group=group, parts=parts)
    if name == "mnr":
        return mnr(encode, gather=gather)
    made = nli(encode, DIM) if name == "nli" else simcse(encode, DIM, gather=gather)
    head = {k: jnp.asarray(golden[f"{name}.{k}"]) for k in ("kernel", "bias")}
    assert jax.tree.map(jnp.shape, head) == jax.tree.map(jnp.shape, made.head)
    return Objective(made.loss, head)


def examples(name, golden, *, group, batch_size=BATCH, steps=STEPS):
    count = len(golden["labels"])
    extra = {"label": golden["labels"].astype(np.int32), "has_negative": np.ones(count, bool)}
    options = dict(max_length=16, batch_size=batch_size, steps=steps, seed=0)
    return PackedExamples(
        table_of(golden), sentences_of(name, count), extra, group=group, **options
    )


def flat(params, config, head):
    """The parameters under the names of PyTorch."""
    found = flatten_dict(params["encoder"], sep="/")
    result = {}
    for torch_name, (path, _) in names(config).items():
        if path in found:
            value = np.asarray(found[path])
            result[f"bert.{torch_name}"] = value.T if path.endswith("kernel") else value
    if head:
        result["head.weight"] = np.asarray(params["head"]["kernel"]).T
        result["head.bias"] = np.asarray(params["head"]["bias"])
    return result


def some(values):
    return values.ravel()[:: values.size // 100 + 1]


@pytest.mark.parametrize("name", POOLING)
def test_gradients_and_three_steps_equal_sentence_transformers(name, golden, encoder):
    params, config = encoder
    objective = make(name, config, golden, group=BATCH)
    start = {"encoder": params, "head": objective.head}
    source = examples(name, golden, group=BATCH)
    batches = [source.read(np.arange(i * BATCH, (i + 1) * BATCH)) for i in range(STEPS)]

    value = jax.jit(jax.value_and_grad(lambda p, b: objective.loss(p, b, None)[0]))
    loss, grads = value(start, batches[0])
    np.testing.assert_allclose(loss, golden[f"{name}.loss"][0], atol=1e-5)
    for key, got in flat(grads, config, objective.head).items():
        np.testing.assert_allclose(some(got), golden[f"{name}.grad.{key}"], atol=1e-5, err_msg=key)

    optimizer = make_optimizer(1e-3, steps=STEPS, warmup_steps=1, weight_decay=0.01, clip_norm=1.0)
    step = make_step(training_loss(objective, dropout=False), optimizer, seed=0)
    call = devices.data_parallel(step, devices.make_mesh(1))
    stacked = {k: np.stack([b[k] for b in batches]) for k in batches[0]}
    state, metrics = call(init_state(start, optimizer), (None, STEPS), stacked)
    np.testing.assert_allclose(metrics["loss"], golden[f"{name}.loss"], atol=1e-5)
    for key, got in flat(state.params, config, objective.head).items():
        # The bias of the keys has no effect on a softmax: its gradient is a rounding error.
        if "key.bias" not in key:
            np.testing.assert_allclose(
                some(got), golden[f"{name}.last.{key}"], atol=1e-5, err_msg=key
            )


# `nli` compares no sentences of different devices.
@pytest.mark.parametrize("name", grid(["nli", "mnr", "simcse"], slow=["nli"]))
def test_eight_devices_with_cached_gradients_equal_one_device(name, golden, tiny):
    params, config = tiny
    sgd = optax.sgd(0.1)  # Adam would amplify rounding errors of tiny gradients

    def run(count, parts):
        group = 16 // count // parts
        objective = make(name, config, golden, group=group, parts=parts, gather=devices.all_rows)
        source = examples(name, golden, group=group, batch_size=16, steps=2)
        state = init_state({"encoder": params, "head": objective.head}, sgd)
        losses = []
        state = train(
            training_loss(objective, dropout=False),
            sgd,
            state,
            source,
            steps=2,
            batch_size=16,
            seed=0,
            mesh=devices.make_mesh(count),
            steps_per_call=2,
            on_chunk=lambda chunk, _: losses.extend(chunk.metrics["loss"].tolist()),
        )
        return losses, devices.to_host(state.params)

    one, eight = run(1, 1), run(8, 2)
    assert one[0][1] < one[0][0] or name != "simcse"
    for a, b in zip(*map(jax.tree.leaves, (one, eight)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_missing_hard_negative_is_no_candidate(golden, tiny):
    params, config = tiny
    objective = make("mnr", config, golden, group=4)
    batch = examples("mnr", golden, group=4, batch_size=4).read(np.arange(4))
    start = {"encoder": params, "head": {}}
    loss = jax.jit(lambda b: objective.loss(start, b, None)[0])
    none = loss(batch | {"has_negative": np.zeros(4, bool)})
    pairs = mnr(
        make_encode(Bert(config, with_pooler=False), "mean", views=2, group=4),
        gather=lambda rows: rows,
        views=2,
    )
    two = examples("nli", golden, group=4, batch_size=4).read(np.arange(4))
    np.testing.assert_allclose(none, pairs.loss(start, two, None)[0], rtol=1e-5)
    assert loss(batch) > none


def test_two_dropout_passes_differ_and_depend_on_the_key_only(golden, tiny):
    params, config = tiny
    encode = make_encode(Bert(config, with_pooler=False), "mean", views=2, group=3, parts=2)
    batch = examples("simcse", golden, group=3).read(np.arange(6))
    a, b = (jax.jit(encode)(params, batch, jax.random.key(i)) for i in (0, 1))
    assert abs(a[0] - a[1]).max() > 0.01 and abs(a - b).max() > 0.01
    np.testing.assert_array_equal(a, jax.jit(encode)(params, batch, jax.random.key(0)))
    plain = jax.jit(lambda p, b: encode(p, b, None))(params, batch)
    np.testing.assert_allclose(plain[0], plain[1], atol=1e-5)


def test_gradient_caching_needs_the_memory_of_one_part(golden, tiny):
    params, config = tiny

    def temporary(parts):
        objective = make("mnr", config, golden, group=64 // parts, parts=parts)
        source = examples("mnr", golden, group=64 // parts, batch_size=64, steps=1)
        batch = source.read(batches_rows(0, 1, 64, source.size, seed=0)[0])
        gradient = jax.grad(lambda p, b: objective.loss(p, b, None)[0])
        compiled = jax.jit(gradient).lower({"encoder": params, "head": {}}, batch).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporary(8) < 0.4 * temporary(1)
