"""Every option of an encoder reaches saved models, saved encoders, pickles, digests and stores."""

import pickle

import jax.numpy as jnp
import numpy as np
import pytest
from grids import grid

from flowjax import BertFlow, SentenceEncoder
from flowjax.data.sentences import open_source
from flowjax.data.store import OtherStore
from flowjax.encoder.corpus import embed_in_store
from flowjax.encoder.pooling import POOLINGS, pool_packed
from flowjax.encoder.projection import Projection
from flowjax.encoder.resolve import Location

TEXTS = ["the cat", "a dog ran by the sun", "music is it", "a man plays guitar", "it is red"] * 8
IDENTITY = "torch.nn.modules.linear.Identity"
DENSE = (Projection(np.eye(5, 32, dtype=np.float32), np.ones(5, np.float32), IDENTITY),)
OPTIONS = {
    **{f"pooling {name}": {"pooling": name} for name in POOLINGS if name != "first_last"},
    "max_length": {"max_length": 4},
    "special_tokens": {"special_tokens": False},
    "normalize": {"normalize": True},
    "dtype": {"dtype": "bfloat16"},
    "dense": {"dense": DENSE},
    "normalized dense": {"dense": DENSE, "normalize": True},
    "prompt": {"prompt": "the red "},
}


def set_options(encoder, dense=(), prompt="", **options):
    """Sets the options that are attributes only."""
    encoder.dense = dense
    if prompt:
        encoder.prompts["mine"] = prompt
        encoder.default_prompt_name = "mine"
    return encoder


def load(place, option):
    known = {k: v for k, v in OPTIONS[option].items() if k not in ("dense", "prompt")}
    encoder = SentenceEncoder.from_pretrained(place, **({"max_length": 16} | known))
    return set_options(encoder, **OPTIONS[option])


@pytest.fixture(scope="module")
def default(encoder_folder):
    encoder = SentenceEncoder.from_pretrained(encoder_folder, max_length=16)
    return encoder, encoder.encode(TEXTS)


SLOW = ("pooling last2", "pooling embeddings_last", "normalized dense")


@pytest.mark.parametrize("option", grid(OPTIONS, slow=SLOW))
def test_every_option_is_saved_and_identifies_the_vectors(
    option, default, encoder_folder, tmp_path, monkeypatch
):
    encoder = load(encoder_folder, option)
    vectors = encoder.encode(TEXTS)
    plain, other = default
    assert other.shape != vectors.shape or np.abs(vectors - other).max() > 1e-4
    assert encoder.digest != plain.digest

    again = pickle.loads(pickle.dumps(encoder))
    assert np.array_equal(again.encode(TEXTS), vectors) and again.digest == encoder.digest
    if option != "dtype":  # an option of the computation, which no file of an encoder has
        encoder.save(tmp_path / "encoder")
        again = SentenceEncoder.from_pretrained(tmp_path / "encoder")
        assert np.array_equal(again.encode(TEXTS), vectors) and again.digest == encoder.digest

    def hub(name, revision):
        return Location(encoder_folder, by_name=True, revision="c0ffee")

    monkeypatch.setattr("flowjax.encoder.resolve._from_hub", hub)
    for place in (encoder_folder, "someone/bert"):
        model = BertFlow(load(place, option), flow="standardize")
        model.fit_vectors(vectors)
        folder = model.save(tmp_path / f"model of {type(place).__name__}")
        loaded = BertFlow.load(folder)
        assert np.array_equal(loaded.encoder.encode(TEXTS), vectors)
        assert np.array_equal(loaded.encode(TEXTS), model.encode(TEXTS))
        assert loaded.digest == model.digest and loaded.prompts == model.prompts

    store, _ = embed_in_store(encoder, open_source(TEXTS), tmp_path / "store")
    np.testing.assert_allclose(store.vectors, vectors, rtol=0, atol=1e-6)
    with pytest.raises(OtherStore, match="expected vectors of"):
        embed_in_store(plain, open_source(TEXTS), tmp_path / "store")


def test_named_prompts_of_a_model_are_saved(encoder_folder, tmp_path):
    model = BertFlow(encoder_folder, flow="standardize", max_length=16)
    model.fit_vectors(model.encoder.encode(TEXTS))
    plain = model.encode("a dog")
    model.prompts["query"] = "the cat by "
    loaded = BertFlow.load(model.save(tmp_path / "m"))
    assert np.array_equal(loaded.encode_query("a dog"), model.encode("the cat by a dog"))
    assert np.array_equal(loaded.encode("a dog"), plain)
    model.default_prompt_name = "query"
    loaded = BertFlow.load(model.save(tmp_path / "m", overwrite=True))
    assert np.array_equal(loaded.encode("a dog"), model.encode("the cat by a dog", prompt=""))
    assert not np.array_equal(loaded.encode("a dog"), plain)


def test_means_are_computed_in_full_precision():
    """Otherwise accelerators would round the hidden states to bfloat16 or TF32."""
    import jax

    states, mask = [jnp.ones((2, 6, 4))], jnp.ones((2, 6), int)
    program = jax.make_jaxpr(lambda s: pool_packed(s, mask, "mean", slots=2))(states)
    products = [e for e in program.eqns if e.primitive.name == "dot_general"]
    assert len(products) == 1
    assert set(products[0].params["precision"]) == {jax.lax.Precision.HIGHEST}
