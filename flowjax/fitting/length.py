"""Length of a fit: the number of training steps."""

from __future__ import annotations

import math

# Steps of a fit whose length is not given, unless one pass over the examples is longer.
LEAST_STEPS = 1000
# Passes after which such a fit ends even before LEAST_STEPS, because it would overfit.
MOST_EPOCHS = 200


def training_steps(
    examples: int, batch_size: int, *, steps: int | None = None, epochs: float | None = None
) -> int:
    """Returns the number of training steps of a fit, of `flowjax.fit` and of the commands.

    If neither `steps` nor `epochs` is given, a fit is one pass over the examples long, but at
    least 1,000 steps, or 200 passes if these are fewer steps. One pass over few examples leaves a
    flow almost untrained.

    Args:
        examples: number of training examples, without those held out.
        batch_size: number of examples per step.
        steps: number of steps, or None.
        epochs: number of passes over the examples, or None; ignored if `steps` is given.

    Example:
        >>> training_steps(2_000, 256), training_steps(1_000_000, 64), training_steps(100, 64)
        (1000, 15625, 400)
        >>> training_steps(2_000, 250, epochs=1)
        8
    """
    if steps is not None:
        return steps
    if epochs is not None:
        return max(1, round(epochs * examples / batch_size))
    one_pass = max(1, math.ceil(examples / batch_size))
    return max(round(examples / batch_size), min(LEAST_STEPS, MOST_EPOCHS * one_pass))
