"""`flowjax encode` with an encoder instead of a run: pooling, length, unknown tokens."""

import numpy as np
import pytest

import flowjax
from flowjax.commands.main import main

SENTENCES = ["A man plays the guitar in the street.", "the cat", "word " * 40]


@pytest.fixture
def text(tmp_path):
    (tmp_path / "s.txt").write_text("\n".join(SENTENCES) + "\n")
    return tmp_path / "s.txt"


@pytest.mark.parametrize("options", [{}, {"pooling": "cls"}, {"pooling": "mean", "max_length": 8}])
def test_pooling_and_length_of_an_encoder(text, tmp_path, options):
    flags = [f"--{key.replace('_', '-')}={value}" for key, value in options.items()]
    assert main(["encode", "minibert", str(text), "--out", str(tmp_path / "v.npy"), *flags]) == 0
    wanted = flowjax.SentenceEncoder.from_pretrained("minibert", **options).encode(SENTENCES)
    np.testing.assert_allclose(np.load(tmp_path / "v.npy"), wanted, atol=1e-5)


def test_the_settings_of_a_folder_are_used(text, tmp_path):
    encoder = flowjax.SentenceEncoder.from_pretrained("minibert", pooling="mean", normalize=True)
    encoder.save(tmp_path / "enc")
    out = tmp_path / "v.npy"
    assert main(["encode", str(tmp_path / "enc"), str(text), "--out", str(out)]) == 0
    np.testing.assert_allclose(np.load(out), encoder.encode(SENTENCES), atol=1e-5)


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--pooling=max", "pooling: expected one of cls, pooler"),
        ("--max-length=4096", "max_length: expected"),
        ("--max-length=-1", "max_length: expected"),
    ],
)
def test_wrong_values_are_one_line(text, tmp_path, capsys, flag, message):
    out = str(tmp_path / "v.npy")
    assert main(["encode", "minibert", str(text), "--out", out, flag]) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


def test_a_run_has_its_own_pooling(text, tmp_path, capsys):
    model = flowjax.BertFlow(flow="standardize")
    model.fit([f"Sentence {i} about the harbour." for i in range(300)])
    model.save(tmp_path / "m")
    out = str(tmp_path / "v.npy")
    assert main(["encode", str(tmp_path / "m"), str(text), "--out", out, "--pooling=cls"]) == 2
    assert "--pooling: expected the name of an encoder, got the run" in capsys.readouterr().err


def test_unknown_tokens_are_reported(tmp_path, capsys):
    (tmp_path / "s.txt").write_text("喜欢打篮球的男生\n我想买个新手机\n", "utf-8")
    out = str(tmp_path / "v.npy")
    assert main(["encode", "minibert", str(tmp_path / "s.txt"), "--out", out]) == 0
    err = capsys.readouterr().err
    assert "tokens unknown" in err
    assert "% of the tokens are unknown to the encoder minibert" in err
