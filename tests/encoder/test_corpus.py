"""Tests of `corpus`: equal vectors in memory, in a store, and after an interruption."""

import json

import numpy as np
import pytest

import flowjax.encoder.corpus as module
import flowjax.encoder.embed as embed_module
from flowjax import BertFlow, SentenceEncoder
from flowjax.commands import encode as command
from flowjax.data.sentences import open_source
from flowjax.data.store import OtherStore
from flowjax.encoder.corpus import embed_in_memory, embed_in_store
from flowjax.encoder.digest import hash_arrays
from flowjax.errors import FlowjaxError

TEXTS = [f"{'A man ' * (i % 7)}sees {i} birds." for i in range(40)]


@pytest.fixture(scope="module")
def encoder():
    return SentenceEncoder.from_pretrained("minibert", max_length=16, batch_size=8)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(embed_module, "CHUNK", 16)
    monkeypatch.setattr(module, "CHUNK", 16)


def mixed():
    return ["", *TEXTS[:20], "word " * 30, "  ", *TEXTS[20:]]


def test_memory_and_store_agree(encoder, tmp_path):
    kept = [s for s in mixed() if s.strip()]
    plain = encoder.encode(kept)
    vectors, facts = embed_in_memory(encoder, open_source(mixed()))
    np.testing.assert_allclose(vectors, plain, atol=1e-6)
    assert facts == {
        "sentences": 41,
        "empty": 2,
        "cut": encoder.report.cut,
        "tokens": encoder.report.tokens,
        "unknown_tokens": 0,
        "hash": facts["hash"],
    }
    assert facts["cut"] == sum(len(encoder.tokenizer.encode(s).ids) > 16 for s in kept) > 0
    store, same = embed_in_store(encoder, open_source(mixed()), tmp_path / "s")
    assert same == facts and np.array_equal(store.vectors, vectors)
    store, stream = embed_in_store(encoder, open_source(iter(mixed())), tmp_path / "t")
    assert stream == facts and np.array_equal(store.vectors, vectors)


def test_an_interrupted_job_gives_the_same_bits(encoder, tmp_path, monkeypatch):
    source = open_source(mixed())
    whole, facts = embed_in_store(encoder, source, tmp_path / "whole")
    embed_chunk = SentenceEncoder._encode_chunk
    calls = []

    def die(self, *args):
        if len(calls) == 1:
            raise KeyboardInterrupt
        calls.append(1)
        return embed_chunk(self, *args)

    monkeypatch.setattr(SentenceEncoder, "_encode_chunk", die)
    with pytest.raises(KeyboardInterrupt):
        embed_in_store(encoder, source, tmp_path / "part")
    monkeypatch.setattr(SentenceEncoder, "_encode_chunk", embed_chunk)
    part, again = embed_in_store(encoder, source, tmp_path / "part")
    assert again == facts and np.array_equal(part.vectors, whole.vectors)


def test_other_weights_are_refused(encoder, tmp_path):
    import jax

    embed_in_store(encoder, open_source(TEXTS), tmp_path)
    changed = jax.tree.map(lambda x: x * 1.01, encoder.params)
    other = SentenceEncoder(
        changed, encoder.config, encoder.tokenizer, name=encoder.name, max_length=16, batch_size=8
    )
    with pytest.raises(OtherStore, match="encoder_hash"):
        embed_in_store(other, open_source(TEXTS), tmp_path)
    with pytest.raises(OtherStore, match="source_hash"):
        embed_in_store(encoder, open_source(TEXTS[1:]), tmp_path)
    with pytest.raises(OtherStore, match="skip_empty"):
        embed_in_store(encoder, open_source(TEXTS), tmp_path, skip_empty=False)
    assert hash_arrays(changed) != hash_arrays(encoder.params)


def test_a_source_without_sentences_is_an_error(encoder, tmp_path):
    for texts in ([], ["", "  "]):
        with pytest.raises(FlowjaxError, match=f"got {len(texts)} empty lines only"):
            embed_in_memory(encoder, open_source(texts))
        with pytest.raises(FlowjaxError, match=f"got {len(texts)} empty lines only"):
            embed_in_store(encoder, open_source(texts), tmp_path / str(len(texts)))


def test_fit_from_a_file_equals_fit_from_a_list(encoder, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("\n".join(mixed()))
    model = BertFlow(encoder, flow="whitening")
    model.fit(path, out=tmp_path / "run")
    assert model.fitted_on["sentences"] == 41 and model.fitted_on["empty"] == 2
    other = BertFlow(encoder, flow="whitening")
    other.fit(mixed())
    np.testing.assert_allclose(other.encode(TEXTS[:3]), model.encode(TEXTS[:3]), atol=1e-4)
    assert other.fitted_on["hash"] == model.fitted_on["hash"]
    manifest = json.loads((tmp_path / "run" / "embeddings" / "manifest.json").read_text())
    assert manifest["encoder"] == "minibert" and manifest["max_length"] == 16
    assert manifest["notes"]["source"] == str(path) and manifest["result"]["empty"] == 2


def encode(path, out, **options):
    options = {"column": None, "batch_size": 8, **options}
    command.run(command.Args(run="minibert", input=str(path), out=out, **options))


def test_encode_command_keeps_every_row(tmp_path, capsys):
    path = tmp_path / "a.txt"
    path.write_text("\n".join(mixed()) + "\n")
    encode(path, tmp_path / "a.npy")
    assert "43 sentences, 2 empty" in capsys.readouterr().err
    vectors = np.load(tmp_path / "a.npy")
    plain = SentenceEncoder.from_pretrained("minibert").encode(mixed())
    np.testing.assert_allclose(vectors, plain, atol=1e-5)
    encode(path, tmp_path / "b.npy", share="1/2")
    assert not (tmp_path / "b.npy").exists()
    encode(path, tmp_path / "b.npy", share="0/2")
    assert np.array_equal(np.load(tmp_path / "b.npy"), vectors)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npy", "a.txt", "b.npy"]


def test_encode_command_after_an_interruption(tmp_path, monkeypatch):
    path, out = tmp_path / "a.txt", tmp_path / "a.npy"
    path.write_text("\n".join(TEXTS) + "\n")

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("flowjax.data.vectors.write_vectors", stop)
        with pytest.raises(KeyboardInterrupt):
            encode(path, out)
    scratch = tmp_path / ".a.npy.store"
    assert scratch.is_dir() and not out.exists()
    with pytest.raises(OtherStore, match="normalize"):
        encode(path, out, normalize=True)
    path.write_text("\n".join(TEXTS[1:]) + "\n")
    with pytest.raises(OtherStore, match="source_hash"):
        encode(path, out)
    encode(path, out, overwrite=True)
    assert len(np.load(out)) == 39 and not scratch.exists()


def test_encode_command_leaves_nothing_after_a_mistake(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"fine\n" * 20 + b"caf\xe9\n")
    with pytest.raises(FlowjaxError, match="line 21: expected UTF-8 text, got byte 0xe9"):
        encode(path, tmp_path / "a.npy")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("share", ["2/2", "1", "a/b", "-1/2", "1/0"])
def test_bad_shares(share):
    with pytest.raises(ValueError, match="--share: expected i/k"):
        command.parse_share(share)
