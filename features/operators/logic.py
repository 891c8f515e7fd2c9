"""Conditions as panels: 1, 0, or NaN where what they are about is not known (NaN or ±inf); a panel is true above 0."""

from __future__ import annotations

import numpy as np

from features.graph import operator
from features.panel import BoolArray, Float64Array


@operator("cell")
def flag(condition: BoolArray, *operands: Float64Array) -> Float64Array:
    """1 where the condition holds, 0 where it does not, NaN where any of the operands is missing; shapes broadcast."""
    unknown = np.zeros(1, dtype=np.bool_)
    for operand in operands:
        unknown = unknown | ~np.isfinite(operand)
    return np.where(unknown, np.nan, np.asarray(condition, dtype=np.float64))


@operator("cell")
def negate(condition: Float64Array) -> Float64Array:
    """1 where the condition does not hold, 0 where it does, NaN where it is not known."""
    return np.where(np.isfinite(condition), np.where(np.greater(condition, 0), 0.0, 1.0), np.nan)


@operator("cell")
def both(x: Float64Array, y: Float64Array) -> Float64Array:
    """1 where both conditions hold, else 0; NaN where either is not known."""
    holds = np.greater(x, 0) & np.greater(y, 0)
    return np.where(np.isfinite(x) & np.isfinite(y), holds, np.nan)


@operator("cell")
def either(x: Float64Array, y: Float64Array) -> Float64Array:
    """1 where one condition holds or both do, else 0; NaN where either is not known."""
    holds = np.greater(x, 0) | np.greater(y, 0)
    return np.where(np.isfinite(x) & np.isfinite(y), holds, np.nan)


@operator("cell")
def if_else(condition: Float64Array, x: Float64Array, y: Float64Array) -> Float64Array:
    """x where the condition holds, y where it does not; NaN where it is not known."""
    return np.where(np.isfinite(condition), np.where(np.greater(condition, 0), x, y), np.nan)


@operator("cell")
def signed_power(x: Float64Array, a: float) -> Float64Array:
    """The size of x to the power of a, with the sign of x."""
    return np.asarray(np.sign(x) * np.abs(x) ** a)
