"""Range variances as logarithms take them: none may be zero, and those that were are counted."""

from __future__ import annotations

from typing import Final

import numpy as np

from features.panel import Float64Array
from models.base import FitError
from models.volatility.base import Returns

FLOOR: Final = 0.01  # of the window's median: a session locked at its limit has no range, and is no calm one either


def range_variance(who: str, returns: Returns) -> Float64Array:
    """The range variances of returns, (T,); FitError where they are not known."""
    if returns.range_variance is None:
        raise FitError(who, "it needs the range variance of every session", "none")
    return returns.range_variance


def floor_of(who: str, x: Float64Array) -> float:
    """The least range variance that a fit on x (T,) takes for one: FLOOR of the median of those that are not zero.

    Errors  FitError where half of them are zero or they do not vary
    """
    positive = x[x > 0]
    if 2 * len(positive) <= len(x):
        raise FitError(who, "most range variances must be positive", f"{len(positive)} of {len(x)}")
    if float(np.ptp(positive)) <= 1e-12 * float(positive.max()):
        raise FitError(who, "the range variances must vary", f"{len(x)} that do not")
    return FLOOR * float(np.median(positive))
