"""Learning-rate schedules of `fit` and `pretrain`, by name: constant, cosine, trapezoid."""

from __future__ import annotations

import optax

from flowjax.errors import FlowjaxError, check_integer, check_number

SCHEDULES = ("constant", "cosine", "trapezoid")


def make_schedule(
    name: str,
    rate: float,
    *,
    steps: int | None = None,
    warmup_steps: int = 0,
    decay_steps: int = 0,
) -> optax.Schedule:
    """Returns a learning-rate schedule, a function of the step.

    All schedules begin with a linear warm-up from 0 if `warmup_steps` is positive.

    Args:
        name: "constant"; "cosine", which decays to a tenth of `rate` at the last step; or
            "trapezoid", which is constant and then decays linearly to 0 in the last `decay_steps`
            steps. Before its decay, "trapezoid" does not depend on `steps`: a run can be extended
            or shortened when it is resumed.
        rate: largest learning rate, > 0.
        steps: length of the run in steps; not needed for "constant".
        warmup_steps: length of the warm-up in steps.
        decay_steps: length of the decay of "trapezoid" in steps.

    Returns:
        An optax schedule.

    Raises:
        FlowjaxError: `name` is unknown, a number is out of range, `steps` is missing, or `steps`
            is less than `warmup_steps + decay_steps`.

    References:
        "trapezoid": https://arxiv.org/abs/2405.18392.

    Example:
        >>> schedule = make_schedule("trapezoid", 0.5, steps=10, warmup_steps=2, decay_steps=4)
        >>> [float(schedule(step)) for step in (0, 1, 2, 6, 8, 10)]
        [0.0, 0.25, 0.5, 0.5, 0.25, 0.0]
    """
    if name not in SCHEDULES:
        raise FlowjaxError(f"schedule: expected one of {', '.join(SCHEDULES)}, got {name!r}")
    check_number("learning_rate", rate, above=0)
    check_integer("warmup_steps", warmup_steps)
    check_integer("decay_steps", decay_steps)
    if steps is None:
        if name != "constant":
            raise FlowjaxError(f"steps: expected a number for schedule {name!r}, got None")
        steps = 0
    if name == "cosine":
        first = 0.0 if warmup_steps else rate
        return optax.warmup_cosine_decay_schedule(first, rate, warmup_steps, steps, 0.1 * rate)
    parts, starts = [optax.constant_schedule(rate)], []
    if warmup_steps:
        parts.insert(0, optax.linear_schedule(0.0, rate, warmup_steps))
        starts.append(warmup_steps)
    if name == "trapezoid":
        if steps < warmup_steps + decay_steps:
            raise FlowjaxError(
                "steps: expected at least warmup_steps + decay_steps = "
                f"{warmup_steps + decay_steps}, got {steps}"
            )
        if decay_steps:
            parts.append(optax.linear_schedule(rate, 0.0, decay_steps))
            starts.append(steps - decay_steps)
    return optax.join_schedules(parts, starts)
