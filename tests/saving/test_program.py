"""Exported programs give the vectors of the model, also where flowjax cannot be imported."""

import json
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowjax
from flowjax.commands.main import main
from flowjax.encoder.auto_tokenizer import SlowTokenizer
from flowjax.encoder.bert import Bert, BertConfig
from flowjax.encoder.projection import Projection
from flowjax.errors import FlowjaxError
from flowjax.saving.program import EXAMPLE

SENTENCES = ["One.", "", "A much longer sentence about the harbour " * 9, "Two men play."]
BLOCKED = "import sys\nsys.modules['flowjax'] = None\n"


def tiny(pooling="mean", **options):
    """Returns a random encoder of one narrow layer with the tokenizer of minibert."""
    config = BertConfig(
        vocab_size=12_000,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
    )
    params = Bert(config).init(jax.random.key(1), jnp.zeros((1, 4), int))["params"]
    tokenizer = flowjax.SentenceEncoder.from_pretrained("minibert").tokenizer
    options = {"max_length": 40, "name": "tiny"} | options
    return flowjax.SentenceEncoder(params, config, tokenizer, pooling=pooling, **options)


def fitted(encoder, flow, steps=None, **options):
    model = flowjax.BertFlow(encoder, flow=flow, **options)
    rows = np.random.default_rng(0).normal(size=(64, model.encoder.dim)).astype("f4")
    model.fit_vectors(rows, measured=False, steps=steps)
    return model


@pytest.fixture(scope="module")
def model():
    encoder = tiny("first_last")
    encoder.prompts["query"] = "query: "
    encoder.default_prompt_name = "query"
    return fitted(encoder, "glow", 2, flow_options={"levels": 2, "depth": 1})


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    return model.export(tmp_path_factory.mktemp("export") / "program")


def run_example(folder, sentences=SENTENCES):
    """Runs the example in the card of an exported folder, without flowjax; returns the vectors."""
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.S)
    assert len(code.strip().splitlines()) <= 24
    code = BLOCKED + code.replace("this/folder", str(folder))
    code += f"\nnp.save({str(folder.parent / 'x.npy')!r}, encode({sentences!r}))\n"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=folder.parent)
    return np.load(folder.parent / "x.npy")


@pytest.mark.end_to_end
def test_the_example_gives_the_vectors_of_encode_without_flowjax(model, folder):
    """With a default prompt, an empty and a truncated sentence, and padding."""
    np.testing.assert_allclose(run_example(folder), model.encode(SENTENCES), atol=1e-5)
    about = json.loads((folder / "config.json").read_text())["program"]
    assert about["platforms"] == ["cpu", "cuda", "tpu"] and about["dim"] == 16


def test_the_documentation_has_the_same_example():
    page = (Path(__file__).parents[2] / "docs" / "serving.md").read_text("utf-8")
    assert EXAMPLE.format(folder="runs/program").strip() in page


def in_process(folder):
    """Returns the function `encode` of the example."""
    scope = {}
    exec(EXAMPLE.format(folder=folder), scope)
    return scope["encode"]


DENSE = (
    Projection(np.ones((12, 16), "f4") / 9, np.ones(12, "f4"), "torch.nn.modules.activation.Tanh"),
    Projection(np.eye(6, 12, dtype="f4"), np.zeros(6, "f4"), "torch.nn.modules.linear.Identity"),
)


@pytest.mark.parametrize(
    ("encoder", "dense", "flow"),
    [
        ({"pooling": "pooler", "max_length": 16}, (), "center"),
        ({"pooling": "mean", "special_tokens": False, "normalize": True}, (), "whitening"),
        ({"pooling": "cls", "max_length": 37}, DENSE, "standardize"),
    ],
)
def test_every_part_of_the_encoder_is_exported(tmp_path, encoder, dense, flow):
    encoder = tiny(**encoder)
    encoder.dense = dense
    model = fitted(encoder, flow)
    encode = in_process(model.export(tmp_path / "program", platforms="cpu"))
    np.testing.assert_allclose(encode(SENTENCES), model.encode(SENTENCES), atol=1e-5)


def test_a_folder_is_replaced_only_if_asked_and_is_not_a_model(model, folder):
    with pytest.raises(FlowjaxError, match="expected a new folder"):
        model.export(folder)
    model.export(folder, overwrite=True)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(FlowjaxError, match=r"got notes\.txt"):
        model.export(folder, overwrite=True)
    (folder / "notes.txt").unlink()
    for load in (flowjax.BertFlow.load, flowjax.load_flow):
        with pytest.raises(FlowjaxError, match="got an exported program"):
            load(folder)


def test_a_failed_export_leaves_the_earlier_folder(model, folder, monkeypatch):
    before = {file.name: file.read_bytes() for file in folder.iterdir()}

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("flowjax.saving.program.save_params", fail)
    with pytest.raises(OSError, match="No space left"):
        model.export(folder, overwrite=True)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir() if "partial" in path.name] == []


class Foreign:
    """Encoder of another package."""

    def encode(self, sentences, **_):
        return np.zeros((len(sentences), 4), np.float32)


@pytest.mark.parametrize(
    ("platforms", "words"),
    [
        ("gpu", "expected one of cpu, cuda, rocm, tpu, got 'gpu'"),
        (["cpu", 3], "got 3"),
        ((), "got none"),
        (("tpu", "tpu"), "expected distinct names"),
    ],
)
def test_errors_name_the_platform(model, tmp_path, platforms, words):
    with pytest.raises(FlowjaxError, match=f"platforms: .*{words}"):
        model.export(tmp_path / "x", platforms=platforms)
    assert not list(tmp_path.iterdir())


def test_models_that_cannot_be_exported_raise(tmp_path):
    with pytest.raises(FlowjaxError, match="expected a fitted model"):
        flowjax.BertFlow(tiny(), flow="center").export(tmp_path / "x")
    model = fitted(Foreign(), "center")
    with pytest.raises(FlowjaxError, match="expected a SentenceEncoder"):
        model.export(tmp_path / "x")
    slow = fitted(tiny(), "center")
    slow.encoder.tokenizer = SlowTokenizer(None)  # without a fast version
    with pytest.raises(
        FlowjaxError, match=r"tokenizer: expected a fast tokenizer.*tokenizer\.json"
    ):
        slow.export(tmp_path / "x")
    odd = fitted(tiny(), "center")
    odd.flow = odd.flow._replace(forward=lambda params, x, context=None: ([x][len(x) > 2], 0))
    with pytest.raises(FlowjaxError, match="expected functions of any number of examples"):
        odd.export(tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_the_command_exports_a_run(model, tmp_path, capsys):
    run, out = model.save(tmp_path / "run" / "model").parent, tmp_path / "program"
    assert main(["export", str(run), "--out", str(out), "--platforms", "gpu"]) == 2
    assert "--platforms: expected one of" in capsys.readouterr().err
    assert main(["export", str(run), "--out", str(out), "--platforms", "cpu"]) == 0
    assert "program.bin: cpu" in capsys.readouterr().out
    assert sorted(file.name for file in out.iterdir()) == [
        *("README.md", "config.json", "program.bin", "tokenizer.json", "weights.safetensors")
    ]
