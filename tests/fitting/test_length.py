"""Length of a fit in steps."""

from __future__ import annotations

import pytest

from flowjax.fitting.length import training_steps

LENGTHS = [
    ({"steps": 7}, 7),
    ({"steps": 7, "epochs": 3}, 7),
    ({"epochs": 0.5}, 5),
    ({"epochs": 1.5}, 15),
    ({"epochs": 2}, 20),
    ({"epochs": 0.001}, 1),
    ({"epochs": 1.26}, 13),
]


@pytest.mark.parametrize(("options", "steps"), LENGTHS, ids=str)
def test_given_lengths(options, steps):
    assert training_steps(1000, 100, **options) == steps


@pytest.mark.parametrize(
    ("examples", "steps"),
    [(1, 200), (64, 200), (65, 400), (300, 1000), (64_000, 1000), (64_100, 1002), (10**6, 15_625)],
)
def test_one_pass_but_at_least_1000_steps_or_200_passes(examples, steps):
    assert training_steps(examples, 64) == steps
