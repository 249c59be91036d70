"""Settings of sentence-transformers folders: pooling, length, normalisation, prompts."""

import json
import pickle
import shutil

import jax
import numpy as np
import pytest

from flowjax import flows
from flowjax.encoder.embed import SentenceEncoder
from flowjax.encoder.modules import Settings, read_settings
from flowjax.encoder.projection import Projection, write_dense
from flowjax.encoder.similarity import unit
from flowjax.encoder.tokenizer import load_tokenizer
from flowjax.encoder.weights.folder import load_config
from flowjax.errors import FlowjaxError
from flowjax.model import BertFlow
from flowjax.sentence_transformers import Calibration

SENTENCES = ["A man plays the guitar.", "the cat", "", "a dog sat on the red sun and ran by it"]
OLD = "sentence_transformers.models."
NEW = "sentence_transformers.sentence_transformer.modules.some."


def write(folder, kinds=("Transformer", "Pooling", "Normalize"), prefix=OLD, **files):
    """Writes `modules.json` and other JSON files, whose names have __ in place of /."""
    paths = {"Transformer": "", "Pooling": "1_Pooling"}
    rows = [
        {"idx": i, "name": str(i), "path": paths.get(kind, f"{i}_{kind}"), "type": prefix + kind}
        for i, kind in enumerate(kinds)
    ]
    defaults = {"1_Pooling__config": {"pooling_mode_mean_tokens": True}}
    for name, content in {"modules": rows, **defaults, **files}.items():
        file = folder / f"{name.replace('__', '/')}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("prefix", [OLD, NEW])
@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode": "mean", "embedding_dimension": 3, "include_prompt": True}, "mean"),
        ({"pooling_mode": ["cls"]}, "cls"),
        ({"pooling_mode_cls_token": False}, "mean"),  # the default of sentence-transformers
    ],
)
def test_pooling_modes(tmp_path, prefix, config, pooling):
    write(tmp_path, prefix=prefix, **{"1_Pooling__config": config})
    found = read_settings(tmp_path)
    assert (found.pooling, found.normalize) == (pooling, True)
    write(tmp_path, ["Transformer", "Pooling"], prefix)
    assert not read_settings(tmp_path).normalize


@pytest.mark.parametrize(
    ("files", "length"),
    [
        ({"sentence_bert_config": {"max_seq_length": 256, "do_lower_case": False}}, 256),
        ({"sentence_roberta_config": {"max_seq_length": 20}}, 20),
        ({"sentence_bert_config": {}, "tokenizer_config": {"model_max_length": 30}}, 30),
        ({"tokenizer_config": {"model_max_length": 1e30}}, int(1e30)),
        ({}, None),
    ],
)
def test_lengths(tmp_path, files, length):
    assert read_settings(write(tmp_path, **files)).max_length == length


@pytest.mark.parametrize(
    ("modules", "files", "words"),
    [
        (["Transformer", "Pooling", "LayerNorm"], {}, "Transformer, Pooling, LayerNorm"),
        (["Transformer", "Pooling", "Normalize", "Dense"], {}, "Normalize, Dense"),
        (["Transformer", "Pooling", "Calibration", "Normalize"], {}, "Calibration, Normalize"),
        (["Transformer", "WeightedLayerPooling"], {}, "WeightedLayerPooling"),
        (["CLIPModel"], {}, "CLIPModel"),
        ([], {}, "got ;"),
        (
            ["Transformer", "Pooling"],
            {"1_Pooling__config": {"pooling_mode_max_tokens": True}},
            "got max;",
        ),
        (
            ["Transformer", "Pooling"],
            {"1_Pooling__config": {"pooling_mode": ["mean", "max"]}},
            "got mean and max;",
        ),
        (
            ["Transformer", "Pooling"],
            {"1_Pooling__config": {"pooling_mode": "mean", "include_prompt": False}},
            "include_prompt true",
        ),
    ],
)
def test_other_modules_are_refused_by_name_unless_a_pooling_is_given(
    tmp_path, modules, files, words
):
    write(tmp_path, modules, **files)
    with pytest.raises(FlowjaxError, match=r"expected .* got|expected include_prompt") as caught:
        read_settings(tmp_path)
    assert words in str(caught.value) and "give a pooling" in str(caught.value)
    assert read_settings(tmp_path, "cls").pooling == "cls"
    assert not read_settings(tmp_path, "cls").normalize


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("modules", {}),
        ("modules", [1]),
        ("modules", [{"path": ""}]),
        ("modules", [{"path": "../up", "type": "Transformer"}]),
        ("modules", [{"path": "/up", "type": "Transformer"}]),
        ("1_Pooling__config", []),
        ("1_Pooling__config", {"pooling_mode": 3}),
        ("sentence_bert_config", {"max_seq_length": "256"}),
        ("sentence_bert_config", {"do_lower_case": 1}),
        ("config_sentence_transformers", {"prompts": ["query: "]}),
        ("config_sentence_transformers", {"prompts": {"query": 3}}),
        ("config_sentence_transformers", {"default_prompt_name": "other"}),
    ],
)
def test_malformed_files_are_named(tmp_path, name, content):
    write(tmp_path, **{name: content})
    with pytest.raises(FlowjaxError, match="expected") as caught:
        read_settings(tmp_path)
    assert f"{name.replace('__', '/')}.json" in str(caught.value)


@pytest.fixture(scope="module")
def folder(encoder_folder, tmp_path_factory):
    """Folder of sentence-transformers: mean pooling of at most 12 tokens, normalised."""
    folder = tmp_path_factory.mktemp("st") / "encoder"
    shutil.copytree(encoder_folder, folder)
    prompts = {"query": "the cat ", "document": ""}
    return write(
        folder,
        sentence_bert_config={"max_seq_length": 12, "do_lower_case": False},
        config_sentence_transformers={"prompts": prompts, "default_prompt_name": None},
    )


def test_a_folder_is_read_as_it_says(folder, encoder_folder):
    encoder = SentenceEncoder.from_pretrained(folder)
    plain = SentenceEncoder.from_pretrained(encoder_folder, pooling="mean", max_length=12)
    expected = unit(plain.encode(SENTENCES))
    np.testing.assert_allclose(encoder.encode(SENTENCES), expected, atol=1e-6)
    assert (encoder.pooling, encoder.max_length, encoder.normalize) == ("mean", 12, True)
    assert encoder.prompts == {"query": "the cat "}
    np.testing.assert_allclose(
        encoder.encode_query("a dog"), encoder.encode("the cat a dog"), atol=1e-6
    )


def test_arguments_replace_the_settings_of_the_folder(folder, encoder_folder):
    encoder = SentenceEncoder.from_pretrained(folder, pooling="first_last", max_length=9)
    plain = SentenceEncoder.from_pretrained(encoder_folder, max_length=9)
    np.testing.assert_allclose(encoder.encode(SENTENCES), plain.encode(SENTENCES), atol=1e-6)
    assert SentenceEncoder.from_pretrained(folder, pooling="cls").max_length == 12


def test_defaults_of_the_paper_without_modules(encoder_folder):
    encoder = SentenceEncoder.from_pretrained("minibert")
    assert (encoder.pooling, encoder.max_length, encoder.normalize) == ("first_last", 64, False)
    # The table of positions of this model has fewer entries than 64.
    encoder = SentenceEncoder.from_pretrained(encoder_folder)
    assert encoder.max_length == encoder.config.max_length < 64


@pytest.mark.parametrize(
    "options",
    [
        {"pooling": "mean", "max_length": 12, "normalize": True},
        {"pooling": "cls"},
        {"pooling": "last2", "special_tokens": False},
        {"pooling": "mean", "special_tokens": False},
        {"pooling": "first_last"},
    ],
)
def test_a_saved_encoder_has_the_same_settings(encoder_folder, tmp_path, options):
    encoder = SentenceEncoder.from_pretrained(encoder_folder, **options)
    encoder.prompts["query"] = "the "
    encoder.save(tmp_path)
    again = SentenceEncoder.from_pretrained(tmp_path)
    assert again.describe() | {"encoder": 0} == encoder.describe() | {"encoder": 0}
    assert again.prompts == encoder.prompts
    assert np.array_equal(again.encode(SENTENCES), encoder.encode(SENTENCES))


@pytest.mark.filterwarnings("ignore:.*tokens are unknown")
def test_the_encoder_may_be_in_a_subfolder_and_lower_case(encoder_folder, tmp_path):
    """Early versions of sentence-transformers wrote this form."""
    shutil.copytree(encoder_folder, tmp_path / "0_Transformer")
    inner = tmp_path / "0_Transformer"
    (inner / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    write(tmp_path, ["Transformer", "Pooling"])
    rows = json.loads((tmp_path / "modules.json").read_text())
    rows[0]["path"] = "0_Transformer"
    (tmp_path / "modules.json").write_text(json.dumps(rows))
    for lower in (True, False):
        (inner / "sentence_bert_config.json").write_text(json.dumps({"do_lower_case": lower}))
        encoder = SentenceEncoder.from_pretrained(tmp_path)
        same = np.allclose(encoder.encode("The cat"), encoder.encode("the cat"), atol=1e-6)
        assert same == lower


def test_the_default_prompt_is_added_to_every_sentence(folder, tmp_path):
    copy, plain = shutil.copytree(folder, tmp_path / "e"), SentenceEncoder.from_pretrained(folder)
    prompts = {"prompts": {"query": "the ", "document": ""}, "default_prompt_name": "query"}
    write(copy, config_sentence_transformers=prompts)
    encoder = SentenceEncoder.from_pretrained(copy)
    expected = plain.encode(SENTENCES, prompt="the ")
    assert not np.allclose(expected, plain.encode(SENTENCES), atol=1e-3)
    model = BertFlow(encoder, flow="identity")
    model.fit_vectors(expected)
    encoder.save(tmp_path / "saved")
    again = SentenceEncoder.from_pretrained(tmp_path / "saved")
    assert encoder.digest == again.digest != plain.digest
    for other in (encoder, again, pickle.loads(pickle.dumps(encoder)), model):
        for got in (other.encode(SENTENCES), other.embed(SENTENCES)):
            np.testing.assert_allclose(got, expected, atol=1e-6)
        for options in ({"prompt": ""}, {"prompt_name": "document"}):
            got = other.encode(SENTENCES, **options)
            np.testing.assert_allclose(got, plain.encode(SENTENCES), atol=1e-6)
        got = other.encode_query(SENTENCES)
        np.testing.assert_allclose(got, expected, atol=1e-6)
        got = other.encode_document(SENTENCES)
        np.testing.assert_allclose(got, plain.encode(SENTENCES), atol=1e-6)
        got = other.encode(SENTENCES, prompt="a ")
        np.testing.assert_allclose(got, plain.encode(SENTENCES, prompt="a "), atol=1e-6)
        assert other.encoder.report.empty == 1 if other is model else other.report.empty <= 1
    with pytest.raises(FlowjaxError, match="default_prompt_name: expected one of"):
        encoder.default_prompt_name = "other"
    encoder.prompts["all"] = encoder.prompts.pop("query")
    encoder.default_prompt_name = "all"  # is no prompt of queries, as in sentence-transformers
    got = encoder.encode_query(SENTENCES)
    np.testing.assert_allclose(got, plain.encode(SENTENCES), atol=1e-6)


def add_dense(folder, layers):
    """Adds `Dense` modules to a folder; `layers` are `(weight, bias, activation)`."""
    rows = json.loads((folder / "modules.json").read_text())
    normalize = rows.pop()
    for i, layer in enumerate(layers, 2):
        (folder / f"{i}_Dense").mkdir()
        write_dense(Projection(*layer), folder / f"{i}_Dense")
        rows.append({"idx": i, "name": str(i), "path": f"{i}_Dense", "type": OLD + "Dense"})
    (folder / "modules.json").write_text(json.dumps([*rows, normalize]))
    return folder


IDENTITY, TANH = "torch.nn.modules.linear.Identity", "torch.nn.modules.activation.Tanh"
RNG = np.random.default_rng(0)
LAYERS = [
    (RNG.normal(size=(6, 32)).astype(np.float32), np.ones(6, np.float32), TANH),
    (RNG.normal(size=(3, 6)).astype(np.float32), np.zeros(3, np.float32), IDENTITY),
]


def test_dense_modules_are_applied_and_saved(folder, tmp_path):
    copy = add_dense(shutil.copytree(folder, tmp_path / "e"), LAYERS)
    plain = SentenceEncoder.from_pretrained(folder, pooling="mean").encode(SENTENCES)
    (w, b, _), (v, c, _) = LAYERS
    expected = unit(np.tanh(plain @ w.T + b) @ v.T + c)
    encoder = SentenceEncoder.from_pretrained(copy)
    encoder.save(tmp_path / "saved")
    encoder.save(tmp_path / "saved", overwrite=True)
    again = SentenceEncoder.from_pretrained(tmp_path / "saved")
    assert encoder.dim == 3 and encoder.digest == again.digest
    for other in (encoder, again, pickle.loads(pickle.dumps(encoder))):
        np.testing.assert_allclose(other.encode(SENTENCES), expected, atol=1e-5)
    assert SentenceEncoder.from_pretrained(copy, pooling="mean").dim == 32
    model = BertFlow(encoder, flow="standardize")
    model.fit_vectors(np.random.default_rng(1).normal(size=(9, 3)))
    model.save(tmp_path / "model")
    loaded = BertFlow.load(tmp_path / "model")
    assert np.array_equal(loaded.encode(SENTENCES), model.encode(SENTENCES))


@pytest.mark.parametrize(
    ("layers", "config", "words"),
    [
        (LAYERS[1:], {}, "expected a Dense module for dim 32, got dim 6"),
        (LAYERS[:1], {"activation_function": "torch.nn.modules.activation.ReLU"}, "one of torch"),
        (LAYERS[:1], {"use_residual": True}, "expected use_residual False, got True"),
        (LAYERS[:1], {"module_input_name": "token_embeddings"}, "expected module_input_name"),
    ],
)
def test_other_dense_modules_are_refused(folder, tmp_path, layers, config, words):
    copy = add_dense(shutil.copytree(folder, tmp_path / "e"), layers)
    file = copy / "2_Dense/config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | config))
    with pytest.raises(FlowjaxError, match=words):
        SentenceEncoder.from_pretrained(copy)


def test_a_folder_with_a_calibration_is_a_model(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "e")
    rows = json.loads((copy / "modules.json").read_text())
    kind = "flowjax.sentence_transformers.Calibration"
    rows.append({"idx": 3, "name": "3", "path": "3_Calibration", "type": kind})
    (copy / "modules.json").write_text(json.dumps(rows))
    flow = flows.standardize(32)
    plain = SentenceEncoder.from_pretrained(folder).encode(SENTENCES)
    params = flow.init(jax.random.key(0), plain)
    Calibration(flow, params, fitted_on={"data": "x"}).save(copy / "3_Calibration")
    model = BertFlow.load(copy)
    expected = flow.forward(params, plain)[0]
    np.testing.assert_allclose(model.encode(SENTENCES), expected, atol=1e-4)
    assert model.fitted_on["data"] == "x" and model.prompts["query"] == "the cat "
    with pytest.raises(FlowjaxError, match="got an encoder with a calibration; load it with"):
        SentenceEncoder.from_pretrained(copy)
    assert SentenceEncoder.from_pretrained(copy, pooling="mean").dim == 32


FILES = ["modules", "1_Pooling/config", "sentence_bert_config", "config_sentence_transformers"]
FILES += ["config", "tokenizer_config", "special_tokens_map", "added_tokens"]
ODD = [None, True, -1, 10**20, 1e308, "", "x/../..", "\x00", [], [[]], {}, {"a": []}]


def variants(value):
    """Yields copies of a JSON value in which one part is replaced by an odd value."""
    yield from ODD
    if not isinstance(value, (dict, list)):
        return
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        for other in variants(part):
            copy = value.copy()
            copy[key] = other
            yield copy


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FILES)
def test_odd_values_raise_no_other_error(folder, tmp_path, name):
    copy = shutil.copytree(folder, tmp_path / "e")
    tokens = {"added_tokens_decoder": {"98": {"content": "[X]", "special": True}}}
    (copy / "tokenizer_config.json").write_text(json.dumps(tokens | {"strip_accents": None}))
    special = {"unk_token": {"content": "[UNK]"}, "additional_special_tokens": ["[X]"]}
    (copy / "special_tokens_map.json").write_text(json.dumps(special))
    (copy / "added_tokens.json").write_text('{"[Y]": 99}')
    file = copy / f"{name}.json"
    for value in variants(json.loads(file.read_text())):
        file.write_text(json.dumps(value))
        try:
            read_settings(copy)
            load_config(copy)
            load_tokenizer(copy)
        except FlowjaxError as error:
            assert "\n" not in str(error) and len(str(error)) < 500


def test_settings_of_a_plain_folder(tmp_path):
    assert read_settings(tmp_path) == Settings("first_last", 64, False, True)
