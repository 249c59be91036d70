"""The verdict of an evaluation names the results on which other vectors are better."""

import pytest

from flowjax.evaluation import verdict


def leaf(value, name="spearman"):
    return {"pairs": 9, name: value}


STSB = {"dev": {"plain": leaf(60.0), "glow": leaf(70.0)},
        "test": {"plain": leaf(60.0), "whitening": leaf(71.0), "glow": leaf(70.0)}}  # fmt: skip
STS12 = {"test": {kind: {"all": leaf(a), "wmean": leaf(b), "subsets": {"x": leaf(0.0)}}
                  for kind, a, b in (("plain", 1.0, 2.0), ("glow", 0.5, 3.0))}}  # fmt: skip
CASES = [
    ({"stsb": STSB}, "not the best on 1 of 2 results: stsb test: whitening 71.00, glow 70.00"),
    ({"sts12": STS12}, "not the best on 1 of 2 results: sts12 test all: plain 1.00, glow 0.50"),
    ({"q": {"dev": {"plain": leaf(9.0, "auc"), "glow": leaf(8.0, "auc")}}}, "q dev: plain 9.00"),
    ({"s": {"dev": {"plain": leaf(1.001), "glow": leaf(1.0)}}}, "no other vectors are better"),
    ({"s": {"dev": {"glow": leaf(1.0)}}}, "no other vectors to compare with"),
    ({}, "no other vectors to compare with"),
]


@pytest.mark.parametrize(("results", "expected"), CASES)
def test_verdict(results, expected):
    line = verdict({"results": results}, "glow")
    assert line.startswith("verdict: ") and expected in line and "\n" not in line
