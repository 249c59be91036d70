"""`BertFlow`: fit, encode, save and load; errors."""

import json
import shutil

import jax
import numpy as np
import optax
import pytest
import scipy.stats

import flowjax
from flowjax import bijectors, flows
from flowjax.commands.report_inputs import reported_model
from flowjax.compare import NO_MOMENTS, calibrations, compare
from flowjax.data.sample import sentences_file
from flowjax.data.sentences import read_sentences
from flowjax.evaluation import Pairs, PairTask
from flowjax.types import FlowjaxError

SMALL = {"levels": 1, "depth": 1, "width": 8}


@pytest.fixture(scope="module")
def sentences():
    return read_sentences(sentences_file())[0][:600]


@pytest.fixture(scope="module")
def encoder():
    return flowjax.SentenceEncoder.from_pretrained("minibert", max_length=32)


@pytest.fixture(scope="module")
def model(encoder, sentences):
    model = flowjax.BertFlow(encoder, flow="glow", flow_options=SMALL)
    model.fit(sentences, steps=30)
    return model


def test_the_encoder_stays_frozen(encoder, model):
    again = flowjax.SentenceEncoder.from_pretrained("minibert")
    for a, b in zip(jax.tree.leaves(encoder.params), jax.tree.leaves(again.params)):
        assert np.array_equal(a, b)


def test_columns_that_need_the_moments_are_not_dropped_silently(encoder):
    model = flowjax.BertFlow(encoder, flow="whitening")
    model.fit([f"A sentence about topic {i}." for i in range(300)])
    pairs = Pairs(("a b", "c", "d"), ("a", "c d", "e"), [5.0, 2.0, 0.0])
    task = PairTask("mine", {"test": {"mine": pairs}}, notes=("first",))
    assert compare(model, [task])["notes"] == {"mine": ["first"]}
    model.moments = None
    found = compare(model, [task])
    assert list(found["results"]["mine"]["test"]) == ["plain", "whitening"]
    assert found["notes"] == {"mine": ["first", NO_MOMENTS]}


def test_encode_is_the_flow_of_the_plain_vectors(model, encoder, sentences):
    plain = encoder.encode(sentences[:5])
    z, _ = model.flow.forward(model.params, plain)
    vectors = model.encode(sentences[:5])
    assert vectors.shape == (5, 256) and vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, z, atol=1e-4)
    np.testing.assert_allclose(model.encode(sentences[0]), vectors[0], atol=1e-3)
    unit = model.encode(sentences[:5], normalize_embeddings=True)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-5)
    back, _ = model.flow.inverse(model.params, vectors)
    np.testing.assert_allclose(back, plain, atol=1e-3)


def test_log_prob_is_the_density_of_the_plain_vectors(model, encoder, sentences):
    plain = encoder.encode(sentences)
    expected = model.flow.log_prob(model.params, plain[:4])
    np.testing.assert_allclose(model.log_prob(sentences[:4]), expected, rtol=1e-3)
    gaussian = flowjax.BertFlow(encoder, flow="standardize")
    gaussian.fit_vectors(plain)
    expected = scipy.stats.norm.logpdf(plain, plain.mean(0), plain.std(0)).sum(1)
    scores = gaussian.log_prob(sentences)
    assert scores.shape == (600,) and np.std(expected) > 10
    np.testing.assert_allclose(scores, expected, atol=0.3)
    assert gaussian.log_prob(sentences[0]) == pytest.approx(expected[0], abs=0.3)


def test_a_new_fit_replaces_the_scores(encoder, sentences):
    model, vectors = flowjax.BertFlow(encoder, flow="standardize"), encoder.encode(sentences[:100])
    model.fit_vectors(vectors)
    assert model.scores is not None
    model.fit_vectors(vectors, measured=False)
    assert model.scores is None


def test_samples_depend_on_the_seed(encoder, sentences, tmp_path):
    model = flowjax.BertFlow(encoder, flow="standardize", seed=3)
    model.fit_vectors(encoder.encode(sentences[:100]))
    again = flowjax.BertFlow.load(model.save(tmp_path / "model"))
    first = model.sample_vectors(4)
    np.testing.assert_array_equal(again.sample_vectors(4), first)
    np.testing.assert_array_equal(model.sample_vectors(4, seed=3), first)
    assert not np.array_equal(model.sample_vectors(4, seed=0), first)


def test_similarity(model, sentences):
    table = model.similarity(sentences[:3], sentences[:2])
    assert table.shape == (3, 2)
    np.testing.assert_allclose(np.diagonal(table), 1, atol=1e-5)
    assert model.similarity(sentences[0], sentences[1]) == pytest.approx(table[0, 1], abs=1e-4)
    vectors = model.encode(sentences[:3])
    np.testing.assert_allclose(model.similarity(vectors, vectors[:2]), table, atol=1e-4)


def test_save_and_load_are_bit_equal(model, sentences, tmp_path):
    model.save(tmp_path / "m")
    loaded = flowjax.BertFlow.load(tmp_path / "m")
    for a, b in zip(jax.tree.leaves(model.params), jax.tree.leaves(loaded.params)):
        assert np.array_equal(a, b)
    assert np.array_equal(loaded.encode(sentences[:5]), model.encode(sentences[:5]))
    assert loaded.fitted_on == json.loads(json.dumps(model.fitted_on))
    assert np.array_equal(loaded.moments.m2, model.moments.m2)
    card = (tmp_path / "m" / "README.md").read_text()
    assert "glow on minibert" in card and "sentences: 600" in card
    with pytest.raises(ValueError, match="expected a new folder"):
        model.save(tmp_path / "m")
    model.save(tmp_path / "m", overwrite=True)


def test_a_folder_of_an_earlier_format_is_refused(model, tmp_path):
    file = model.save(tmp_path / "m") / "config.json"
    file.write_text(file.read_text("utf-8").replace('"format": 3', '"format": 2'), "utf-8")
    with pytest.raises(FlowjaxError, match="expected format 3, got 2; fit the model again"):
        flowjax.BertFlow.load(tmp_path / "m")


def test_a_local_encoder_is_saved_with_the_model(model, encoder, sentences, tmp_path):
    encoder.save(tmp_path / "bert")
    mine = flowjax.BertFlow(tmp_path / "bert", flow="whitening", max_length=32)
    mine.fit(sentences)
    mine.save(tmp_path / "m")
    vectors = mine.encode(sentences[:3])
    shutil.rmtree(tmp_path / "bert")
    np.testing.assert_array_equal(
        flowjax.BertFlow.load(tmp_path / "m").encode(sentences[:3]), vectors
    )


def test_a_flow_object(encoder, sentences, tmp_path):
    flow = flows.realnvp(256, depth=2, width=4)
    model = flowjax.BertFlow(encoder, flow=flow)
    model.fit(sentences[:200], steps=3)
    model.save(tmp_path / "m")
    for given in (flow, None):  # a recipe needs no flow
        loaded = flowjax.BertFlow.load(tmp_path / "m", flow=given)
        assert loaded.flow_options == model.flow_options == {"depth": 2, "width": 4}
    assert np.array_equal(loaded.encode(sentences[:2]), model.encode(sentences[:2]))
    with pytest.raises(ValueError, match="flow: expected dim 256"):
        flowjax.BertFlow(encoder, flow=flows.realnvp(8))


def test_whitening_with_fewer_components(encoder, sentences):
    model = flowjax.BertFlow(encoder, flow="whitening", flow_options={"components": 16})
    model.fit(sentences)
    z = model.encode(sentences)
    assert z.shape == (600, 16)
    np.testing.assert_allclose(np.cov(z.T, bias=True), np.eye(16), atol=0.02)


def test_calibrations_are_fitted_on_the_same_sentences(model, encoder, sentences):
    plain = encoder.encode(sentences)
    maps = calibrations(model)
    assert list(maps) == ["plain", "standardize", "whitening", "glow"]
    z = maps["standardize"](plain)
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(z.std(0), 1, atol=1e-2)
    kept = np.cov(maps["whitening"](plain).T, bias=True)[:100, :100]
    np.testing.assert_allclose(kept, np.eye(100), atol=0.05)


def test_fit_in_a_run_folder_resumes(encoder, sentences, tmp_path):
    def run(out, steps):
        model = flowjax.BertFlow(encoder, flow="glow", flow_options=SMALL)
        model.fit(sentences, out=out, steps=steps)
        return model

    whole = run(tmp_path / "a", 20)
    run(tmp_path / "b", 8)
    resumed = run(tmp_path / "b", 20)
    for a, b in zip(jax.tree.leaves(whole.params), jax.tree.leaves(resumed.params)):
        assert np.array_equal(a, b)
    with pytest.raises(ValueError, match=r"use another folder|--overwrite"):
        flowjax.BertFlow(encoder, flow="glow").fit(sentences[:50], out=tmp_path / "b")


def test_empty_sentences_are_skipped_and_counted(encoder, caplog):
    model = flowjax.BertFlow(encoder, flow="standardize")
    model.fit(["One.", "", "Two.", "  ", "Three."])
    assert model.fitted_on["sentences"] == 3 and model.fitted_on["empty"] == 2
    assert "2 empty" in caplog.text


def test_the_likelihood_of_the_fit_is_stored(encoder, sentences):
    model = flowjax.BertFlow(encoder, flow="whitening")
    result = model.fit(sentences)
    facts = model.fitted_on
    assert facts["sentences"] == facts["examples"] == 600 and facts["steps"] == 0
    assert facts["nll_nats"] == result.likelihood["nll_nats"]
    assert facts["nll_nats"] == pytest.approx(-model.log_prob(sentences).mean(), abs=0.1)
    model.fit_vectors(encoder.encode(sentences[:300]))  # without steps and epochs
    assert "sentences" not in model.fitted_on and model.fitted_on["examples"] == 300
    assert "Likelihood" in dict(reported_model(model).provenance)


def test_an_optimizer_excludes_the_arguments_of_the_default_one(encoder):
    model, sgd = flowjax.BertFlow(encoder, flow="glow"), optax.sgd(1e-3)
    for name, value in {"learning_rate": 1e-2, "weight_decay": 0.1, "clip_norm": None}.items():
        with pytest.raises(FlowjaxError, match="optimizer: expected None if learning_rate"):
            model.fit(["One.", "Two."], optimizer=sgd, steps=1, **{name: value})


def test_a_composed_flow_is_given_to_load(encoder, sentences, tmp_path):
    flow = flows.build(bijectors.chain(bijectors.actnorm(), bijectors.reverse()), 256)
    model = flowjax.BertFlow(encoder, flow=flow)
    model.fit(sentences[:100], steps=2)
    model.save(tmp_path / "m")
    with pytest.raises(FlowjaxError, match="is composed or has options"):
        flowjax.BertFlow.load(tmp_path / "m")
    loaded = flowjax.BertFlow.load(tmp_path / "m", flow=flow)
    assert np.array_equal(loaded.encode(sentences[:2]), model.encode(sentences[:2]))


def test_clear_errors(encoder, tmp_path):
    model = flowjax.BertFlow(encoder, flow="glow")
    with pytest.raises(ValueError, match="call fit or load"):
        model.encode(["One."])
    with pytest.raises(ValueError, match=r"embeddings: expected \(n, 256\) from encoder minibert"):
        model.fit_vectors(np.ones((10, 1024)), steps=1)
    with pytest.raises(ValueError, match="expected a model folder"):
        flowjax.BertFlow.load(tmp_path)
    with pytest.raises(ValueError, match="expected strings, got int at index 1"):
        model.fit(["One.", 2])
    with pytest.raises(ValueError, match="flow: expected one of"):
        flowjax.BertFlow(encoder, flow="glowing")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json: expected JSON"):
        flowjax.BertFlow.load(tmp_path)


def test_weights_and_any_number_of_devices():
    """Vectors of weight 0 have no effect; the default batch size is adapted to 3 devices."""
    vectors = np.random.default_rng(0).normal(size=(600, 256)).astype(np.float32)
    many = np.concatenate([vectors, vectors[:50] + 9])
    one, other = (flowjax.BertFlow(flow="whitening") for _ in range(2))
    one.fit_vectors(vectors)
    other.fit_vectors(many, weights=np.repeat([1, 0], [600, 50]))
    np.testing.assert_allclose(one.transform(many), other.transform(many), atol=1e-2)
    small = flowjax.BertFlow(flow=flows.build(bijectors.actnorm(), 256))
    assert small.fit(["A man plays.", "It rains."] * 200, devices=3, steps=1).steps == 1
