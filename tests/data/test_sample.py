"""The embedded sample data is complete, clean and consistent."""

from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest

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
def sentences():
    return _lines(SENTENCES)


def test_counts_and_size(pairs, sentences):
    assert len(pairs) >= 480
    assert len(sentences) >= 3000
    own = {s for _, a, b in pairs for s in (a, b)}
    assert len(set(sentences) - own) >= 2200
    size = sum(p.stat().st_size for p in _folder().iterdir() if p.is_file())
    assert size < 450_000


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


def test_no_duplicates(pairs, sentences):
    assert len(set(sentences)) == len(sentences)
    assert len({s.casefold() for s in sentences}) == len(sentences)
    assert len({frozenset((a, b)) for _, a, b in pairs}) == len(pairs)
    assert all(a != b for _, a, b in pairs)


def test_sentences_are_clean(pairs, sentences):
    for s in sentences + [s for _, a, b in pairs for s in (a, b)]:
        assert s and s == s.strip()
        assert "\t" not in s and "  " not in s
        assert s[0].isupper() and s[-1] in ".?!", s
        assert 4 <= len(s.split()) <= 25, s


def test_every_pair_sentence_is_in_sentences(pairs, sentences):
    known = set(sentences)
    assert all(a in known and b in known for _, a, b in pairs)
