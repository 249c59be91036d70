"""Vectors of sentence-transformers and of flowjax are equal for the same folder.

`FLOWJAX_ST_MODELS` can name further folders of real models, separated by colons.
"""

import importlib.util
import os

import numpy as np
import pytest

from flowjax.encoder.embed import SentenceEncoder

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("sentence_transformers") is None, reason="needs sentence-transformers"
)
SENTENCES = [
    *("A man plays the guitar.", "the cat", "", " ", "a", "UPPER Lower"),
    *("\n tabs\tand\u00a0 more ", "Ünïcödé façade — 日本語 🙂🏽", "zero\u200bwidth e\u0301"),
    *("[CLS] [SEP] [MASK] [PAD]", "a dog ran by the red sun " * 40, "x" * 300),
    *("\uff11\uff12 \ufb01 ½", "\x00\x01 control", "don't \u2014 won\u2019t"),
]
REAL = [path for path in os.environ.get("FLOWJAX_ST_MODELS", "").split(":") if path]


def check(folder, **prompts):
    from sentence_transformers import SentenceTransformer

    # flowjax computes in float32, also for weights in float16.
    peer = SentenceTransformer(str(folder), device="cpu").float()
    encoder = SentenceEncoder.from_pretrained(folder)
    assert encoder.dim == peer.get_embedding_dimension()
    for options in ({}, {"prompt": "a dog: "}, {"prompt": ""}, *prompts.get("options", ())):
        expected = peer.encode(SENTENCES, **options)
        np.testing.assert_allclose(encoder.encode(SENTENCES, **options), expected, atol=1e-5)
    for name in ("encode_query", "encode_document"):
        expected = getattr(peer, name)(SENTENCES)
        np.testing.assert_allclose(getattr(encoder, name)(SENTENCES), expected, atol=1e-5)
    options = {"normalize_embeddings": True, "truncate_dim": 3}
    expected = peer.encode(SENTENCES, **options)
    np.testing.assert_allclose(encoder.encode(SENTENCES, **options), expected, atol=1e-5)


@pytest.mark.parametrize("folder", REAL)
def test_real_models(folder):
    check(folder)


@pytest.mark.filterwarnings("ignore:.*tokens are unknown")
@pytest.mark.parametrize(
    ("pooling", "last", "options"),
    [
        ("mean", "", {}),
        ("cls", "normalize", {"max_seq_length": 9}),
        ("mean", "tanh", {"max_seq_length": 3, "prompts": {"query": "the cat: "}}),
        ("cls", "identity", {"do_lower_case": True}),
        ("mean", "all", {"prompts": {"query": "by ", "document": "it "}, "default": "query"}),
        ("mean", "normalize", {"prompts": {"x": "the "}, "default": "x"}),
    ],
)
def test_folders_of_sentence_transformers(encoder_folder, tmp_path, pooling, last, options):
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import (
        Dense,
        Normalize,
        Pooling,
        Transformer,
    )

    options = dict(options)
    prompts, default = options.pop("prompts", {}), options.pop("default", None)
    transformer = Transformer(str(encoder_folder), **options)
    modules = [transformer, Pooling(transformer.get_embedding_dimension(), pooling)]
    torch.manual_seed(0)
    if last in ("tanh", "all"):
        modules.append(Dense(32, 7))
    if last in ("identity", "all"):
        width = 7 if last == "all" else 32
        modules.append(Dense(width, 5, bias=False, activation_function=torch.nn.Identity()))
    if last in ("normalize", "all"):
        modules.append(Normalize())
    model = SentenceTransformer(
        modules=modules, prompts=prompts, default_prompt_name=default, device="cpu"
    )
    model.save(str(tmp_path))
    check(tmp_path, options=[{"prompt_name": name} for name in prompts])


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_folders_of_flowjax(tmp_path, pooling):
    encoder = SentenceEncoder.from_pretrained("minibert", pooling=pooling, max_length=40)
    encoder.prompts["query"] = "one "
    encoder.default_prompt_name = "query"
    encoder.save(tmp_path)
    check(tmp_path, options=[{"prompt_name": "query"}])
