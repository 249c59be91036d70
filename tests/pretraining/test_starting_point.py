"""Tests of the initial parameters and of a complete pretraining run."""

import dataclasses
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowjax.commands.main import main
from flowjax.config import PretrainConfig, PretrainData, PretrainModel, PretrainTrain
from flowjax.config.files import read_config
from flowjax.encoder.bert import Bert, BertConfig
from flowjax.encoder.embed import SentenceEncoder
from flowjax.pretraining.pretrain import pretrain
from flowjax.pretraining.starting_point import OFFSETS, start_from

DEFAULT = PretrainConfig()
CONFIG = BertConfig(
    vocab_size=50, hidden_size=192, num_hidden_layers=2, num_attention_heads=4,
    intermediate_size=64, max_position_embeddings=48, initializer_range=192**-0.5,
)  # fmt: skip


def attention(params, ids):
    """Returns the attention weights `(heads, length, length)` of the first layer, by NumPy."""
    (x,) = Bert(CONFIG).apply({"params": params}, ids, layers=(0,))
    x, block, heads = np.asarray(x[0]), params["layer_0"], CONFIG.num_attention_heads
    query, key = (
        (x @ np.asarray(block[n]["kernel"]) + np.asarray(block[n]["bias"])).reshape(
            len(x), heads, -1
        )
        for n in ("query", "key")
    )
    scores = np.einsum("qhd,khd->hqk", query, key) / np.sqrt(query.shape[-1])
    return np.asarray(jax.nn.softmax(scores, axis=-1))


def test_heads_attend_to_their_offsets():
    ids = jax.random.randint(jax.random.key(1), (1, 40), 5, 50)
    params = Bert(CONFIG).init(jax.random.key(0), ids)["params"]
    words = np.random.default_rng(0).normal(0, 0.05, (50, 192))
    weights = attention(start_from(params, CONFIG, words), ids)
    for head, offset in enumerate(OFFSETS[0]):
        mean = [np.diagonal(weights[head], k).mean() for k in range(-6, 7)]
        assert int(np.argmax(mean)) - 6 == offset
    # Random parameters prefer no distance.
    plain = attention(params, ids)
    assert np.diagonal(plain[0], -1).mean() < 0.5 * np.diagonal(weights[0], -1).mean()


def test_shapes_are_unchanged():
    ids = jnp.zeros((1, 8), jnp.int32)
    params = Bert(CONFIG).init(jax.random.key(0), ids)["params"]
    new = start_from(params, CONFIG, np.ones((50, 192)))
    assert jax.tree.map(jnp.shape, new) == jax.tree.map(jnp.shape, dict(params))


@pytest.mark.end_to_end
def test_pretrain_learns_resumes_and_gives_an_encoder(tmp_path, capsys):
    rng = np.random.default_rng(0)
    words = [f"{a}{b}" for a in "bcdfgh" for b in ("an", "or", "it", "u")]
    lines = []
    for _ in range(600):  # each word is followed by its successor in the list
        i = int(rng.integers(len(words)))
        lines.append(" ".join(words[(i + k) % len(words)] for k in range(12)))
    text = tmp_path / "text.txt"
    text.write_text("\n".join(lines))
    config = PretrainConfig(
        PretrainData(length=32),
        PretrainModel(layers=1, width=32, heads=2, vocab_size=120, ppmi_rows=200),
        PretrainTrain(steps=40, batch_size=16, warmup_steps=5, decay_steps=10, learning_rate=5e-3,
                      checkpoint_every=20, validate_every=20, export_every=30),
    )  # fmt: skip
    run = tmp_path / "run"
    argv = ["pretrain", "--text", text, "--heldout", text, "--out", run]
    for table, values in dataclasses.asdict(config).items():
        changed = vars(getattr(config, table)).items() - vars(getattr(DEFAULT, table)).items()
        for name, _ in changed:
            argv += [f"--{table}.{name.replace('_', '-')}", values[name]]
    command = [str(word) for word in argv]
    assert main(command) == 0
    report = json.loads(capsys.readouterr().out)
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["loss"] < 0.9 * rows[0]["loss"]
    assert report["steps"] == 40 and 0 <= report["heldout_accuracy"] <= 1
    assert report["heldout_loss"] < rows[0]["loss"]
    assert json.loads((run / "model" / "pretrain.json").read_text()) == report
    assert main(["plot", str(run)]) == 0
    (tmp_path / "s.txt").write_text("ban bor bit\nhu\n")
    argv = ["encode", run / "model", tmp_path / "s.txt", "--out", tmp_path / "v.npy"]
    assert main([str(word) for word in argv]) == 0
    vectors = np.load(tmp_path / "v.npy")
    assert vectors.shape == (2, 32)
    assert [p.name for p in (run / "encoders").iterdir()] == ["30"]
    half = SentenceEncoder.from_pretrained(run / "encoders" / "30")
    assert np.abs(half.encode(["ban bor bit", "hu"]) - vectors).max() > 1e-4
    # A finished run resumes from its last checkpoint and trains no further step.
    again = []
    pretrain(config, [text], [], run, log=again.append)
    assert again == []
    # The number of steps of an unfinished run may change, and other fields may not.
    shutil.rmtree(run / "model")
    for change, expected in (
        (["--train.steps", "30"], "train.steps: expected at least the 40 finished steps"),
        (["--train.seed", "1"], "expected an unfinished run with train.seed = 1"),
    ):
        capsys.readouterr()
        assert main([*command, *change]) == 2
        assert expected in capsys.readouterr().err
    assert main([*command, "--train.steps", "44"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 44
    assert read_config(run / "config.toml", PretrainConfig).train.steps == 44
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["step"] == 44
