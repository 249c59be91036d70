"""Numbers of steps of a dispatch: limited by bytes, by time and by boundaries."""

from __future__ import annotations

import numpy as np
import pytest

from flowjax.data.arrays import ArraySource
from flowjax.training.dispatch import DISPATCH_BYTES, Plan, max_steps


@pytest.mark.parametrize(
    ("columns", "batch_size"), [(4, 64), (1024, 64), (1024, 2048), (9, 10**6)]
)
def test_streamed_batches_of_a_dispatch_are_bounded(columns, batch_size):
    source = ArraySource(np.zeros((3, columns), np.float32), resident=False)
    steps = max_steps(source, batch_size)
    assert steps == min(256, max(8, DISPATCH_BYTES // (4 * columns * batch_size)))
    assert max_steps(ArraySource(np.zeros((3, columns), np.float32)), batch_size) == 256


def test_the_pace_takes_about_half_a_second():
    plan = Plan(1000, (0, 0), 100)
    assert [plan.pace(10, seconds) for seconds in (0.1, 0.5, 5.0, 100.0)] == [50, 10, 1, 1]
    assert plan.pace(90, 1e-9) == 100


def test_dispatches_end_at_boundaries_and_at_the_end():
    plan = Plan(50, (20, 7), 10)
    assert [plan.end(start, 99) for start in (0, 7, 15, 20, 45, 49)] == [7, 14, 20, 21, 49, 50]
    assert plan.end(0, 3) == 3 and Plan(50, (0, 0), 10).end(0, 99) == 10
