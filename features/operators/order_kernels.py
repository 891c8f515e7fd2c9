"""Compiled kernels of rolling order statistics: percentile, median, robust z.

They are laid out as those of `sum_kernels`, but walk one asset at a time: a window of it is sorted, or counted.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from features.panel import Float64Array

MAD_TO_STD = 1.4826

_compiled = njit(nogil=True, cache=True, error_model="numpy")


@_compiled
def _place(ordered: Float64Array, n: int, value: float) -> int:
    """Number of cells of ordered[:n] below value."""
    below = 0
    # Counted rather than bisected: eight cells in one instruction, and no branch to guess wrong.
    for i in range(n):
        below += ordered[i] < value
    return below


@_compiled
def _middle(ordered: Float64Array, n: int) -> float:
    """Median of ordered[:n]."""
    half = n // 2
    return ordered[half] if n % 2 else 0.5 * (ordered[half - 1] + ordered[half])


@_compiled
def _nearest(ordered: Float64Array, n: int, centre: float, k: int) -> float:
    """The k-th smallest |v - centre| over ordered[:n].

    The k nearest cells stand side by side: their block is where the distance at its right end overtakes the left one.
    """
    lo, hi = 0, n - k
    while lo < hi:
        mid = (lo + hi) // 2
        if ordered[mid + k - 1] - centre < centre - ordered[mid]:
            lo = mid + 1
        else:
            hi = mid
    reach = max(ordered[lo + k - 1] - centre, centre - ordered[lo])
    return min(reach, centre - ordered[lo - 1]) if lo > 0 else reach


@_compiled
def _middle_distance(ordered: Float64Array, n: int, centre: float) -> float:
    """Median of |v - centre| over ordered[:n]."""
    upper = _nearest(ordered, n, centre, n // 2 + 1)
    return upper if n % 2 else 0.5 * (_nearest(ordered, n, centre, n // 2) + upper)


@_compiled
def _slide(ordered: Float64Array, n: int, comes: float, goes: float) -> int:
    """Put one value into ordered[:n] and take another out (NaN: none); returns the new count."""
    if np.isnan(comes) and np.isnan(goes):
        return n
    if np.isnan(goes):
        at, gap = _place(ordered, n, comes), n
        n += 1
    elif np.isnan(comes):
        gap = _place(ordered, n, goes)
        n -= 1
        at = n
    else:
        at, gap = _place(ordered, n, comes), _place(ordered, n, goes)
        at -= gap < at
    for i in range(gap, at):
        ordered[i] = ordered[i + 1]
    for i in range(gap, at, -1):
        ordered[i] = ordered[i - 1]
    if not np.isnan(comes):
        ordered[at] = comes
    return n


@_compiled
def _column(x: Float64Array, j: int, column: Float64Array) -> None:
    """Column j of x laid out in a row, NaN for what is not finite."""
    for t in range(x.shape[0]):
        column[t] = x[t, j] if abs(x[t, j]) < np.inf else np.nan


@_compiled
def percentile(x: Float64Array, start: int, stop: int, window: int, least: int, out: Float64Array) -> None:
    """Mid-rank of the window's last cell among the window."""
    column = np.empty(x.shape[0])
    for j in range(start, stop):
        _column(x, j, column)
        n = 0
        for t in range(len(column)):
            n += not np.isnan(column[t])
            if t >= window:
                n -= not np.isnan(column[t - window])
            out[t, j] = np.nan
            if n >= least and not np.isnan(column[t]):
                below, equal = 0, 0
                for v in column[max(t - window + 1, 0) : t + 1]:
                    below += v < column[t]
                    equal += v == column[t]
                out[t, j] = (below + 0.5 * equal) / n


@_compiled
def median(x: Float64Array, start: int, stop: int, window: int, least: int, out: Float64Array) -> None:
    """Median of the window."""
    column, ordered = np.empty(x.shape[0]), np.empty(window + 1)
    for j in range(start, stop):
        _column(x, j, column)
        n = 0
        for t in range(len(column)):
            n = _slide(ordered, n, column[t], column[t - window] if t >= window else np.nan)
            out[t, j] = _middle(ordered, n) if n >= least and n > 0 else np.nan


@_compiled
def robust_z(x: Float64Array, start: int, stop: int, window: int, least: int, out: Float64Array) -> None:
    """Distance of the window's last cell from the median, over 1.4826 times the median distance; NaN if that is 0."""
    column, ordered = np.empty(x.shape[0]), np.empty(window + 1)
    for j in range(start, stop):
        _column(x, j, column)
        n = 0
        for t in range(len(column)):
            n = _slide(ordered, n, column[t], column[t - window] if t >= window else np.nan)
            out[t, j] = np.nan
            if n >= least and n > 0 and not np.isnan(column[t]):
                centre = _middle(ordered, n)
                mad = _middle_distance(ordered, n, centre)
                if mad > 0.0:
                    out[t, j] = (column[t] - centre) / (MAD_TO_STD * mad)
