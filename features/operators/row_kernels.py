"""Compiled kernels of the cross-sectional operators: a session, one contiguous row, at a time."""

from __future__ import annotations

import numpy as np
from numba import njit

from features.panel import Float64Array


@njit(nogil=True, cache=True)
def mid_rank(x: Float64Array) -> Float64Array:
    """(rank - 1/2) / N of every valid cell of its row, ties sharing the mean of their ranks."""
    t_end, n_end = x.shape
    out = np.full((t_end, n_end), np.nan)
    for t in range(t_end):
        order = np.argsort(x[t])
        n = 0
        while n < n_end and not np.isnan(x[t, order[n]]):
            n += 1
        start = 0
        while start < n:
            stop = start + 1
            while stop < n and x[t, order[stop]] == x[t, order[start]]:
                stop += 1
            for i in range(start, stop):
                out[t, order[i]] = 0.5 * (start + stop) / n
            start = stop
    return out


@njit(nogil=True, cache=True)
def median_and_mad(x: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Median of the valid cells of each row, and the median distance from it; NaN for an empty row."""
    t_end, n_end = x.shape
    median, mad = np.full(t_end, np.nan), np.full(t_end, np.nan)
    valid = np.empty(n_end)
    for t in range(t_end):
        n = 0
        for i in range(n_end):
            if not np.isnan(x[t, i]):
                valid[n] = x[t, i]
                n += 1
        if n > 0:
            median[t] = np.median(valid[:n])
            for i in range(n):
                valid[i] = abs(valid[i] - median[t])
            mad[t] = np.median(valid[:n])
    return median, mad
