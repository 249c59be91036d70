"""Learning-rate schedules."""

import optax
import pytest

from flowjax.errors import FlowjaxError
from flowjax.training.schedules import SCHEDULES, make_schedule


def rates(schedule, steps=20):
    return [round(float(schedule(step)), 6) for step in range(steps + 1)]


@pytest.mark.parametrize("name", SCHEDULES)
def test_warm_up_is_linear_from_zero_to_the_rate(name):
    schedule = make_schedule(name, 0.5, steps=20, warmup_steps=5, decay_steps=5)
    assert rates(schedule)[:6] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])


@pytest.mark.parametrize("name", SCHEDULES)
def test_without_warm_up_the_first_rate_is_the_full_rate(name):
    assert float(make_schedule(name, 0.5, steps=20)(0)) == 0.5


def test_constant_needs_no_steps():
    assert set(rates(make_schedule("constant", 0.25))) == {0.25}


def test_cosine_ends_at_a_tenth():
    ours, theirs = (
        make_schedule("cosine", 0.5, steps=20),
        optax.cosine_decay_schedule(0.5, 20, 0.1),
    )
    assert rates(ours) == pytest.approx(rates(theirs))
    assert rates(ours)[-1] == pytest.approx(0.05)


def test_trapezoid_depends_on_the_length_only_in_its_decay():
    short = make_schedule("trapezoid", 0.5, steps=20, warmup_steps=5, decay_steps=5)
    long = make_schedule("trapezoid", 0.5, steps=90, warmup_steps=5, decay_steps=5)
    assert rates(short)[:16] == rates(long)[:16]
    assert rates(short)[15:] == pytest.approx([0.5, 0.4, 0.3, 0.2, 0.1, 0])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("liner", {"steps": 9}, "schedule: expected one of constant, cosine, trapezoid"),
        ("cosine", {}, "steps: expected a number for schedule 'cosine', got None"),
        (
            "trapezoid",
            {"steps": 9, "warmup_steps": 5, "decay_steps": 5},
            "at least .* = 10, got 9",
        ),
    ],
)
def test_invalid_schedules_raise(name, options, message):
    with pytest.raises(FlowjaxError, match=message):
        make_schedule(name, 0.5, **options)
