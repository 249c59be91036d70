"""Documents of sentences: structure of a source, sentence splitting, samples, errors."""

import json

import numpy as np
import pytest

from flowjax.data.documents import read_documents
from flowjax.data.splitting import split_sentences
from flowjax.errors import FlowjaxError

TEXT = "Cats purr. Dogs bark loudly."


@pytest.mark.parametrize(
    ("texts", "unit", "documents"),
    [
        ([TEXT, "Rain falls.", "", "A. B here.", ""], "block", 2),
        ([TEXT, "Sun? Yes!"], "text", 2),
        ([TEXT.replace(". ", ".\n"), "Sun shines.\nRain falls."], "text", 2),
        (["one line", "two lines", "three lines"], "line", 3),
        (["One.", "", "Two.", "", "Three."], "line", 3),
        (["Each line. Has two.", "one", "two", "three"], "line", 4),
        ([" ".join(f"Sentence {i} here." for i in range(50))], "text", 1),
    ],
)
def test_structure(texts, unit, documents):
    found = read_documents(texts)
    assert (found.unit, len(found.documents)) == (unit, documents)
    assert found.complete and found.known == (unit != "line")
    words = " ".join(texts).split()
    assert " ".join(found.sentences).split() == words or unit == "block" or unit == "line"


@pytest.mark.parametrize(
    "text",
    [
        "Mr. A. B. Cole of the U.S. Senate met Dr. Lee, Ph.D. candidate, at 6 p.m. on Jan. 3.",
        "It rose 3.5 % to $1.20, i.e. more than No. 7 vs. No. 8 (see Fig. 2).",
        '"Why?" she asked... and left',
    ],
)
def test_abbreviations_do_not_end_a_sentence(text):
    assert split_sentences(text) == [text]
    assert split_sentences(f"{text} {text}"[:-1] + ".")


def test_every_word_is_kept_in_order():
    rng = np.random.default_rng(0)
    words = ["a.", "B.", "Dr.", "c!", "D?", "e", "F", "1.", "(G)", '"H."', "i.e.", "今。", "etc."]
    for _ in range(50):
        text = " ".join(rng.choice(words, 30))
        found = split_sentences(text)
        assert "".join(found).replace(" ", "") == text.replace(" ", "")


def test_files_of_every_kind_agree(tmp_path):
    blocks = [["Cats purr. Dogs bark.", "Rain falls."], ["Sun shines. Birds sing."]]
    (tmp_path / "a.txt").write_text("\n\n".join("\n".join(b) for b in blocks))
    rows = [{"text": "\n".join(b)} for b in blocks]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    lines = read_documents(tmp_path / "a.txt")
    records = read_documents(tmp_path / "a.jsonl", "text")
    assert lines.documents == records.documents and lines.name == str(tmp_path / "a.txt")


def test_wrapped_lines_are_joined():
    words = " ".join(f"word{i % 90}" for i in range(400)) + "."
    lines = []
    for word in words.split():
        if lines and len(lines[-1]) + len(word) < 70:
            lines[-1] += " " + word
        else:
            lines.append(word)
    found = read_documents([*lines, "", "Next one. And more."])
    assert found.documents[0] == [words]
    # Sentences of similar lengths without full stops are not wrapped.
    rng = np.random.default_rng(0)
    short = [" ".join(f"w{i}" for i in rng.integers(0, 3000, 11)) for _ in range(90)]
    assert read_documents([*short[:45], "", *short[45:]]).sentences == short


def test_sample_is_bounded_seeded_and_declared():
    texts = [t for i in range(400) for t in (f"First {i}. Second {i}. Third {i}.", "")]
    some = read_documents(texts, most=90, seed=3)
    assert not some.complete and 90 <= len(some.sentences) <= 93 and some.read == 400
    assert some == read_documents(texts, most=90, seed=3)
    assert some.documents != read_documents(texts, most=90, seed=4).documents
    assert read_documents(texts, most=1200).complete
    # A few long documents fill the sample as well as many short ones.
    long = [" ".join(f"Sentence {i} of {k}." for i in range(300)) for k in range(4)]
    assert len(read_documents(long, most=600).sentences) >= 600


def test_repeated_sentences_are_counted():
    found = read_documents(["Same here.", "Same here.", "Other."])
    assert (found.repeated, found.sentences) == (1, ["Same here.", "Other."])


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "expected text, got no line with words"),
        (b"\n \n", "expected text, got no line with words"),
        (b"a\0b\n", "got a NUL character in text 1"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "expected UTF-8 text"),
    ],
)
def test_bad_files(tmp_path, raw, expected):
    path = tmp_path / "bad.txt"
    path.write_bytes(raw)
    with pytest.raises(FlowjaxError, match=expected) as error:
        read_documents(path)
    assert "\n" not in str(error.value)
