"""Tokenizers that transformers loads, compared with transformers' own results."""

import json
import pickle
import shutil

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from flowjax.encoder import SentenceEncoder
from flowjax.encoder.auto_tokenizer import SlowTokenizer, auto_tokenizer
from flowjax.encoder.tokenizer import encode_texts, load_tokenizer, unknown_id
from flowjax.errors import FlowjaxError

TEXTS = ["A man plays the guitar.", "the dog sat on the cat", "Señor, 猫!", ""]
JAPANESE = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "猫", "犬", "a", "man", "the"]


def write(folder, **files):
    for name, content in files.items():
        text = "\n".join(content) if isinstance(content, list) else json.dumps(content)
        ending = "txt" if isinstance(content, list) else "json"
        (folder / f"{name}.{ending}").write_text(text, "utf-8")
    return folder


@pytest.fixture
def roberta(tmp_path):
    """Folder with the `vocab.json` and `merges.txt` of a RoBERTa, without `tokenizer.json`."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(TEXTS * 9, trainer)
    made.model.save(str(tmp_path))
    return write(
        tmp_path,
        tokenizer_config={"tokenizer_class": "RobertaTokenizer"},
        config={"model_type": "roberta"},
    )


def japanese(folder, **options):
    """Writes a tokenizer whose class has no fast version."""
    kind = {"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "basic"}
    options = {**kind, "subword_tokenizer_type": "character", **options}
    return write(folder, vocab=JAPANESE, tokenizer_config=options)


def test_byte_level_files(roberta):
    from transformers import AutoTokenizer

    loaded = load_tokenizer(roberta)
    expected = AutoTokenizer.from_pretrained(roberta, local_files_only=True)
    assert encode_texts(loaded, TEXTS) == [expected.encode(text) for text in TEXTS]
    assert all(row[0] == 0 and row[-1] == 2 for row in encode_texts(loaded, TEXTS))


def test_a_class_without_a_fast_version(tmp_path):
    from transformers import AutoTokenizer

    loaded = load_tokenizer(japanese(tmp_path))
    expected = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert isinstance(loaded, SlowTokenizer)
    rows = encode_texts(loaded, TEXTS)
    assert rows == [expected.encode(text) for text in TEXTS] and 5 in rows[2]
    assert unknown_id(loaded) == 1 and loaded.get_vocab()["猫"] == 5
    assert load_tokenizer(tmp_path, lower_case=True).encode("A").ids == loaded.encode("a").ids


def test_an_encoder_with_such_a_tokenizer(encoder_folder, tmp_path):
    """Save, load and pickle keep the vectors and the digest."""
    folder = tmp_path / "encoder"
    shutil.copytree(encoder_folder, folder)
    japanese(folder)
    encoder = SentenceEncoder.from_pretrained(folder)
    vectors = encoder.encode(TEXTS)
    encoder.save(tmp_path / "saved")
    for other in (
        SentenceEncoder.from_pretrained(tmp_path / "saved"),
        pickle.loads(pickle.dumps(encoder)),
    ):
        np.testing.assert_array_equal(other.encode(TEXTS), vectors)
        assert other.digest == encoder.digest


@pytest.mark.parametrize(
    "options, message",
    [
        ({"word_tokenizer_type": "mecab"}, "tokenizer_class: .*got BertJapaneseTokenizer; .*"),
        ({"tokenizer_class": "KoBertTokenizer"}, "tokenizer_class: .* got KoBertTokenizer; .*"),
        # transformers would ignore vocab.txt, and every word would be unknown.
        ({"tokenizer_class": "RobertaTokenizer"}, "knows none of"),
        ({"tokenizer_class": "XLMRobertaTokenizer"}, "got XLMRobertaTokenizer; .*"),
    ],
)
def test_a_tokenizer_that_cannot_be_loaded_is_one_line(tmp_path, options, message):
    with pytest.raises(FlowjaxError, match=message) as caught:
        load_tokenizer(japanese(tmp_path, **options))
    assert "\n" not in str(caught.value)


def test_damaged_files(roberta):
    (roberta / "merges.txt").write_text("x")
    (roberta / "vocab.json").write_text("{")
    with pytest.raises(FlowjaxError, match=r"got neither; .* transformers can load") as caught:
        load_tokenizer(roberta)
    assert "\n" not in str(caught.value)


def test_no_code_of_the_folder_runs(tmp_path):
    (tmp_path / "evil.py").write_text("raise SystemExit('code of the folder ran')")
    options = {"auto_map": {"AutoTokenizer": ["evil.Evil", None]}, "tokenizer_class": "Evil"}
    write(tmp_path, vocab=JAPANESE, tokenizer_config=options)
    with pytest.raises(FlowjaxError, match="got Evil"):
        load_tokenizer(tmp_path)
    with pytest.raises(FlowjaxError):
        auto_tokenizer(tmp_path)
