"""`BertFlow` and `SentenceEncoder` as Python objects: digest, repr, pickling, fork, length."""

import json
import multiprocessing
import os
import pickle
import warnings

import numpy as np
import pytest

import flowjax
from flowjax import bijectors, flows
from flowjax.encoder.counts import UNKNOWN
from flowjax.parallel import forks
from flowjax.types import FlowjaxError

SENTENCES = [f"A sentence about topic number {i} of the list." for i in range(300)]
CHINESE = ["喜欢打篮球的男生", "我想买个新手机", "今天天气很好"] * 20


@pytest.fixture(scope="module")
def encoder():
    return flowjax.SentenceEncoder.from_pretrained("minibert", max_length=16)


def fitted(encoder, sentences=SENTENCES, flow="standardize", **options):
    model = flowjax.BertFlow(encoder, flow=flow, **options)
    model.fit(sentences)
    return model


@pytest.fixture(scope="module")
def model(encoder):
    return fitted(encoder)


def test_the_digest_identifies_everything_that_determines_the_vectors(encoder, model):
    """mteb returns cached scores for a model of equal name and revision."""
    assert model.digest == fitted(encoder).digest
    others = [
        fitted(encoder, SENTENCES[:290]),
        fitted(encoder, flow="whitening"),
        flowjax.SentenceEncoder.from_pretrained("minibert", max_length=8),
        flowjax.SentenceEncoder.from_pretrained("minibert", max_length=16, pooling="cls"),
        flowjax.SentenceEncoder.from_pretrained("minibert", max_length=16, normalize=True),
    ]
    digests = {each.digest for each in (model, encoder, *others)}
    assert len(digests) == 2 + len(others)
    moved = flowjax.BertFlow(others[2], flow="standardize")
    moved.params = model.params
    assert moved.digest != model.digest
    again = flowjax.SentenceEncoder.from_pretrained("minibert", max_length=16)
    assert again.digest == encoder.digest
    settings = json.loads(again.tokenizer.to_str()) | {"normalizer": None}
    again.tokenizer = type(again.tokenizer).from_str(json.dumps(settings))
    assert again.digest != encoder.digest
    again = flowjax.SentenceEncoder.from_pretrained("minibert", max_length=16)
    again.params = again.params | {"embeddings": again.params["layer_0"]}
    assert again.digest != encoder.digest
    with pytest.raises(FlowjaxError, match="expected a fitted model"):
        _ = flowjax.BertFlow(encoder, flow="standardize").digest


def test_reprs_are_one_short_line(encoder, model):
    result = flowjax.BertFlow(encoder, flow="standardize").fit(SENTENCES)
    for value, words in {
        encoder: ["SentenceEncoder('minibert'", "dim=256", "first_last", "max_length=16"],
        model: ["BertFlow(SentenceEncoder(", "flow='standardize'", "fitted)"],
        flowjax.BertFlow(encoder, flow_options={"levels": 1}): ["levels=1", "not fitted"],
    }.items():
        assert all(word in repr(value) for word in words)
        assert len(repr(value)) < 250 and "\n" not in repr(value)
    assert repr(result).startswith("FitResult(steps=") and len(repr(result)) < 400
    assert repr(pickle.loads(pickle.dumps(result))) == repr(result)


def test_pickling(encoder, model):
    for one in (encoder, model):
        one.prompts["query"] = "a "
        again = pickle.loads(pickle.dumps(one))
        assert np.array_equal(again.encode(SENTENCES[:3]), one.encode(SENTENCES[:3]))
        assert again.digest == one.digest and again.prompts == one.prompts
        one.prompts.clear()
    again = pickle.loads(pickle.dumps(model))
    assert again.fitted_on == model.fitted_on and again.encoder.location == encoder.location
    composed = flows.build(bijectors.chain(bijectors.actnorm(), bijectors.reverse()), 256)
    with pytest.raises(FlowjaxError, match="pickle: expected the flow of a recipe"):
        pickle.dumps(flowjax.BertFlow(encoder, flow=composed))


def test_an_encoder_from_a_name_names_from_pretrained():
    with pytest.raises(FlowjaxError, match=r"got 'minibert' only; .*from_pretrained"):
        flowjax.SentenceEncoder("minibert")


@pytest.mark.parametrize("value", [129, 2, -1, 0, None, "32", 32.5, True, float("nan")])
@pytest.mark.parametrize("name", ["max_length", "max_seq_length"])
def test_a_length_is_checked_whenever_it_is_set(encoder, name, value):
    with pytest.raises(FlowjaxError, match=r"^max_length: expected .*3 to 128"):
        setattr(encoder, name, value)
    with pytest.raises(FlowjaxError, match=r"^max_length: expected .*3 to 128"):
        flowjax.SentenceEncoder(
            encoder.params, encoder.config, encoder.tokenizer, max_length=value
        )
    assert encoder.max_length == encoder.max_seq_length == 16


def test_a_length_can_be_set(encoder):
    long = "word " * 100
    model = fitted(flowjax.SentenceEncoder.from_pretrained("minibert"))
    model.max_seq_length = np.int64(8)
    assert model.max_seq_length == model.encoder.max_length == 8
    short = flowjax.SentenceEncoder.from_pretrained("minibert", max_length=8)
    assert np.array_equal(model.encoder.encode(long), short.encode(long))


def test_attributes_that_are_set_later_take_effect():
    """Vectors, digest and copies follow; the first call has compiled and placed other values."""
    encoder = flowjax.SentenceEncoder.from_pretrained("minibert", max_length=16)
    before, digest = encoder.encode(SENTENCES[:2]), encoder.digest
    cls = flowjax.SentenceEncoder.from_pretrained("minibert", max_length=16, pooling="cls")
    encoder.pooling = "cls"
    assert np.array_equal(encoder.encode(SENTENCES[:2]), cls.encode(SENTENCES[:2]))
    assert encoder.digest == cls.digest != digest
    encoder.pooling = "max"
    with pytest.raises(FlowjaxError, match="pooling: expected one of"):
        encoder.encode(SENTENCES[:2])
    encoder.pooling, encoder.params = "first_last", dict(encoder.params)
    encoder.params["layer_1"] = encoder.params["layer_0"]
    assert not np.allclose(encoder.encode(SENTENCES[:2]), before, atol=1e-3)


@pytest.mark.parametrize("call", ["encode", "embed", "fit", "log_prob"])
def test_a_lone_surrogate_names_the_sentence(model, call):
    sentences = ["fine"] * 99 + ["cut \ud83d"] + ["fine"] * 3
    with pytest.raises(FlowjaxError, match=r"^sentences: expected .*'.ud83d' at index 99$"):
        getattr(model, call)(sentences)


def test_unknown_tokens_are_counted_and_reported(encoder, tmp_path):
    with pytest.warns(
        UserWarning, match=r"\d+ % of the tokens are unknown to .* minibert"
    ) as seen:
        encoder.encode(CHINESE)
    assert {w.filename for w in seen} == {__file__}  # the user's line
    report = encoder.report
    assert report.unknown > UNKNOWN * report.tokens and f"{report.unknown} of" in str(report)
    for out in (None, tmp_path):
        model = flowjax.BertFlow(encoder, flow="standardize")
        with pytest.warns(UserWarning, match="tokens are unknown") as seen:
            model.fit(CHINESE + SENTENCES, out=out)
        assert {w.filename for w in seen} == {__file__}  # the user's line
        facts = model.fitted_on
        assert 0 < facts["unknown_tokens"] < facts["tokens"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.encode([*SENTENCES, "One 婚礼."])
    assert 0 < encoder.report.unknown < UNKNOWN * encoder.report.tokens


def test_a_process_that_was_forked_after_a_model_was_loaded(monkeypatch, encoder):
    monkeypatch.setattr(forks, "_forked", True)
    with pytest.raises(FlowjaxError, match="a process that was started by spawn") as caught:
        encoder.encode("one")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_forked_child_raises_instead_of_hanging(model):
    queue = multiprocessing.get_context("fork").SimpleQueue()
    pickled = pickle.dumps(model)  # as a pool sends its arguments

    def child():
        sent = pickle.loads(pickled)
        for call in (model.encode, model.log_prob, model.encoder.encode, model.fit, sent.encode):
            try:
                call(["one"])
                queue.put("no error")
            except FlowjaxError as error:
                queue.put(str(error))
        try:
            model.transform(np.zeros((1, 256), np.float32))
        except FlowjaxError as error:
            queue.put(str(error))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(60)
    alive = process.is_alive()
    process.kill()
    assert not alive
    for _ in range(6):
        assert "spawn" in queue.get()
