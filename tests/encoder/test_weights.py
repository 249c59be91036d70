"""Tests of checkpoint formats, and of errors with the file and the tensor."""

import json
import logging
import re
import shutil

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from flowjax.encoder.bert import BertConfig
from flowjax.encoder.weights import (
    FORMATS,
    load_pretrained,
    names,
    read_tensors,
    save_pretrained,
    to_params,
)
from flowjax.errors import FlowjaxError

EXACT = (
    "safetensors_sharded",
    "flax",
    "torch_zip",
    "torch_legacy",
    "torch_strided_float16",
    "tensorflow",
)


@pytest.fixture(scope="module")
def reference(goldens):
    return load_pretrained(goldens / "formats" / "safetensors")


@pytest.fixture(scope="module")
def tensors(goldens):
    return read_tensors(goldens / "formats" / "safetensors")[0]


def flat(params):
    return {jax.tree_util.keystr(path): x for path, x in jax.tree.leaves_with_path(params)}


@pytest.mark.parametrize("name", EXACT)
def test_every_format_gives_the_same_params(goldens, reference, name):
    params, config = load_pretrained(goldens / "formats" / name)
    assert config == reference[1]
    got, want = flat(params), flat(reference[0])
    assert got.keys() == want.keys()
    for path, value in got.items():
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, want[path], err_msg=path)


@pytest.mark.parametrize("name", ["safetensors_bfloat16", "torch_sharded_bfloat16"])
def test_bfloat16_files_hold_the_rounded_values(goldens, reference, name):
    import ml_dtypes

    got, want = flat(load_pretrained(goldens / "formats" / name)[0]), flat(reference[0])
    assert got.keys() == want.keys()
    for path, value in got.items():
        rounded = want[path].astype(ml_dtypes.bfloat16).astype(np.float32)
        np.testing.assert_array_equal(value, rounded, err_msg=path)


def test_the_order_of_preference(formats):
    """The order is safetensors, Flax, PyTorch, TensorFlow; single files precede shards."""
    folder = formats / "safetensors_sharded"
    for other in ("safetensors", "flax", "torch_zip", "tensorflow"):
        shutil.copytree(formats / other, folder, dirs_exist_ok=True)
    order = ["model.safetensors", "model.safetensors.index.json", "flax_model.msgpack"]
    order += ["pytorch_model.bin", "bert_model.ckpt.index"]
    for name in order:
        assert read_tensors(folder)[1].name == name
        (folder / name).unlink()
    with pytest.raises(FlowjaxError, match=r"expected weights in model\.safe") as error:
        load_pretrained(folder)
    assert all(name in str(error.value) for name in FORMATS)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("family", ["bert", "roberta", "mpnet", "distilbert"])
def test_save_and_load(goldens, tmp_path, family, dtype):
    params, config = load_pretrained(goldens / family)
    save_pretrained(params, config, tmp_path / "new" / "folder", dtype=dtype)
    again, same = load_pretrained(tmp_path / "new" / "folder")
    assert same == config
    jax.tree.map(np.testing.assert_array_equal, again, params)  # the goldens are float16
    saved = load_file(tmp_path / "new" / "folder" / "model.safetensors")
    theirs = load_file(goldens / family / "model.safetensors")
    assert saved.keys() == theirs.keys()
    assert all(saved[name].shape == theirs[name].shape for name in theirs)


def test_save_without_pooler_and_without_a_layer(reference, tmp_path):
    params, config = reference
    bare = {k: v for k, v in params.items() if k != "pooler"}
    save_pretrained(bare, config, tmp_path)
    assert "pooler" not in load_pretrained(tmp_path)[0]
    broken = {k: v for k, v in params.items() if k != "layer_1"}
    with pytest.raises(FlowjaxError, match="params: expected layer_1/query/kernel"):
        save_pretrained(broken, config, tmp_path)


def test_heads_are_skipped_and_counted(goldens, caplog):
    with caplog.at_level(logging.DEBUG, "flowjax"):
        load_pretrained(goldens / "formats" / "tensorflow")
    assert "skipped 10 tensors of heads" in caplog.text
    assert "bert_model.ckpt.index" in caplog.text


@pytest.mark.parametrize("prefix", ["", "bert.", "roberta.", "module.model.encoder.bert."])
def test_any_prefix_is_removed(tensors, reference, prefix):
    renamed = {
        name.replace("bert.", prefix, 1): value
        for name, value in tensors.items()
        if name.startswith("bert.")
    }
    params = to_params(renamed | {"classifier.weight": np.zeros(3)}, reference[1])
    jax.tree.map(np.testing.assert_array_equal, params, reference[0])


QUERY = "bert.encoder.layer.1.attention.self.query.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {QUERY: None},
            f"without 1 of them: first missing {QUERY[5:]!r}",
        ),
        ({QUERY: np.zeros((8, 9))}, r"query.weight: expected shape \(8, 8\) .*, got \(8, 9\)"),
        ({QUERY: np.zeros((8, 8), int)}, "query.weight: expected floating-point values, got int"),
        (
            {QUERY: np.full((8, 8), np.nan)},
            "query.weight: expected finite values, got 64 values that are NaN or infinite",
        ),
        ({QUERY.replace(".1.", ".2."): np.zeros((8, 8))}, "got 1 more: first"),
        (
            {"bert.embeddings.adapter.weight": np.zeros(1)},
            "1 more: first 'embeddings.adapter.weight'",
        ),
        ({"bert.pooler.dense.bias": None}, "expected pooler.dense.weight and pooler.dense.bias"),
        (
            {"bert.embeddings.LayerNorm.gamma": np.zeros(8)},
            "LayerNorm.weight, got two names",
        ),
        (
            {"decoder.embeddings.word_embeddings.weight": np.zeros((23, 8))},
            "expected one encoder, got 2 with the prefixes 'bert.', 'decoder.'",
        ),
        ({"bert.embeddings.position_ids": np.arange(10)[None]}, None),
        ({"bert.pooler.dense.bias": None, "bert.pooler.dense.weight": None}, None),
    ],
)
def test_missing_surplus_and_wrong_tensors_are_named(tensors, reference, change, message):
    changed = {k: v for k, v in (tensors | change).items() if v is not None}
    if message is None:
        to_params(changed, reference[1], "here")
    else:
        with pytest.raises(FlowjaxError, match=message) as error:
            to_params(changed, reference[1], "some/file")
        assert str(error.value).startswith("some/file: ")


def test_an_error_names_the_file(formats):
    folder = formats / "safetensors"
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(values | {"vocab_size": 30522}))
    file = re.escape(str(folder / "model.safetensors"))
    shapes = r"expected shape \(30522, 8\) from config.json, got \(23, 8\)"
    with pytest.raises(FlowjaxError, match=f"^{file}: .*word_embeddings.weight: {shapes}$"):
        load_pretrained(folder)


def test_camembert_and_xlm_roberta_have_roberta_s_tensors(goldens, tmp_path):
    shutil.copytree(goldens / "roberta", tmp_path, dirs_exist_ok=True)
    values = json.loads((tmp_path / "config.json").read_text())
    for kind in ("camembert", "xlm-roberta"):
        (tmp_path / "config.json").write_text(json.dumps(values | {"model_type": kind}))
        params, config = load_pretrained(tmp_path)
        assert (config.model_type, config.first_position) == (kind, 2)
        assert params["layer_1"]["query"]["kernel"].shape == (16, 16)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "expected a model folder with config.json, got no such file"),
        (b"", "config.json: expected JSON, got: Expecting value"),
        (b"[1]", "config.json: expected a JSON object, got list"),
        (b"\xff\xfe{}", "config.json: expected JSON, got: 'utf-8' codec"),
        (b'{"model_type": "t5"}', "config.json: config: model_type: expected one of bert"),
        (b'{"hidden_size": 7}', "config.json: config: hidden_size: expected a multiple of 12"),
    ],
)
def test_bad_config_files(tmp_path, content, message):
    if content is not None:
        (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(FlowjaxError, match=re.escape(message)):
        load_pretrained(tmp_path)


def test_the_table_of_names_covers_a_real_size():
    config = BertConfig()  # BERT-base
    places = names(config)
    assert len(places) == 5 + 12 * 16 + 2
    assert len({place.path for place in places.values()}) == len(places)
    assert sum(int(np.prod(place.shape)) for place in places.values()) == 109_482_240


def test_a_folder_written_here_has_only_known_names(reference, tmp_path):
    save_pretrained(*reference, tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["encoder.layer.0.output.dense.bias"]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(FlowjaxError, match=r"got 38 without 1 of them: .*, first present 'embed"):
        load_pretrained(tmp_path)
