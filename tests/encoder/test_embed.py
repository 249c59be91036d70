"""Tests of `SentenceEncoder`: order, batches, counts and errors."""

import itertools
import json
import shutil
from functools import partial

import jax
import numpy as np
import pytest
from grids import grid
from tokenizers import Tokenizer

from flowjax.encoder import embed
from flowjax.encoder.embed import SentenceEncoder
from flowjax.encoder.embed_rows import embed_rows
from flowjax.encoder.pooling import POOLINGS
from flowjax.errors import FlowjaxError

SENTENCES = [
    "A man plays the guitar.",
    "the cat",
    "a dog sat on the red sun and the cat ran by it in music",
    "",
    "x",
    "it is music",
]


@pytest.fixture(scope="module")
def encoder(encoder_folder):
    return SentenceEncoder.from_pretrained(encoder_folder, max_length=16, batch_size=8)


@pytest.fixture(scope="module")
def vectors(encoder):
    return encoder.encode(SENTENCES)


def test_vectors_equal_those_of_the_module(encoder, vectors, encoder_folder):
    """The reference encodes one sentence at a time: tokenizer, module, mean in NumPy."""
    from flowjax.encoder.bert import Bert
    from flowjax.encoder.tokenizer import load_tokenizer
    from flowjax.encoder.weights import load_pretrained

    params, config = load_pretrained(encoder_folder)
    ids = np.zeros((len(SENTENCES), 16), int)
    lengths = []
    for row, encoding in enumerate(load_tokenizer(encoder_folder).encode_batch(SENTENCES)):
        kept = encoding.ids if len(encoding.ids) <= 16 else [*encoding.ids[:15], 3]
        ids[row, : len(kept)] = kept
        lengths.append(len(kept))
    assert (ids[2] != 0).all()
    mask = (np.arange(16) < np.array(lengths)[:, None]).astype(int)
    first, last = Bert(config).apply({"params": params}, ids, mask, layers=(1, -1))
    both = (np.asarray(first) + np.asarray(last)) / 2
    expected = [both[i, :n].mean(0) for i, n in enumerate(lengths)]
    assert vectors.shape == (6, 32)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=1e-5)


def test_the_order_is_kept_and_one_string_is_one_vector(encoder, vectors):
    order = np.random.default_rng(0).permutation(len(SENTENCES))
    np.testing.assert_allclose(
        encoder.encode([SENTENCES[i] for i in order]), vectors[order], rtol=0, atol=1e-5
    )
    one = encoder.encode(SENTENCES[0])
    assert one.shape == (encoder.dim,)
    np.testing.assert_allclose(one, vectors[0], rtol=0, atol=1e-5)
    assert encoder.encode([]).shape == (0, 32)
    np.testing.assert_allclose(encoder.encode(tuple(SENTENCES[:2])), vectors[:2], atol=1e-5)


QUICK = (("mean", True), ("mean", False), ("cls", True))


@pytest.mark.parametrize(
    ("pooling", "special_tokens"),
    grid(itertools.product(POOLINGS, (True, False)), default=QUICK),
)
def test_packing_does_not_change_vectors(encoder_folder, pooling, special_tokens):
    """Packed sentences have the same vectors as single sentences, with every pooling."""
    encoder = SentenceEncoder.from_pretrained(
        encoder_folder, max_length=16, pooling=pooling, special_tokens=special_tokens
    )
    alone = np.stack([encoder.encode(sentence) for sentence in SENTENCES])
    np.testing.assert_allclose(encoder.encode(SENTENCES), alone, rtol=0, atol=1e-5)
    assert np.abs(alone[0] - alone[1]).max() > 1e-3


@pytest.mark.parametrize("batch_size", [1, 16])
def test_the_batch_size_does_not_matter(encoder, vectors, batch_size):
    got = encoder.encode(SENTENCES, batch_size=batch_size)
    np.testing.assert_allclose(got, vectors, rtol=0, atol=1e-5)


def test_chunks_do_not_matter(encoder, vectors, monkeypatch):
    monkeypatch.setattr(embed, "CHUNK", 4)
    parts = list(encoder.encode_stream(iter(SENTENCES)))
    assert [len(part) for part in parts] == [4, 2]
    np.testing.assert_allclose(np.concatenate(parts), vectors, rtol=0, atol=1e-5)
    assert encoder.report.sentences == 6


def test_empty_and_cut_sentences_are_counted(encoder):
    vectors = encoder.encode(["", "  \t", "the cat", "a " * 30])
    report = encoder.report
    assert (report.sentences, report.empty, report.cut) == (4, 2, 1)
    assert str(report) == (
        "4 sentences, 2 empty (encoded as special tokens only), 1 truncated to max_length"
    )
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(vectors[0], vectors[1], rtol=0, atol=1e-5)
    encoder.encode(["the cat"])
    assert str(encoder.report) == "1 sentences"


def test_normalised_vectors(encoder, vectors):
    unit = encoder.encode(SENTENCES, normalize_embeddings=True)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(unit, vectors / lengths, rtol=0, atol=1e-5)


@pytest.mark.parametrize("wrong", [3, None, b"bytes", ["nested"], float("nan")])
def test_a_value_that_is_not_a_string_is_an_error(encoder, wrong):
    kind = type(wrong).__name__
    with pytest.raises(FlowjaxError, match=f"sentences: expected strings, got {kind} at index 1"):
        encoder.encode(["a cat", wrong, 7])


@pytest.mark.parametrize("pooling", ["mean", "embeddings_last"])
def test_means_without_special_tokens_equal_pytorch(goldens, pooling):
    """The first and the last token are excluded unless the sentence has no other token."""
    from flowjax.encoder.bert import Bert
    from flowjax.encoder.weights import load_pretrained

    params, config = load_pretrained(goldens / "roberta")
    with np.load(goldens / "roberta" / "states.npz") as golden:
        run = partial(embed_rows, Bert(config), pooling, False)
        places = np.broadcast_to(np.arange(golden["ids"].shape[1]), golden["ids"].shape)
        got = jax.jit(run)(params, golden["ids"], golden["mask"], places)[:, 0]
        expected = golden[f"pooled_{pooling}_without_special"]
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)


def test_bfloat16_vectors_are_close(encoder_folder, vectors):
    half = SentenceEncoder.from_pretrained(encoder_folder, max_length=16, dtype="bfloat16")
    got = half.encode(SENTENCES)
    assert got.dtype == np.float32
    norms = np.linalg.norm(got, axis=1) * np.linalg.norm(vectors, axis=1)
    assert ((got * vectors).sum(1) / norms).min() > 0.999


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "last2avg"}, "pooling: expected one of cls, .*, got 'last2avg'"),
        ({"max_length": 25}, r"max_length: expected an integer from 3 to 24, got 25"),
        ({"max_length": 2}, "max_length: expected an integer from 3 to 24"),
        ({"batch_size": 0}, "batch_size: expected an integer of at least 1, got 0"),
        ({"dtype": "int8"}, "dtype: expected one of float32, bfloat16, got 'int8'"),
    ],
)
def test_bad_options(encoder_folder, options, message):
    with pytest.raises(FlowjaxError, match=message):
        SentenceEncoder.from_pretrained(encoder_folder, **({"max_length": 16} | options))


def test_files_that_do_not_fit_together(encoder_folder, tmp_path):
    shutil.copytree(encoder_folder, tmp_path, dirs_exist_ok=True)
    with open(tmp_path / "vocab.txt", "a", encoding="utf-8") as opened:
        opened.write("onemore\n")
    with pytest.raises(
        FlowjaxError,
        match="tokenizer: expected ids below 97, the vocab_size of the weights, got 97",
    ):
        SentenceEncoder.from_pretrained(tmp_path, max_length=16)


def test_a_tokenizer_with_other_ids_is_refused(encoder_folder, tmp_path):
    """Also if its post-processor adds them, or if it is replaced after loading."""
    encoder = SentenceEncoder.from_pretrained(encoder_folder, max_length=16)
    encoder.save(tmp_path)
    values = json.loads((tmp_path / "tokenizer.json").read_text())
    values["model"]["vocab"]["cat"] = 10**6
    (tmp_path / "tokenizer.json").write_text(json.dumps(values))
    with pytest.raises(FlowjaxError, match=r"tokenizer: expected ids below 97, .* got 1000000"):
        SentenceEncoder.from_pretrained(tmp_path, max_length=16)
    encoder.tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    with pytest.raises(FlowjaxError, match="tokenizer: expected ids below 97, got 1000000"):
        encoder.encode(["the cat"])


def test_a_model_without_pooler(goldens, encoder_folder, tmp_path):
    shutil.copytree(goldens / "distilbert", tmp_path, dirs_exist_ok=True)
    vocab = (encoder_folder / "vocab.txt").read_text("utf-8").split("\n")[:61]
    (tmp_path / "vocab.txt").write_text("\n".join(vocab), "utf-8")
    with pytest.raises(FlowjaxError, match="pooling: expected an encoder with a pooler, got"):
        SentenceEncoder.from_pretrained(tmp_path, pooling="pooler", max_length=16)


def test_roberta_s_positions_are_fewer_than_its_table(goldens, encoder_folder, tmp_path):
    shutil.copytree(goldens / "roberta", tmp_path, dirs_exist_ok=True)
    vocab = (encoder_folder / "vocab.txt").read_text("utf-8").split("\n")[:61]
    (tmp_path / "vocab.txt").write_text("\n".join(vocab), "utf-8")
    assert json.loads((tmp_path / "config.json").read_text())["max_position_embeddings"] == 40
    with pytest.raises(FlowjaxError, match="max_length: expected an integer from 3 to 38"):
        SentenceEncoder.from_pretrained(tmp_path, max_length=39)
