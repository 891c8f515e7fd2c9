"""Where a panel counts: what the engine puts around every factor. Not part of the expression language."""

from __future__ import annotations

import numpy as np

from features.graph import operator
from features.operators.blocks import over_assets
from features.operators.compiled import compiled
from features.panel import Float32Array, Float64Array

# What a float32 of the store can hold.
_LARGEST = float(np.finfo(np.float32).max)


@compiled
def store_blank(x: Float64Array, where: Float64Array, out: Float64Array | Float32Array) -> None:
    """`blank` of panels of one shape into a part of another panel."""
    for t in range(x.shape[0]):
        cells, keep, to = x[t], where[t], out[t]
        for j in range(len(cells)):
            to[j] = cells[j] if keep[j] > 0.0 and abs(cells[j]) <= _LARGEST else np.nan


@compiled
def _blank(x: Float64Array, where: Float64Array, start: int, stop: int, out: Float64Array) -> None:
    store_blank(x[:, start:stop], where[:, start:stop], out[:, start:stop])


@operator("cell")
def blank(x: Float64Array, where: Float64Array) -> Float64Array:
    """x where the second panel is above 0 and x is a number that the store can hold, NaN elsewhere."""
    return over_assets(_blank, [x, where])


@operator("cell")
def finite(x: Float64Array) -> Float64Array:
    """x where it is a number that the store can hold, NaN elsewhere."""
    return over_assets(_blank, [x, np.ones((1, 1))])
