"""Tests of the interface for sentence-transformers and mteb."""

import importlib.util
import sys

import numpy as np
import pytest

from flowjax.encoder.embed import SentenceEncoder
from flowjax.encoder.precision import PRECISIONS, quantize
from flowjax.errors import FlowjaxError

A = ["the cat", "a dog ran", "music is it", "by the sun"]
B = ["a cat", "the dog ran by", "it is red", "a man plays"]
SCORES = [4.0, 3.5, 1.0, 0.0]


@pytest.fixture(scope="module")
def encoder(encoder_folder):
    return SentenceEncoder.from_pretrained(encoder_folder, max_length=16)


def needs(*packages):
    missing = [p for p in packages if importlib.util.find_spec(p) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


def test_inputs_of_both_packages(encoder):
    expected = encoder.encode(A)
    batches = [{"text": A[:3], "id": [1, 2, 3]}, {"text": A[3:]}]
    for inputs in (tuple(A), np.array(A), iter(A), batches, [{"text": text} for text in A]):
        np.testing.assert_allclose(encoder.encode(inputs), expected, rtol=0, atol=1e-5)
    got = encoder.encode(
        inputs=A, task_metadata=object(), hf_split="test", hf_subset="default", prompt_type=None
    )
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("wrong", [None, 5, 2.5, b"text", {"text": ["a"]}, np.array("a cat")])
def test_other_inputs_are_refused_in_one_line(encoder, wrong):
    """Also a dict, which would embed its keys, and bytes, which are integers."""
    with pytest.raises(FlowjaxError, match=r"^sentences: expected ") as caught:
        encoder.encode(wrong)
    assert type(wrong).__name__ in str(caught.value) and "\n" not in str(caught.value)


def test_prompts(encoder):
    encoder.prompts["query"] = "the "
    try:
        expected = encoder.encode("the cat")
        for got in (
            encoder.encode("cat", prompt="the "),
            encoder.encode("cat", prompt_name="query"),
            encoder.encode_query("cat"),
        ):
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)
        np.testing.assert_allclose(encoder.encode_document("the cat"), expected, atol=1e-5)
        with pytest.raises(FlowjaxError, match="prompt_name: expected one of query, got 'no'"):
            encoder.encode("cat", prompt_name="no")
    finally:
        encoder.prompts.clear()


def test_vectors_are_truncated_before_normalisation(encoder):
    whole = encoder.encode(A)
    assert np.array_equal(encoder.encode(A, truncate_dim=8), whole[:, :8])
    unit = encoder.encode(A, truncate_dim=8, normalize_embeddings=True)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)


def test_similarities(encoder):
    a, b = encoder.encode(A), encoder.encode(B)
    table = encoder.similarity(a, b)
    assert table.shape == (4, 4)
    for left, right in ((A, B), (list(a), list(b)), (A, b)):
        np.testing.assert_allclose(encoder.similarity(left, right), table, atol=1e-5)
    np.testing.assert_allclose(encoder.similarity_pairwise(a, b), np.diagonal(table), atol=1e-6)
    assert encoder.similarity(A[0], B[0]) == pytest.approx(table[0, 0], abs=1e-5)
    assert encoder.similarity(a[0], b).shape == (1, 4)
    with pytest.raises(FlowjaxError, match="embeddings2: expected 4 vectors, got 2"):
        encoder.similarity_pairwise(a, b[:2])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_precisions_keep_the_order(precision):
    vectors = np.random.default_rng(0).standard_normal((50, 16)).astype(np.float32)
    vectors[0, :3] = 0  # no positive number
    got = quantize(vectors, precision)
    if precision.endswith("binary"):
        bits = np.unpackbits(
            (got.astype(np.int16) + 128 * (precision == "binary")).astype(np.uint8)
        )
        assert np.array_equal(bits.reshape(50, 16), vectors > 0)
    else:
        assert str(got.dtype) == precision
        order = np.argsort(vectors[:, 0])
        assert (np.diff(got[order, 0].astype(float)) >= 0).all()
    assert quantize(vectors[:0], precision).shape[0] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "int4"}, "precision: expected one of float32, .*, got 'int4'"),
        ({"precision": "int8", "sentences": "one"}, "expected at least two vectors for 'int8'"),
        ({"output_value": "token_embeddings"}, "output_value: expected one of sentence_embedding"),
        ({"truncate_dim": 33}, "truncate_dim: expected 1 to 32, got 33"),
        ({"batch_size": 0}, "batch_size: expected an integer of at least 1, got 0"),
        ({"batchsize": 3}, r"encode: expected known arguments, got the unknown \['batchsize'\]"),
    ],
)
def test_bad_arguments(encoder, options, message):
    with pytest.raises(FlowjaxError, match=message):
        encoder.encode(**{"sentences": A} | options)


def test_tensors_need_torch(encoder, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(FlowjaxError, match="convert_to_tensor: expected an installed torch"):
        encoder.encode(A, convert_to_tensor=True)


@needs("sentence_transformers")
@pytest.mark.parametrize("precision", [None, *PRECISIONS])
def test_sentence_transformers_evaluator(encoder, precision):
    from sentence_transformers.evaluation import EmbeddingSimilarityEvaluator
    from sentence_transformers.util.quantization import quantize_embeddings

    evaluator = EmbeddingSimilarityEvaluator(A, B, SCORES, precision=precision, write_csv=False)
    assert np.isfinite(evaluator(encoder)["spearman_cosine"])
    assert encoder.model_card_data.metrics[-1]["evaluator"] == "EmbeddingSimilarityEvaluator"
    if precision:
        expected = quantize_embeddings(encoder.encode(A), precision)
        assert np.array_equal(encoder.encode(A, precision=precision), expected)
    tensor = encoder.encode(A, convert_to_tensor=True)
    assert type(encoder.similarity(tensor, tensor)).__name__ == "Tensor"


@needs("mteb")
def test_mteb_accepts_the_encoder(encoder):
    from mteb.models.models_protocols import EncoderProtocol

    assert isinstance(encoder, EncoderProtocol)
    assert encoder.mteb_model_meta.embed_dim == 32
