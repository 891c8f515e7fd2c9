"""Compiled kernels of rolling order statistics: quantiles, ranks, robust z, mean distance.

They are called as those of `sum_kernels`, but walk one asset at a time, whose window lies side by side in memory: the
compiler does several slots of a sorted window, or several sessions of a count, in one instruction.

A sorted window is ordered[1:], missing cells +inf at its end, and ordered[0] = -inf. What goes and what comes may be
missing too, and are then +inf.
"""

from __future__ import annotations

import numpy as np

from features.operators.compiled import compiled
from features.panel import Float64Array

MAD_TO_STD = 1.4826

# Sessions counted side by side: with what they are counted in, they stay in a core's first cache.
_SESSIONS = 512


@compiled
def _column(x: Float64Array, j: int, missing: float, column: Float64Array) -> None:
    """Column j of x at the end of `column`, `missing` for what is not finite and before it."""
    before = len(column) - x.shape[0]
    column[:before] = missing
    for t in range(x.shape[0]):
        column[before + t] = x[t, j] if abs(x[t, j]) < np.inf else missing


@compiled
def _slide(ordered: Float64Array, moved: Float64Array, held: int, comes: float, goes: float) -> None:
    """Write to `moved` the sorted window without one value and with another: every slot, and no branch to guess wrong.

    Without the value that goes, the slots from its own on hold what their right neighbours held. With the one that
    comes, a slot holds the least of what it holds and the larger of its left neighbour and the newcomer.
    """
    # Of the held cells one may go, and one may come; what `moved` held two sessions ago reaches no farther.
    for i in range(held + 1):
        left, here, right = ordered[i], ordered[i + 1], ordered[i + 2]
        kept = here if here < goes else right
        kept_left = left if left < goes else here
        pushed = kept_left if kept_left > comes else comes
        moved[i + 1] = kept if kept < pushed else pushed


@compiled
def _nothing(slots: int) -> Float64Array:
    """A sorted window of nothing, with room for what comes before another goes."""
    ordered = np.full(slots + 3, np.inf)
    ordered[0] = -np.inf
    return ordered


@compiled
def _at(ordered: Float64Array, position: float) -> float:
    """Value of a sorted window at a position, from 0 on, that may lie between two of its cells."""
    i = int(position)
    part = position - i
    here, right = ordered[i + 1], ordered[i + 2]
    if part == 0.0:
        return here
    # The middle as the mean of two cells, so that a median is that of numpy to the last digit.
    return 0.5 * (here + right) if part == 0.5 else here + part * (right - here)


@compiled
def quantiles(
    x: Float64Array,
    start: int,
    stop: int,
    window: int,
    least: int,
    q: float,
    low: Float64Array,
    high: Float64Array,
) -> None:
    """Quantiles q and 1 - q of the window, interpolated linearly."""
    window = min(window, x.shape[0])
    column, ordered, moved = np.empty(window + x.shape[0]), _nothing(window), _nothing(window)
    for j in range(start, stop):
        _column(x, j, np.inf, column)
        ordered[1:], moved[1:] = np.inf, np.inf
        n = 0
        for t in range(x.shape[0]):
            comes, goes = column[window + t], column[t]
            _slide(ordered, moved, n, comes, goes)
            ordered, moved = moved, ordered
            n += (comes < np.inf) - (goes < np.inf)
            if n >= least and n > 0:
                low[t, j] = _at(ordered, q * (n - 1))
                high[t, j] = _at(ordered, (1.0 - q) * (n - 1))
            else:
                low[t, j] = np.nan
                high[t, j] = np.nan


@compiled
def _nearest(ordered: Float64Array, n: int, k: int, centre: float) -> int:
    """Slot where the k cells that are nearest to the centre begin in a sorted window; they stand side by side."""
    lo, hi = 1, n - k + 1
    while lo < hi:
        mid = (lo + hi) // 2
        if ordered[mid + k] - centre < centre - ordered[mid]:
            lo = mid + 1
        else:
            hi = mid
    return lo


@compiled
def _middle_distance(ordered: Float64Array, n: int, centre: float) -> float:
    """Median of |v - centre| over a sorted window of n cells."""
    k = n // 2 + 1
    lo = _nearest(ordered, n, k, centre)
    hi = lo + k - 1
    left, right = centre - ordered[lo], ordered[hi] - centre
    upper = max(left, right)
    if n % 2:
        return upper
    # Without the farthest of these k, the other middle cell is the farthest.
    lower = max(centre - ordered[lo + 1], right) if left > right else max(left, ordered[hi - 1] - centre)
    return 0.5 * (lower + upper)


@compiled
def robust_z(x: Float64Array, start: int, stop: int, window: int, least: int, out: Float64Array) -> None:
    """Distance of the window's last cell from the median, over 1.4826 times the median distance; NaN if that is 0."""
    window = min(window, x.shape[0])
    column, ordered, moved = np.empty(window + x.shape[0]), _nothing(window), _nothing(window)
    for j in range(start, stop):
        _column(x, j, np.inf, column)
        ordered[1:], moved[1:] = np.inf, np.inf
        n = 0
        for t in range(x.shape[0]):
            comes, goes = column[window + t], column[t]
            _slide(ordered, moved, n, comes, goes)
            ordered, moved = moved, ordered
            n += (comes < np.inf) - (goes < np.inf)
            out[t, j] = np.nan
            if n >= least and comes < np.inf:
                centre = _at(ordered, 0.5 * (n - 1))
                mad = _middle_distance(ordered, n, centre)
                if mad > 0.0:
                    out[t, j] = (comes - centre) / (MAD_TO_STD * mad)


@compiled
def _counts(column: Float64Array, window: int, n: Float64Array) -> None:
    """Number of valid cells of each window."""
    held = 0
    for t in range(len(n)):
        held += (0 if np.isnan(column[window + t]) else 1) - (0 if np.isnan(column[t]) else 1)
        n[t] = held


@compiled
def _scored(column: Float64Array, window: int, start: int, stop: int, score: Float64Array) -> None:
    """Cells of the window below its last one, twice, and those equal to it, for the sessions start:stop."""
    newest = column[window + start : window + stop]
    score[:] = 0.0
    fours = window // 4 * 4
    for back in range(0, fours, 4):
        # Four sessions to one reading and writing of the score.
        first = window + start - back
        a, b = column[first : first + len(score)], column[first - 1 : first - 1 + len(score)]
        c, d = column[first - 2 : first - 2 + len(score)], column[first - 3 : first - 3 + len(score)]
        for i in range(len(score)):
            v = newest[i]
            below = (1.0 if a[i] < v else 0.0) + (1.0 if b[i] < v else 0.0)
            below += (1.0 if c[i] < v else 0.0) + (1.0 if d[i] < v else 0.0)
            upto = (1.0 if a[i] <= v else 0.0) + (1.0 if b[i] <= v else 0.0)
            upto += (1.0 if c[i] <= v else 0.0) + (1.0 if d[i] <= v else 0.0)
            score[i] += below + upto
    for back in range(fours, window):
        past = column[window + start - back : window + stop - back]
        for i in range(len(score)):
            score[i] += (1.0 if past[i] < newest[i] else 0.0) + (1.0 if past[i] <= newest[i] else 0.0)


@compiled
def standing(x: Float64Array, start: int, stop: int, window: int, least: int, own: float, out: Float64Array) -> None:
    """Share of the window below its last cell, half of the cells equal to it, and `own` halves more."""
    window = min(window, x.shape[0])
    column, n, score = np.empty(window + x.shape[0]), np.empty(x.shape[0]), np.empty(_SESSIONS)
    for j in range(start, stop):
        _column(x, j, np.nan, column)
        _counts(column, window, n)
        for first in range(0, x.shape[0], _SESSIONS):
            last = min(first + _SESSIONS, x.shape[0])
            _scored(column, window, first, last, score[: last - first])
            for t in range(first, last):
                known = n[t] >= least and not np.isnan(column[window + t])
                out[t, j] = 0.5 * (score[t - first] + own) / n[t] if known else np.nan


@compiled
def _distances(
    column: Float64Array,
    window: int,
    start: int,
    n: Float64Array,
    level: Float64Array,
    mean: Float64Array,
    total: Float64Array,
) -> None:
    """Sum of the distances of the window's n cells from their mean, for the sessions from start on.

    level  a cell of each window, from which the others are measured, so that a high level costs no digits
    mean   written: the mean of the window, measured from there
    """
    for i in range(len(total)):
        total[i] = 0.0
    for back in range(window):
        past = column[window + start - back : window + start - back + len(total)]
        for i in range(len(total)):
            total[i] += past[i] - level[i] if abs(past[i]) < np.inf else 0.0
    for i in range(len(total)):
        mean[i] = total[i] / n[i]
        total[i] = 0.0
    for back in range(window):
        past = column[window + start - back : window + start - back + len(total)]
        for i in range(len(total)):
            total[i] += abs(past[i] - level[i] - mean[i]) if abs(past[i]) < np.inf else 0.0


@compiled
def mean_distance(x: Float64Array, start: int, stop: int, window: int, least: int, out: Float64Array) -> None:
    """Mean absolute distance of the window's cells from their mean."""
    window, least = min(window, x.shape[0]), max(least, 1)
    column, n, level = np.empty(window + x.shape[0]), np.empty(x.shape[0]), np.empty(x.shape[0])
    mean, totals = np.empty(_SESSIONS), np.empty(_SESSIONS)
    for j in range(start, stop):
        _column(x, j, np.nan, column)
        _counts(column, window, n)
        newest = np.nan
        for t in range(x.shape[0]):
            newest = newest if np.isnan(column[window + t]) else column[window + t]
            level[t] = newest
        for first in range(0, x.shape[0], _SESSIONS):
            last = min(first + _SESSIONS, x.shape[0])
            total = totals[: last - first]
            _distances(column, window, first, n[first:last], level[first:last], mean, total)
            for t in range(first, last):
                out[t, j] = total[t - first] / n[t] if n[t] >= least else np.nan
