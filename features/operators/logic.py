"""Conditions as panels: 1, 0, or NaN where what they are about is not known."""

from __future__ import annotations

import numpy as np

from features.panel import BoolArray, Float64Array


def flag(condition: BoolArray, *operands: Float64Array) -> Float64Array:
    """1 where the condition holds, 0 where it does not, NaN where any of the operands is; shapes broadcast."""
    unknown = np.zeros(1, dtype=np.bool_)
    for operand in operands:
        unknown = unknown | np.isnan(operand)
    return np.where(unknown, np.nan, np.asarray(condition, dtype=np.float64))
