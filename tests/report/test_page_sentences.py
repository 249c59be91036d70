"""Sentences of reports over tables of values: they never contradict the values."""

import pytest

from flowjax.report import sentences
from flowjax.report.inputs import Seen


@pytest.mark.parametrize(
    ("value", "low", "high", "start"),
    [
        (2.0, 0.1, 4.0, "glow is better than plain"),
        (-5.8, -7.0, -4.0, "glow is worse than plain"),
        (0.2, -1.0, 1.4, "no clear difference between glow and plain"),
        (0.0, 0.0, 0.0, "no clear difference between glow and plain"),
        (3.0, 0.0, 6.0, "no clear difference between glow and plain"),
    ],
)
def test_a_difference_is_clear_only_if_its_interval_excludes_zero(value, low, high, start):
    text = sentences.difference("glow", "plain", value, low, high)
    assert text == f"{start}: {value:+z.1f} [{low:+z.1f}, {high:+z.1f}]"


@pytest.mark.parametrize(
    ("intervals", "text"),
    [
        ([(1, 2)], "glow against plain on 1 result: 1 better."),
        ([(-3, -1), (-2, -1)], "glow against plain on 2 results: 2 worse."),
        ([(-3, -1), (1, 2), (-1, 1)], "on 3 results: 1 better, 1 worse, 1 no clear difference."),
        ([], "glow against plain on 0 results: none."),
    ],
)
def test_the_summary_counts_all_results(intervals, text):
    assert sentences.summary("glow", {"plain": intervals}).endswith(text)


@pytest.mark.parametrize(
    ("value", "words", "never"),
    [
        (0.85, "plain 0.85 (high: the vectors lie in a narrow cone)", "near 0"),
        (0.30, "narrow cone", "near 0"),
        (0.15, "above 0: the vectors lie in a wide cone", "narrow"),
        (0.065, "plain 0.07 (near 0, as for isotropic vectors)", "cone)"),
        (-0.001, "plain 0.00 (near 0", "-0.00"),
        (-0.2, "plain -0.20 (below 0)", "cone)"),
    ],
)
def test_a_cone_is_stated_only_for_high_cosines(value, words, never):
    text = sentences.cone({"plain": value})
    assert words in text and never not in text


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ({"plain": 0.1, "whitening": 0.99, "glow": 0.6}, "glow is more isotropic than plain."),
        ({"plain": 0.293, "whitening": 0.211}, "whitening is less isotropic than plain."),
        ({"plain": 0.90, "glow": 0.91}, "glow and plain are about equally isotropic."),
        ({"plain": 0.5}, "exact Gaussian sample of this size has 0.95."),
    ],
)
def test_isoscores_are_compared_by_their_values(scores, words):
    text = sentences.isoscores(scores, 0.951)
    assert text.endswith(words) and "has 0.95." in text


@pytest.mark.parametrize(
    ("part", "words", "short"),
    [
        (None, "not known", "may be in-sample"),
        (Seen(0.0), "on other sentences.", "held-out sentences"),
        (
            Seen(0.0, 0.5),
            "on other sentences, and the flow was selected on 50 %",
            "selected on them",
        ),
        (Seen(0.0001), "on 1 % of these", "1 % in-sample"),
        (Seen(0.5), "on 50 % of these sentences, without labels.", "50 % in-sample"),
        (Seen(0.75, 0.25), "on 75 % of these sentences, and the flow was", "75 % in-sample"),
        (Seen(0.75, 0.25), "selected on 25 % that were held out from the fit", "75 % in-sample"),
        (Seen(0.999), "on 99 % of these", "99 % in-sample"),
        (Seen(1.0), "In-sample", "in-sample"),
    ],
)
def test_values_of_fitted_sentences_are_called_in_sample(part, words, short):
    assert words in sentences.seen(part)
    assert sentences.short_seen(part) == short


@pytest.mark.parametrize(
    ("changed", "count", "words"),
    [
        (0, 50, "all of 50 sentences keep their nearest sentence"),
        (1, 1000, "0.1 % of 1,000 sentences"),
        (999, 1000, "99.9 % of 1,000"),
        (40, 40, "100 % of 40"),
        (10, 40, "25 % of 40"),
    ],
)
def test_changes_of_neighbours(changed, count, words):
    assert words in sentences.neighbours(changed, count, "glow")
