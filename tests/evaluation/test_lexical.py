"""Edit distance against the recursive definition, and properties of a metric."""

from functools import cache

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from flowjax.evaluation import edit_distances, lexical_correlations, load_task

TEXT = st.text(alphabet="abc é", max_size=9)


def recursive(a, b):
    @cache
    def d(i, j):
        if not i or not j:
            return i + j
        return min(d(i - 1, j) + 1, d(i, j - 1) + 1, d(i - 1, j - 1) + (a[i - 1] != b[j - 1]))

    return d(len(a), len(b))


@given(st.lists(st.tuples(TEXT, TEXT), max_size=8))
def test_definition(pairs):
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    expected = [recursive(a, b) for a, b in pairs]
    assert edit_distances(first, second).tolist() == expected
    words = [recursive(a.split(), b.split()) for a, b in pairs]
    assert edit_distances(first, second, unit="word").tolist() == words
    shares = [d / max(len(a), len(b), 1) for d, (a, b) in zip(expected, pairs, strict=True)]
    np.testing.assert_allclose(edit_distances(first, second, normalize=True), shares)


@given(TEXT, TEXT, TEXT)
def test_edit_distance_is_a_metric(a, b, c):
    ab, ba, bc, ac, aa = edit_distances([a, b, b, a, a], [b, a, c, c, a])
    assert ab == ba
    assert aa == 0
    assert (ab == 0) == (a == b)
    assert ac <= ab + bc


def test_several_batches(rng):
    words = ["".join(rng.choice(list("abcd"), rng.integers(0, 12))) for _ in range(1300)]
    found = edit_distances(words, words[::-1])
    picked = range(0, 1300, 97)
    assert [found[i] for i in picked] == [recursive(words[i], words[1299 - i]) for i in picked]


def test_correlations_equal_scipys(rng):
    first = [" ".join(rng.choice(list("ABCD"), 6)) for _ in range(80)]
    second = [" ".join(rng.choice(list("abcd"), 6)) for _ in range(80)]
    gold = rng.random(80)
    words = [recursive(a.lower().split(), b.split()) for a, b in zip(first, second, strict=True)]
    expected = 100 * scipy.stats.spearmanr(words, gold)[0]
    assert lexical_correlations(first, second, {"gold": gold})["gold"] == pytest.approx(expected)


def test_bad_arguments():
    with pytest.raises(ValueError, match="sentences2: expected 2 sentences"):
        edit_distances(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="unit: expected 'character' or 'word', got 'byte'"):
        edit_distances(["a"], ["a"], unit="byte")


def test_the_papers_gold_row_on_real_stsb(real_data):
    pairs = load_task("stsb", real_data).pairs("dev")
    found = lexical_correlations(pairs.sentences1, pairs.sentences2, {"gold": pairs.gold})
    assert found["gold"] == pytest.approx(-24.61, abs=1.0)
