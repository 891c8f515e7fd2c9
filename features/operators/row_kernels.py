"""Kernels of the cross-sectional operators: a session, one contiguous row, at a time.

A kernel takes a whole panel, the sessions start:stop that it is to do, and the array that it writes.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from features.panel import Float64Array, IntArray

_compiled = njit(nogil=True, cache=True, error_model="numpy")


def mid_rank(x: Float64Array, start: int, stop: int, out: Float64Array) -> None:
    """(rank - 1/2) / N of every valid cell of its row, ties sharing the mean of their ranks."""
    # numpy sorts several cells in one instruction, unless there is a NaN among them.
    order = np.argsort(np.where(np.isnan(x[start:stop]), np.inf, x[start:stop]), axis=1)
    _ranks(x, order, start, out)


@_compiled
def _ranks(x: Float64Array, order: IntArray, first: int, out: Float64Array) -> None:
    for i in range(len(order)):
        row, ranks = x[first + i], out[first + i]
        ranks[:] = np.nan
        n = len(row) - np.isnan(row).sum()
        start = 0
        while start < n:
            stop = start + 1
            while stop < n and row[order[i, stop]] == row[order[i, start]]:
                stop += 1
            for k in range(start, stop):
                ranks[order[i, k]] = 0.5 * (start + stop) / n
            start = stop


def median_and_mad(x: Float64Array, start: int, stop: int, out: Float64Array) -> None:
    """Median of the valid cells of each row, and the median distance from it, (T, 2); NaN for an empty row."""
    for t in range(start, stop):
        valid = x[t][~np.isnan(x[t])]
        out[t, 0] = _median(valid)
        valid -= out[t, 0]
        np.abs(valid, out=valid)
        out[t, 1] = _median(valid)


def _median(v: Float64Array) -> float:
    """Median of v, which is reordered; np.median would spend as long again on looking at its arguments."""
    half = len(v) // 2
    if len(v) == 0:
        return np.nan
    v.partition(half)
    return float(v[half] if len(v) % 2 else 0.5 * (v[:half].max() + v[half]))
