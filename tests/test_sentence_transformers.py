"""`Calibration`, the module of sentence-transformers; the first tests do not need torch."""

import copy
import importlib.util
import json
import pickle

import jax
import numpy as np
import pytest

from flowjax import bijectors, flows
from flowjax.encoder.embed import SentenceEncoder
from flowjax.errors import FlowjaxError
from flowjax.flows.build import build
from flowjax.sentence_transformers import Calibration, affine_weights

X = np.random.default_rng(0).normal(size=(64, 6)).astype(np.float32) @ np.diag([1, 2, 3, 1, 1, 9])
WORDS = "a man plays the guitar while rain falls on some red house near this old harbour".split()
TEXTS = [" ".join(WORDS[(i * k) % 15] for k in range(1, 4 + i % 9)) for i in range(400)]
TEXTS = list(dict.fromkeys(TEXTS))
SENTENCES = ["A man plays.", "", "Ünïcode 日本 🙂", "word " * 90, *TEXTS[:9]]


SMALL = {"glow": {"depth": 1, "width": 4}, "realnvp": {"depth": 2, "width": 4}}


def calibration(name="whitening", dim=6, **options):
    options = SMALL.get(name, {}) | options
    flow = flows.make(name, dim, **options)
    return Calibration(flow, flow.init(jax.random.key(0), X[:, :dim]))


@pytest.mark.parametrize("name", ["whitening", "standardize", "identity", "glow"])
def test_the_module_computes_the_flow_and_is_saved_with_it(tmp_path, name):
    module = calibration(name)
    expected = np.asarray(module.flow.forward(module.params, X)[0])
    np.testing.assert_allclose(module.transform(X), expected, rtol=1e-4, atol=1e-5)
    assert module.get_sentence_embedding_dimension() == 6
    module.fitted_on["data"] = "rows"
    for _ in range(2):  # sentence-transformers replaces an existing folder
        module.save(str(tmp_path / "3_Calibration"))
    loaded = Calibration.load(str(tmp_path), subfolder="3_Calibration", token=None)
    assert loaded.fitted_on == {"data": "rows"}
    for other in (loaded, pickle.loads(pickle.dumps(module)), copy.deepcopy(module)):
        assert np.array_equal(other.transform(X), module.transform(X))


def test_fewer_components_are_a_smaller_dimension():
    assert calibration(components=2).transform(X).shape == (64, 2)
    assert calibration(components=2).get_embedding_dimension() == 2


@pytest.mark.parametrize("wrong", [X[:, :5], X[0], X[None]])
def test_other_shapes_are_refused(wrong):
    with pytest.raises(FlowjaxError, match=r"sentence_embedding: expected \(n, 6\), got"):
        calibration().transform(wrong)


def test_other_flows_are_refused(tmp_path):
    flow = flows.realnvp(6, depth=2, width=4)
    with pytest.raises(FlowjaxError, match="expected a flow without a context, got width 2"):
        Calibration(flow, flow.init(jax.random.key(0), X, X[:, :2]))
    with pytest.raises(FlowjaxError, match="params: expected the parameters of this flow"):
        Calibration(flow, calibration().params)
    with pytest.raises(FlowjaxError, match="expected a saved flow, got no such folder"):
        Calibration.load(str(tmp_path), "3_Calibration")
    composed = build(bijectors.actnorm(), 6)
    module = Calibration(composed, composed.init(jax.random.key(0), X))
    with pytest.raises(FlowjaxError, match="pickle: expected the flow of a recipe"):
        pickle.dumps(module)


@pytest.mark.parametrize("name", ["whitening", "standardize", "identity"])
def test_affine_flows_have_weights(name):
    module = calibration(name)
    weights, bias = affine_weights(module.flow, module.params)
    np.testing.assert_allclose(X @ weights + bias, module.transform(X), rtol=1e-4, atol=1e-5)


def test_other_flows_are_not_affine():
    module = calibration("realnvp")
    key = iter(jax.random.split(jax.random.key(1), 99))
    noise = jax.tree.map(lambda p: p + 0.3 * jax.random.normal(next(key), p.shape), module.params)
    with pytest.raises(FlowjaxError, match=r"expected an affine flow, .*, got realnvp"):
        affine_weights(module.flow, noise)


class Encoder:
    """Encoder of another package with a truncation, like a `SentenceTransformer`."""

    truncate_dim = 2

    def encode(self, texts):
        rows = [[len(t), t.count("a"), t.count("e"), t.count(" ")] for t in texts]
        return np.array(rows, np.float32)[:, : self.truncate_dim]


def test_the_fit_ignores_a_truncation():
    encoder = Encoder()
    module = Calibration.fit(encoder, TEXTS, flow="standardize")
    assert module.flow.dim == 4 and encoder.truncate_dim == 2
    assert module.fitted_on["sentences"] == len(TEXTS)


needs_package = pytest.mark.skipif(
    importlib.util.find_spec("sentence_transformers") is None, reason="needs sentence-transformers"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A `SentenceTransformer` of the embedded encoder, with a prompt."""
    from sentence_transformers import SentenceTransformer

    folder = tmp_path_factory.mktemp("st") / "minibert"
    encoder = SentenceEncoder.from_pretrained("minibert", pooling="mean", normalize=True)
    encoder.prompts["query"] = "the question "
    encoder.save(folder)
    return SentenceTransformer(str(folder), device="cpu")


@pytest.fixture(scope="module", params=["standardize", "glow"])
def fitted(model, request):
    """`(model with the calibration, calibration)`."""
    options = {"steps": 5} if request.param == "glow" else {}
    module = Calibration.fit(model, TEXTS[:200], flow=request.param, **options)
    calibrated = copy.deepcopy(model)
    calibrated.append(module)
    return calibrated, module


@needs_package
def test_encode_is_calibrated(model, fitted):
    calibrated, module = fitted
    expected = module.transform(model.encode(SENTENCES))
    close = {"rtol": 1e-5, "atol": 1e-5}
    for size in (1, 5, 32):
        np.testing.assert_allclose(
            calibrated.encode(SENTENCES, batch_size=size), expected, **close
        )
    query = module.transform(model.encode(SENTENCES, prompt_name="query"))
    np.testing.assert_allclose(calibrated.encode_query(SENTENCES), query, **close)
    assert not np.allclose(query, expected, atol=1e-3)
    tensor = calibrated.encode(SENTENCES, convert_to_tensor=True, normalize_embeddings=True)
    unit = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(tensor.numpy(), unit, atol=1e-5)
    short = calibrated.encode(SENTENCES, truncate_dim=7)
    np.testing.assert_allclose(short, expected[:, :7], **close)
    assert calibrated.encode(SENTENCES, precision="ubinary").shape == (len(SENTENCES), 32)
    assert calibrated.encode("one").shape == (256,) == (calibrated.get_embedding_dimension(),)
    np.testing.assert_allclose(
        calibrated.similarity(tensor, tensor).numpy(), unit @ unit.T, atol=1e-4
    )


@needs_package
def test_the_saved_model_gives_the_same_vectors(fitted, tmp_path):
    from sentence_transformers import SentenceTransformer

    calibrated, module = fitted
    expected = calibrated.encode(SENTENCES)
    for _ in range(2):
        calibrated.save(str(tmp_path))
    last = json.loads((tmp_path / "modules.json").read_text())[-1]
    assert last["type"] == "flowjax.sentence_transformers.Calibration"
    with pytest.raises(ValueError, match="trust_remote_code"):
        SentenceTransformer(str(tmp_path), device="cpu")
    loaded = SentenceTransformer(str(tmp_path), device="cpu", trust_remote_code=True)
    assert np.array_equal(loaded.encode(SENTENCES), expected)
    assert loaded.prompts["query"] == "the question "
    assert loaded[-1].fitted_on == module.fitted_on
    again = pickle.loads(pickle.dumps(loaded))
    assert np.array_equal(again.encode(SENTENCES), expected)


@needs_package
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_dtypes_are_kept(fitted, dtype):
    import torch

    module = fitted[1]
    x = torch.randn(5, 256, generator=torch.Generator().manual_seed(0))
    exact = module.transform(x.numpy())
    got = module({"sentence_embedding": x.to(getattr(torch, dtype)).requires_grad_()})
    assert str(got["sentence_embedding"].dtype) == f"torch.{dtype}"
    error = np.abs(got["sentence_embedding"].float().numpy() - exact).max()
    assert error < 0.02 * np.abs(exact).max()


@needs_package
def test_an_affine_calibration_is_a_dense_module(model, fitted, tmp_path):
    from sentence_transformers import SentenceTransformer

    calibrated, module = fitted
    if module.flow.name != "standardize":
        with pytest.raises(FlowjaxError, match="expected an affine flow"):
            module.dense()
        return
    other = copy.deepcopy(model)
    other.append(module.dense())
    other.save(str(tmp_path))
    loaded = SentenceTransformer(str(tmp_path), device="cpu")
    expected = calibrated.encode(SENTENCES)
    np.testing.assert_allclose(loaded.encode(SENTENCES), expected, rtol=1e-4, atol=1e-4)
