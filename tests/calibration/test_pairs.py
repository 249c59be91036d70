"""Label-free pairs: what is paired, what is left out."""

import pytest

from flowjax.calibration.pairs import Pairs, dropped_words, halves, neighbours
from flowjax.errors import FlowjaxError

LONG = "the quick brown fox jumps over the lazy dog today"


def test_neighbours_use_a_sentence_once_and_skip_repeated_ones():
    documents = [
        ["a", "b", "c", "d", "e"],
        ["lonely"],
        [],
        ["x", "x"],
        ["f", "b"],  # b is in a pair already
        ["g", " "],
        ("h", "i"),
    ]
    assert neighbours(documents) == Pairs("neighbours", ["a", "c", "h"], ["b", "d", "i"])
    assert neighbours(iter([])) == Pairs("neighbours", [], [])


def test_halves_join_to_the_sentence():
    pairs = halves([LONG, "only seven words are in this one", LONG, LONG + " again"])
    assert pairs.kind == "halves"
    assert pairs.left[0] == "the quick brown fox jumps"
    assert f"{pairs.left[0]} {pairs.right[0]}" == LONG
    assert len(pairs.left) == 1  # the last one begins with a half of an earlier pair
    assert halves(["one two"], least_words=2).right == ["two"]


def test_a_script_without_spaces_is_split_by_characters():
    text = "敏捷的棕色狐狸跳过了那只懒惰的狗然后跑进了森林深处"
    pairs = halves([text, "短句"])
    assert pairs.left[0] + pairs.right[0] == text and len(pairs.left) == 1
    assert len(dropped_words([text]).right[0]) == pytest.approx(len(text) / 2, abs=1)


def test_dropped_words_keep_the_order_and_follow_the_seed():
    sentences = [" ".join(f"{word}{i}" for word in LONG.split()) for i in range(50)]
    pairs = dropped_words(sentences, seed=3, rate=0.3)
    assert pairs.left == sentences
    for whole, part in zip(pairs.left, pairs.right):
        words = iter(whole.split())
        assert len(part.split()) == 7 and all(word in words for word in part.split())
    assert dropped_words(sentences, seed=3, rate=0.3) == pairs
    assert dropped_words(sentences, seed=4, rate=0.3) != pairs
    assert dropped_words(["short", ""], seed=0) == Pairs("dropped_words", [], [])


@pytest.mark.parametrize("rate", [0.01, 0.99])
def test_at_least_one_word_stays_and_one_goes(rate):
    assert len(dropped_words([LONG], rate=rate).right[0].split()) == (9 if rate < 0.5 else 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda: halves([LONG], least_words=1),
        lambda: dropped_words([LONG], rate=0.0),
        lambda: dropped_words([LONG], rate=1.0),
        lambda: dropped_words([LONG], seed=-1),
        lambda: neighbours([[1, 2]]),
    ],
)
def test_bad_arguments(call):
    with pytest.raises(FlowjaxError, match="expected"):
        call()
