"""Compiled kernel of the mean whose weights fall with age for ever; laid out as those of `sum_kernels`."""

from __future__ import annotations

import numpy as np

from features.operators.compiled import compiled
from features.operators.sum_kernels import LANES, tile_of
from features.panel import Float64Array

# Rows of the state: count of valid cells within reach, mean, sum of the weights in units of today's.
_N, _MEAN, _WEIGHTS = 0, LANES, 2 * LANES
_ROWS = 3


@compiled
def decaying(x: Float64Array, start: int, stop: int, decay: float, reach: int, least: int, out: Float64Array) -> None:
    """Mean with the weight decay**age over all valid cells; NaN with fewer than `least` within the last `reach`.

    A missing session ages the cells before it, and keeps their mean.
    """
    least = max(least, 1)
    s, nothing = np.zeros(_ROWS * LANES), np.full(LANES, np.nan)
    done = start
    while done < stop:
        a, b = tile_of(start, stop, done)
        s[:] = 0.0
        for t in range(x.shape[0]):
            comes, goes, to = x[t, a:], x[t - reach, a:] if t >= reach else nothing, out[t, a:]
            for j in range(b):
                valid, left = abs(comes[j]) < np.inf, abs(goes[j]) < np.inf
                carried, mean = decay * s[_WEIGHTS + j], s[_MEAN + j]
                weights = carried + (1.0 if valid else 0.0)
                # From the newest cell on, so that a constant stays what it is to the last digit.
                mean = comes[j] + (mean - comes[j]) * (carried / weights) if valid else mean
                n = s[_N + j] + (1.0 if valid else 0.0) - (1.0 if left else 0.0)
                s[_N + j], s[_MEAN + j], s[_WEIGHTS + j] = n, mean, weights
                to[j] = mean if n >= least else np.nan
        done = a + b
