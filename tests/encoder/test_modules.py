"""Settings of sentence-transformers folders: pooling, length, normalisation, prompts."""

import json
import shutil

import numpy as np
import pytest

from flowjax.encoder.embed import SentenceEncoder
from flowjax.encoder.modules import Settings, read_settings
from flowjax.encoder.sentence_model import unit
from flowjax.encoder.tokenizer import load_tokenizer
from flowjax.encoder.weights.folder import load_config
from flowjax.errors import FlowjaxError

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
        (["Transformer", "Pooling", "Dense"], {}, "Transformer, Pooling, Dense"),
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
    """As written by early versions of sentence-transformers."""
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


def test_a_default_prompt_is_reported(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "e")
    prompts = {"prompts": {"query": "the "}, "default_prompt_name": "query"}
    write(tmp_path / "e", config_sentence_transformers=prompts)
    with pytest.warns(UserWarning, match="the default prompt 'query' is not added"):
        SentenceEncoder.from_pretrained(tmp_path / "e")


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
