"""Tests of tokenizers from `tokenizer.json`, from `vocab.txt`, and trained."""

import json

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from flowjax.encoder.tokenizer import load_tokenizer, train_wordpiece
from flowjax.errors import FlowjaxError

SENTENCES = [
    "A man plays the guitar.",
    "The Dog, the cat; and IT ran!",
    "Café naïve ÉCOLE",
    "混ぜ mixed 漢字 text",
    "tab\there\u2028line separator",
    "unbelievably zzz 1234",
    "[MASK] and [SEP] in the text",
    "",
    "   ",
]


def ids(tokenizer):
    return [encoding.ids for encoding in tokenizer.encode_batch(SENTENCES)]


@pytest.mark.parametrize(
    "options",
    [
        {"do_lower_case": True},
        {"do_lower_case": False},
        {"do_lower_case": True, "strip_accents": False},
        {"do_lower_case": False, "tokenize_chinese_chars": False},
    ],
)
def test_vocab_txt_and_tokenizer_json_agree(encoder_folder, tmp_path, options):
    """The reference is the `tokenizer.json` that transformers writes for the same options."""
    from transformers import BertTokenizer

    vocab = (encoder_folder / "vocab.txt").read_text("utf-8").split()
    theirs = BertTokenizer(vocab={token: i for i, token in enumerate(vocab)}, **options)
    theirs.save_pretrained(tmp_path / "json")
    assert (tmp_path / "json" / "tokenizer.json").exists()
    (tmp_path / "txt").mkdir()
    (tmp_path / "txt" / "vocab.txt").write_text("\n".join(vocab), "utf-8")
    (tmp_path / "txt" / "tokenizer_config.json").write_text(json.dumps(options))
    ours = ids(load_tokenizer(tmp_path / "txt"))
    assert ours == ids(load_tokenizer(tmp_path / "json"))
    assert ours == theirs(SENTENCES)["input_ids"]


def test_words_are_not_all_unknown(encoder_folder):
    """A vocabulary that is not read correctly would map every word to `[UNK]` without an error."""
    tokens = load_tokenizer(encoder_folder).encode("A man plays the guitar.").tokens
    assert tokens == ["[CLS]", "a", "man", "plays", "the", "guitar", ".", "[SEP]"]
    assert load_tokenizer(encoder_folder).encode("xy漢").tokens[1:-1] == ["x", "##y", "[UNK]"]


@pytest.mark.parametrize("end", ["\r\n", "\n\n\n"])
def test_line_ends_do_not_matter(encoder_folder, tmp_path, end):
    text = (encoder_folder / "vocab.txt").read_text("utf-8")
    text = text.replace("\n", end) if "\r" in end else text + end
    (tmp_path / "vocab.txt").write_bytes(text.encode())
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    assert ids(load_tokenizer(tmp_path)) == ids(load_tokenizer(encoder_folder))


def test_a_line_separator_may_be_an_entry(tmp_path):
    entries = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "\u2028", "\x85", "cat"]
    (tmp_path / "vocab.txt").write_bytes("\n".join(entries).encode())
    assert load_tokenizer(tmp_path).encode("cat").ids == [2, 7, 3]


@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("options", [None, {}, {"do_lower_case": None}, {"model_max_length": 9}])
def test_text_is_lower_cased_unless_the_config_says_no(tmp_path, bom, options):
    """The ids are those of transformers, also with a capitalised entry or a byte order mark."""
    entries = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "COVID",
        *(f"w{i}" for i in range(50)),
    ]
    (tmp_path / "vocab.txt").write_text(bom + "\n".join([*entries, "cat"]), "utf-8")
    if options is not None:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(options))
    assert load_tokenizer(tmp_path).encode("CAT W3").tokens == ["[CLS]", "cat", "w3", "[SEP]"]
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert load_tokenizer(tmp_path).encode("COVID").tokens[1:-1] == ["COVID"]
    assert load_tokenizer(tmp_path).encode("CAT").tokens[1:-1] == ["[UNK]"]


def test_a_cased_vocabulary_without_config_is_reported(tmp_path):
    entries = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "Cat"]
    (tmp_path / "vocab.txt").write_text("\n".join(entries))
    with pytest.warns(UserWarning, match="1 of 2 entries have a capital") as seen:
        load_tokenizer(tmp_path)
    assert {w.filename for w in seen} == {__file__}  # the user's line


def test_added_tokens_are_read_as_transformers_reads_them(tmp_path):
    """Added tokens are read from `added_tokens.json`, also with gaps, and from the config."""
    entries = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "covid", "[", "]", "e", "##1"]
    (tmp_path / "vocab.txt").write_text("\n".join(entries))
    (tmp_path / "added_tokens.json").write_text('{"[E1]": 10, "newword": 20}')
    decoder = {"11": {"content": "[E2]", "special": True}, "5": {"content": "covid"}}
    config = {"added_tokens_decoder": decoder, "additional_special_tokens": ["[E2]"]}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    encoding = load_tokenizer(tmp_path).encode("[E1] covid[E2] NEWWORD")
    assert encoding.tokens == ["[CLS]", "[E1]", "covid", "[E2]", "newword", "[SEP]"]
    assert encoding.ids == [2, 10, 5, 11, 20, 3]


@pytest.mark.parametrize(
    ("name", "kind", "complete"),
    [
        ("tokenizer_config.json", "KoBertTokenizer", False),
        ("tokenizer_config.json", "RobertaTokenizer", False),
        ("tokenizer_config.json", "MyTokenizerFast", False),
    ],
)
def test_other_tokenizer_classes_are_refused_by_name(
    encoder_folder, tmp_path, name, kind, complete
):
    (tmp_path / "vocab.txt").write_text((encoder_folder / "vocab.txt").read_text())
    if complete:
        load_tokenizer(tmp_path).save(str(tmp_path / "tokenizer.json"))
    (tmp_path / name).write_text(json.dumps({"tokenizer_class": kind}))
    with pytest.raises(FlowjaxError, match=f"{name}: tokenizer_class: expected .* got {kind}"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("kind", "complete"),
    [
        ("BertTokenizer", False),
        ("BertTokenizerFast", False),
        ("DistilBertTokenizer", False),
        ("XLMRobertaTokenizer", True),
        ("PreTrainedTokenizerFast", True),
        ("LongformerTokenizerFast", True),
        ("HerbertTokenizer", True),
        ("TokenizersBackend", True),
        (None, True),
    ],
)
def test_known_tokenizer_classes_are_read(encoder_folder, tmp_path, kind, complete):
    (tmp_path / "vocab.txt").write_text((encoder_folder / "vocab.txt").read_text())
    if complete:
        load_tokenizer(tmp_path).save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind}))
    assert ids(load_tokenizer(tmp_path)) == ids(load_tokenizer(encoder_folder))


def test_a_panic_of_the_tokenizer_is_one_line(encoder_folder, tmp_path, capfd):
    """The post-processor refers to a token that the file does not define."""
    load_tokenizer(encoder_folder).save(str(tmp_path / "tokenizer.json"))
    values = json.loads((tmp_path / "tokenizer.json").read_text())
    piece = [{"SpecialToken": {"id": "[X]", "type_id": 0}}]
    values["post_processor"] = {
        "type": "TemplateProcessing",
        "single": piece,
        "pair": [],
        "special_tokens": {},
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(values))
    with pytest.raises(
        FlowjaxError, match=r"tokenizer\.json: expected a tokenizer, got: "
    ) as caught:
        load_tokenizer(tmp_path)
    assert "\n" not in str(caught.value) and capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tokenizer_config.json", '{"do_lower_case": "no"}'),
        ("tokenizer_config.json", '{"strip_accents": 1}'),
        ("tokenizer_config.json", '{"unk_token": 5}'),
        ("tokenizer_config.json", '{"unk_token": {"content": 3}}'),
        ("tokenizer_config.json", '{"tokenizer_class": []}'),
        ("tokenizer_config.json", '{"do_basic_tokenize": false}'),
        ("tokenizer_config.json", '{"added_tokens_decoder": [1]}'),
        ("tokenizer_config.json", '{"added_tokens_decoder": {"x": {"content": "a"}}}'),
        ("tokenizer_config.json", '{"added_tokens_decoder": {"99999999999": {"content": "a"}}}'),
        ("tokenizer_config.json", "[" * 100_000),
        ("special_tokens_map.json", "[]"),
        ("special_tokens_map.json", '{"additional_special_tokens": [3]}'),
        ("added_tokens.json", '{"a": -1}'),
        ("added_tokens.json", '{"a": "1"}'),
        ("added_tokens.json", "nonsense"),
    ],
)
def test_malformed_options_name_their_file(encoder_folder, tmp_path, name, text):
    (tmp_path / "vocab.txt").write_text((encoder_folder / "vocab.txt").read_text())
    (tmp_path / name).write_text(text)
    with pytest.raises(FlowjaxError) as caught:
        load_tokenizer(tmp_path)
    message = str(caught.value)
    assert "expected" in message and "\n" not in message and len(message) < 400


def test_mpnet_s_special_tokens(tmp_path):
    entries = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>", "cat"]
    (tmp_path / "vocab.txt").write_text("\n".join(entries))
    with pytest.raises(FlowjaxError, match=r"expected an entry \[CLS\] \(cls_token\), got none"):
        load_tokenizer(tmp_path)
    options = {"cls_token": "<s>", "sep_token": {"content": "</s>"}, "pad_token": "<pad>"}
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(options))
    assert load_tokenizer(tmp_path).encode("cat cat").ids == [0, 5, 5, 2]


@pytest.mark.parametrize("kind", ["BPE", "Unigram"])
def test_other_kinds_load_from_tokenizer_json(tmp_path, kind):
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    if kind == "BPE":
        made = Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        )
    else:
        made = Tokenizer(models.Unigram())
        made.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=60, special_tokens=special, unk_token="<unk>", show_progress=False
        )
    made.train_from_iterator(SENTENCES * 3, trainer)
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    made.enable_padding(pad_id=1, pad_token="<pad>", length=40)
    made.enable_truncation(7)
    made.save(str(tmp_path / "tokenizer.json"))
    loaded = load_tokenizer(tmp_path)
    made.no_padding()
    made.no_truncation()
    assert ids(loaded) == ids(made)
    assert all(row[0] == 0 and row[-1] == 2 for row in ids(loaded))
    assert 3 not in loaded.encode("the cat").ids  # <unk>


def test_padding_and_truncation_of_the_file_are_off(encoder_folder, tmp_path):
    tokenizer = load_tokenizer(encoder_folder)
    tokenizer.enable_padding(length=50)
    tokenizer.enable_truncation(4)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert ids(load_tokenizer(tmp_path)) == ids(load_tokenizer(encoder_folder))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "expected tokenizer.json or vocab.txt, got neither"),
        ({"sentencepiece.bpe.model": b"x"}, "got neither"),
        ({"tokenizer.json": b"{"}, "tokenizer.json: expected a tokenizer, got: "),
        ({"tokenizer.json": b"{}"}, "tokenizer.json: expected a tokenizer, got: "),
        ({"vocab.txt": b""}, r"vocab.txt: expected an entry \[UNK\]"),
        ({"vocab.txt": b"\xff\xfe"}, "vocab.txt: expected UTF-8"),
        (
            {"vocab.txt": b"a", "tokenizer_config.json": b"["},
            "tokenizer_config.json: expected JSON",
        ),
    ],
)
def test_damaged_files(tmp_path, files, message):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(FlowjaxError, match=message) as error:
        load_tokenizer(tmp_path)
    assert "\n" not in str(error.value)


def test_a_trained_tokenizer(tmp_path):
    tokenizer = train_wordpiece(SENTENCES * 5, 80)
    assert [tokenizer.token_to_id(t) for t in ("[PAD]", "[UNK]", "[CLS]", "[SEP]")] == [0, 1, 2, 3]
    assert tokenizer.get_vocab_size() <= 80
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert ids(load_tokenizer(tmp_path)) == ids(tokenizer)
    pair = tokenizer.encode("the", "cat")
    assert pair.type_ids == [0, 0, 0, *([1] * (len(pair.ids) - 3))]
