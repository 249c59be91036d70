"""The embedded sample data is complete, clean and consistent."""

from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest

from flowjax.data.documents import read_documents
from flowjax.data.sample import sentences_file

PAIRS = "pairs.tsv"
SENTENCES = "sentences.txt"


def _folder():
    here = Path(__file__).resolve().parents[2] / "flowjax" / "assets" / "sample"
    return here if here.is_dir() else files("flowjax") / "assets" / "sample"


def _lines(name):
    raw = (_folder() / name).read_bytes()
    text = raw.decode("utf-8")  # raises on anything that is not UTF-8
    assert not text.startswith("\ufeff")
    assert "\r" not in text
    assert text.endswith("\n")
    return text[:-1].split("\n")


@pytest.fixture(scope="module")
def pairs():
    header, *rows = _lines(PAIRS)
    assert header == "score\tsentence1\tsentence2"
    split = [row.split("\t") for row in rows]
    assert all(len(row) == 3 for row in split)
    return [(float(score), a, b) for score, a, b in split]


@pytest.fixture(scope="module")
def documents():
    return [block.split("\n") for block in "\n".join(_lines(SENTENCES)).split("\n\n")]


def test_counts_and_size(pairs, documents):
    assert len(pairs) >= 480
    assert len(documents) >= 60 and min(map(len, documents)) >= 5
    assert sum(map(len, documents)) >= 1400
    size = sum(p.stat().st_size for p in _folder().iterdir() if p.is_file())
    assert size < 300_000


def test_the_readme_counts_and_names_each_document(documents):
    readme = (_folder() / "README.md").read_text("utf-8")
    count, words = sum(map(len, documents)), len(" ".join(map(" ".join, documents)).split())
    assert f"{count:,} sentences" in readme and f"{words:,} words" in readme
    assert f"in {len(documents)} documents" in readme
    assert "\n31. " in readme and f"Documents 32 to {len(documents)} are" in readme
    assert "CC BY 2.5" in readme and "CC BY 4.0" in readme


def test_the_documents_are_read_as_they_are(documents):
    found = read_documents(sentences_file())
    assert found.unit == "block" and found.complete and not found.repeated
    assert [len(d) for d in found.documents] == [len(d) for d in documents]


def test_scores(pairs):
    assert all(0.0 <= score <= 5.0 for score, _, _ in pairs)
    assert all(round(score, 1) == score for score, _, _ in pairs)
    histogram = Counter(int(score + 0.5) for score, _, _ in pairs)
    assert set(histogram) == {0, 1, 2, 3, 4, 5}
    assert min(histogram.values()) >= 70
    assert max(histogram.values()) <= 100


def test_every_stretch_has_all_scores(pairs):
    scores = [score for score, _, _ in pairs]
    for start in range(0, len(scores) - 59, 60):
        assert len({int(s + 0.5) for s in scores[start : start + 60]}) == 6


def test_no_duplicates(pairs, documents):
    sentences = [s.casefold() for document in documents for s in document]
    assert len(set(sentences)) == len(sentences)
    assert len({frozenset((a, b)) for _, a, b in pairs}) == len(pairs)
    assert all(a != b for _, a, b in pairs)


def test_sentences_are_clean(pairs, documents):
    texts = [s for document in documents for s in document]
    for s in texts + [s for _, a, b in pairs for s in (a, b)]:
        assert s and s == s.strip()
        assert "\t" not in s and "  " not in s
        assert s.isprintable() and s[-1] in '.?!")', s
        assert 4 <= len(s.split()) <= 60, s
