"""Saved models contain or name their encoder, wherever the encoder came from."""

import json
import shutil

import jax.numpy as jnp
import numpy as np
import pytest

import flowjax
from flowjax.encoder.resolve import Location
from flowjax.errors import FlowjaxError

SENTENCES = [f"Sentence number {i} about the harbour." for i in range(40)]


@pytest.fixture(scope="module")
def minibert():
    return flowjax.SentenceEncoder.from_pretrained("minibert", max_length=16)


@pytest.fixture
def local(minibert, tmp_path):
    minibert.save(tmp_path / "enc")
    return tmp_path / "enc"


def fitted(encoder):
    model = flowjax.BertFlow(encoder, flow="standardize", max_length=16)
    model.fit(SENTENCES)
    return model


def check_copies(model, tmp_path, before_load):
    """Saves, removes the origin, loads, saves again and loads: all copies give equal vectors."""
    wanted = model.encode(SENTENCES[:3])
    model.save(tmp_path / "a")
    before_load()
    loaded = flowjax.BertFlow.load(tmp_path / "a")
    loaded.save(tmp_path / "b")
    shutil.rmtree(tmp_path / "a")
    again = flowjax.BertFlow.load(tmp_path / "b")
    assert np.array_equal(again.encode(SENTENCES[:3]), wanted)
    assert again.encoder.name == model.encoder.name and again.digest == model.digest


@pytest.mark.parametrize("kind", ["absolute", "relative", "home", "parts", "deleted", "renamed"])
def test_every_saved_model_loads_on_another_machine(local, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    encoder = {"relative": "enc", "home": "~/enc"}.get(kind, str(local))
    if kind == "parts":
        loaded = flowjax.SentenceEncoder.from_pretrained(local)
        encoder = flowjax.SentenceEncoder(loaded.params, loaded.config, loaded.tokenizer)
    if kind == "renamed":  # a hand-built encoder with the name of an embedded one
        loaded = flowjax.SentenceEncoder.from_pretrained(local)
        encoder = flowjax.SentenceEncoder(
            loaded.params, loaded.config, loaded.tokenizer, name="minibert"
        )
    model = fitted(encoder)
    (tmp_path / "elsewhere").mkdir()
    if kind in ("deleted", "relative"):
        shutil.rmtree(local)
    if kind == "relative":
        monkeypatch.chdir(tmp_path / "elsewhere")
    check_copies(model, tmp_path, lambda: shutil.rmtree(local, ignore_errors=True))


def test_an_embedded_encoder_is_saved_by_name_and_verified(minibert, tmp_path):
    model = fitted(minibert)
    model.save(tmp_path / "m")
    assert not (tmp_path / "m" / "encoder").exists()
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    assert config["encoder"]["weights"] == minibert.weights_hash
    config["encoder"]["weights"] = "0" * 16
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    with pytest.raises(FlowjaxError, match="expected the encoder minibert with the weights 0000"):
        flowjax.BertFlow.load(tmp_path / "m")


def test_an_encoder_of_the_hub_is_saved_with_its_revision(local, tmp_path, monkeypatch):
    calls = []

    def hub(name, revision):
        calls.append((name, revision))
        return Location(local, by_name=True, revision="c0ffee")

    monkeypatch.setattr("flowjax.encoder.resolve._from_hub", hub)
    model = fitted("someone/some-bert")
    model.save(tmp_path / "m")
    assert not (tmp_path / "m" / "encoder").exists()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "someone" / "some-bert").mkdir(parents=True)  # another folder of that name
    loaded = flowjax.BertFlow.load(tmp_path / "m")
    assert calls == [("someone/some-bert", None), ("someone/some-bert", "c0ffee")]
    assert np.array_equal(loaded.encode("one"), model.encode("one"))


def test_a_changed_encoder_is_copied(minibert, tmp_path):
    encoder = flowjax.SentenceEncoder.from_pretrained("minibert", max_length=16)
    params = dict(encoder.params)
    words = params["embeddings"]["word_embeddings"]["embedding"]
    params["embeddings"] = params["embeddings"] | {"word_embeddings": {"embedding": words * 1.5}}
    encoder.params = params
    check_copies(fitted(encoder), tmp_path, lambda: None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"files": "../enc"}, "files: expected a path inside of its folder"),
        ({"files": "/enc"}, "files: expected a path inside of its folder"),
        ({"files": ".."}, "files: expected a path inside of its folder"),
        ({"files": ["encoder"]}, "files: expected text"),
        ({"pooling": 3}, "pooling: expected text"),
        ({"max_length": "64"}, "max_length: expected an integer"),
        ({"dim": None}, "dim: expected an integer"),
        ({"encoder": {}}, "encoder: expected text"),
        ({"revision": 1}, "revision: expected text"),
    ],
)
def test_malformed_encoder_entries_are_named(local, tmp_path, change, message):
    fitted(str(local)).save(tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    config["encoder"] |= change
    if "revision" in change:
        del config["encoder"]["files"]
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    with pytest.raises(FlowjaxError, match=message):
        flowjax.BertFlow.load(tmp_path / "m")


class Other:
    """Encoder of another package."""

    name, max_seq_length = "others", 77

    def __init__(self, dim=5):
        self.table = np.random.default_rng(0).normal(size=(256, dim))

    def encode(self, sentences):
        rows = [np.bincount(list(s.encode()), minlength=256) for s in sentences]
        return [jnp.asarray(row @ self.table) for row in rows]


def test_an_encoder_of_another_package(tmp_path):
    model = fitted(Other())
    assert model.dim == 5 and model.max_seq_length == 77
    wanted = model.encode(SENTENCES[:2])
    plain = np.stack(Other().encode(SENTENCES))
    expected = (plain - plain.mean(0)) / plain.std(0)
    np.testing.assert_allclose(wanted, expected[:2], rtol=1e-2, atol=1e-2)
    model.save(tmp_path / "m")
    with pytest.raises(FlowjaxError, match=r"expected the encoder others of .*Other, got none"):
        flowjax.BertFlow.load(tmp_path / "m")
    with pytest.raises(FlowjaxError, match="expected an encoder of dim 5, got dim 6"):
        flowjax.BertFlow.load(tmp_path / "m", encoder=Other(6))
    loaded = flowjax.BertFlow.load(tmp_path / "m", encoder=Other())
    assert np.array_equal(loaded.encode(SENTENCES[:2]), wanted)
    with pytest.raises(FlowjaxError, match="encoder: expected a name, a folder or an object"):
        flowjax.BertFlow(5)
