"""Weights of examples."""

from __future__ import annotations

from typing import Any

import numpy as np

from flowjax.errors import FlowjaxError, check_that


def check_weights(weights: Any, size: int, name: str = "weights") -> np.ndarray:
    """Returns the weights of examples in float64, scaled to the mean 1.

    Args:
        weights: non-negative numbers, shape (size,), not all zero.
        size: number of examples.
        name: name of the weights in error messages.

    Raises:
        FlowjaxError: The shape is wrong, a weight is masked, negative or not finite, or all
            weights are 0.

    Example:
        >>> check_weights([0, 1, 3, 4], 4).tolist()
        [0.0, 0.5, 1.5, 2.0]
        >>> check_weights([1.0, -2.0], 2)
        Traceback (most recent call last):
            ...
        flowjax.errors.FlowjaxError: weights: expected numbers of at least 0, got -2.0 at row 1
    """
    check_mask(weights, name)
    array = np.asarray(weights)
    check_that(array.shape == (size,), name, f"shape ({size},), one per example", array.shape)
    check_that(array.dtype.kind in "biuf", name, "real numbers", str(array.dtype))
    array = array.astype(np.float64)
    bad = np.flatnonzero(~(np.isfinite(array) & (array >= 0)))
    if len(bad):
        raise FlowjaxError(
            f"{name}: expected numbers of at least 0, got {array[bad[0]]} at row {bad[0]}"
        )
    largest = array.max()
    check_that(largest > 0, name, "at least one positive number", "only zeros")
    array /= largest  # the sum cannot overflow
    scaled: np.ndarray = array / array.mean()
    return scaled


def check_mask(values: Any, name: str) -> None:
    """Raises FlowjaxError if `values` is a masked array with masked entries.

    Example:
        >>> check_mask(np.ma.masked_equal([1, -9], -9), "data")
        Traceback (most recent call last):
            ...
        flowjax.errors.FlowjaxError: data: expected an array without masked values, got 1 of them \
(remove these rows, or replace the values)
    """
    if isinstance(values, np.ma.MaskedArray) and (count := int(np.ma.count_masked(values))):
        raise FlowjaxError(
            f"{name}: expected an array without masked values, got {count} of them (remove these "
            "rows, or replace the values)"
        )
