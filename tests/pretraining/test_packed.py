"""Tests of packed text: full rows, every token once, reuse of an equal file."""

import json

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from flowjax.errors import FlowjaxError
from flowjax.pretraining.packed import pack_text


def toy(words):
    vocab = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


WORDS = [f"w{i}" for i in range(50)]


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    paths = [tmp_path / "a.txt", tmp_path / "b.txt", tmp_path / "empty.txt"]
    for path in paths[:2]:
        lines = [" ".join(rng.choice(WORDS, rng.integers(0, 9))) for _ in range(100)]
        path.write_text("\n".join(lines))
    paths[2].write_text("\n\n")
    return paths


def test_rows_contain_the_text(tmp_path, files):
    tokenizer = toy(WORDS)
    rows = pack_text(files, tokenizer, tmp_path / "out" / "packed.npy", length=16)
    assert isinstance(rows, np.memmap) and rows.dtype == np.uint16 and rows.shape[1] == 16
    assert (rows[:, 0] == 2).all() and (rows[:, -1] == 3).all()
    expected = []
    for path in files:
        for line in path.read_text().split("\n"):
            if line.strip():
                expected += [*tokenizer.encode(line).ids, 3]
    assert len(rows) == len(expected) // 14
    wanted = np.array(expected[: len(rows) * 14]).reshape(-1, 14)
    assert sorted(map(tuple, rows[:, 1:-1].tolist())) == sorted(map(tuple, wanted.tolist()))
    assert not np.array_equal(rows[:, 1:-1], wanted)  # shuffled


def test_a_file_is_reused_only_for_equal_inputs(tmp_path, files):
    out = tmp_path / "packed.npy"
    first = np.array(pack_text(files, toy(WORDS), out, length=16))
    stamp = out.stat().st_mtime_ns
    assert np.array_equal(pack_text(files, toy(WORDS), out, length=16), first)
    assert out.stat().st_mtime_ns == stamp
    other = pack_text(files, toy(WORDS[::-1]), out, length=16)  # equally many words with other ids
    assert not np.array_equal(other, first)
    assert pack_text(files, toy(WORDS), out, length=8).shape[1] == 8
    record = out.with_name("packed.npy.json")
    record.write_text(record.read_text()[:10])  # a damaged record: the file is written again
    assert np.array_equal(pack_text(files, toy(WORDS), out, length=16), first)
    assert json.loads(record.read_text())["length"] == 16


def test_invalid_inputs_are_errors(tmp_path, files):
    out = tmp_path / "packed.npy"
    with pytest.raises(FlowjaxError, match=r"empty\.txt: expected .* at least 14 tokens, got 0"):
        pack_text(files[2:], toy(WORDS), out, length=16)
    with pytest.raises(FlowjaxError, match="length: expected at least 3"):
        pack_text(files, toy(WORDS), out, length=2)
    with pytest.raises(FlowjaxError, match="paths: expected text files, got none"):
        pack_text([], toy(WORDS), out)
    bare = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    with pytest.raises(FlowjaxError, match=r"tokenizer: expected a tokenizer with \[CLS\]"):
        pack_text(files, bare, out)
    assert not out.exists()
