"""Compiled kernels of the rolling operators: arrays (b, T) in, arrays (b, T) written, each asset walked once.

A window at t holds the sessions t-n+1 .. t; NaN cells are skipped; fewer than `least` valid ones give NaN.

Sums run with the window and are kept about a shift, a value of the window. They are rebuilt from the window every n
steps, and at once when what is left is small against what went through (a spike has left, the window has become
constant): so the error stays that of the windowed definition, however long the series.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from features.panel import Float64Array

# Rebuild when the centred sum of squares falls below this share of the raw one: three digits of sixteen are gone then.
_CANCELLED = 1e-3


@njit(nogil=True, cache=True)
def _centred(x: Float64Array, start: int, stop: int) -> tuple[int, float, float, float]:
    """Count, shift, sum and sum of squares about it of x[start:stop]; a constant x gives sums of exactly nought."""
    n, shift, s1, s2 = 0, 0.0, 0.0, 0.0
    for i in range(start, stop):
        if not np.isnan(x[i]):
            if n == 0:
                shift = x[i]
            n += 1
            s1 += x[i] - shift
    if n == 0:
        return 0, 0.0, 0.0, 0.0
    shift += s1 / n
    s1 = 0.0
    for i in range(start, stop):
        if not np.isnan(x[i]):
            d = x[i] - shift
            s1 += d
            s2 += d * d
    return n, shift, s1, s2


@njit(nogil=True, cache=True)
def moments(x: Float64Array, window: int, least: int, mean: Float64Array, std: Float64Array) -> None:
    """Mean and standard deviation (ddof 1) of the window."""
    for j in range(x.shape[0]):
        col = x[j]
        n, shift, s1, s2, age = 0, 0.0, 0.0, 0.0, window
        for t in range(col.shape[0]):
            start = max(t - window + 1, 0)
            went = s2
            if not np.isnan(col[t]):
                d = col[t] - shift
                n, s1, s2 = n + 1, s1 + d, s2 + d * d
                went = s2
            if t >= window and not np.isnan(col[start - 1]):
                d = col[start - 1] - shift
                n, s1, s2 = n - 1, s1 - d, s2 - d * d
            age += 1
            if n > 0 and (age >= window or s2 - s1 * s1 / n <= _CANCELLED * went):
                n, shift, s1, s2 = _centred(col, start, t + 1)
                age = 0
            if n == 0:
                s1, s2, age = 0.0, 0.0, window
            enough = n >= least and n > 0
            mean[j, t] = shift + s1 / n if enough else np.nan
            std[j, t] = np.sqrt(max(s2 - s1 * s1 / n, 0.0) / (n - 1)) if enough and n > 1 else np.nan


@njit(nogil=True, cache=True)
def _centred_pair(
    x: Float64Array, y: Float64Array, start: int, stop: int
) -> tuple[int, float, float, float, float, float, float, float]:
    """Count, shifts, sums, sums of squares and of products of the cells where both are valid."""
    n, cx, cy, sx, sy = 0, 0.0, 0.0, 0.0, 0.0
    for i in range(start, stop):
        if not np.isnan(x[i]) and not np.isnan(y[i]):
            if n == 0:
                cx, cy = x[i], y[i]
            n += 1
            sx += x[i] - cx
            sy += y[i] - cy
    sxx, syy, sxy = 0.0, 0.0, 0.0
    if n > 0:
        cx += sx / n
        cy += sy / n
        sx, sy = 0.0, 0.0
        for i in range(start, stop):
            if not np.isnan(x[i]) and not np.isnan(y[i]):
                dx, dy = x[i] - cx, y[i] - cy
                sx += dx
                sy += dy
                sxx += dx * dx
                syy += dy * dy
                sxy += dx * dy
    return n, cx, cy, sx, sy, sxx, syy, sxy


@njit(nogil=True, cache=True)
def regression(
    y: Float64Array,
    x: Float64Array,
    window: int,
    least: int,
    beta: Float64Array,
    corr: Float64Array,
    resid: Float64Array,
) -> None:
    """OLS of y on x with a constant: slope, correlation, standard deviation of the residuals (ddof 2)."""
    for j in range(x.shape[0]):
        cx_, cy_ = x[j], y[j]
        n, cx, cy, sx, sy, sxx, syy, sxy = 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        age = window
        for t in range(cx_.shape[0]):
            start = max(t - window + 1, 0)
            if not np.isnan(cx_[t]) and not np.isnan(cy_[t]):
                dx, dy = cx_[t] - cx, cy_[t] - cy
                n, sx, sy = n + 1, sx + dx, sy + dy
                sxx, syy, sxy = sxx + dx * dx, syy + dy * dy, sxy + dx * dy
            went_x, went_y = sxx, syy
            if t >= window and not np.isnan(cx_[start - 1]) and not np.isnan(cy_[start - 1]):
                dx, dy = cx_[start - 1] - cx, cy_[start - 1] - cy
                n, sx, sy = n - 1, sx - dx, sy - dy
                sxx, syy, sxy = sxx - dx * dx, syy - dy * dy, sxy - dx * dy
            age += 1
            if n > 0 and (
                age >= window or sxx - sx * sx / n <= _CANCELLED * went_x or syy - sy * sy / n <= _CANCELLED * went_y
            ):
                n, cx, cy, sx, sy, sxx, syy, sxy = _centred_pair(cx_, cy_, start, t + 1)
                age = 0
            if n == 0:
                sx, sy, sxx, syy, sxy, age = 0.0, 0.0, 0.0, 0.0, 0.0, window
            beta[j, t] = np.nan
            corr[j, t] = np.nan
            resid[j, t] = np.nan
            if n < max(least, 3):
                continue
            vx = max(sxx - sx * sx / n, 0.0)
            vy = max(syy - sy * sy / n, 0.0)
            cov = sxy - sx * sy / n
            if vx > 0.0:
                beta[j, t] = cov / vx
                resid[j, t] = np.sqrt(max(vy - cov * cov / vx, 0.0) / (n - 2))
                if vy > 0.0:
                    corr[j, t] = min(max(cov / np.sqrt(vx * vy), -1.0), 1.0)


@njit(nogil=True, cache=True)
def maximum(x: Float64Array, window: int, least: int, out: Float64Array) -> None:
    """Largest valid cell of the window, by a queue of candidates in falling order."""
    t_end = x.shape[1]
    queue = np.empty(t_end, np.int64)
    for j in range(x.shape[0]):
        col = x[j]
        head, tail, n = 0, 0, 0
        for t in range(t_end):
            if not np.isnan(col[t]):
                while tail > head and col[queue[tail - 1]] <= col[t]:
                    tail -= 1
                queue[tail] = t
                tail += 1
                n += 1
            if t >= window and not np.isnan(col[t - window]):
                n -= 1
            while head < tail and queue[head] <= t - window:
                head += 1
            out[j, t] = col[queue[head]] if n >= least and n > 0 else np.nan


@njit(nogil=True, cache=True)
def _place(ordered: Float64Array, n: int, value: float) -> int:
    """Number of cells of ordered[:n] below value."""
    lo, hi = 0, n
    while lo < hi:
        mid = (lo + hi) // 2
        if ordered[mid] < value:
            lo = mid + 1
        else:
            hi = mid
    return lo


@njit(nogil=True, cache=True)
def _middle(ordered: Float64Array, n: int) -> float:
    """Median of ordered[:n]."""
    half = n // 2
    return ordered[half] if n % 2 else 0.5 * (ordered[half - 1] + ordered[half])


@njit(nogil=True, cache=True)
def _middle_distance(ordered: Float64Array, n: int, centre: float) -> float:
    """Median of |v - centre| over ordered[:n], merging outwards from the centre."""
    right = _place(ordered, n, centre)
    left = right - 1
    previous, distance = 0.0, 0.0
    for _ in range(n // 2 + 1):
        previous = distance
        if left < 0 or (right < n and ordered[right] - centre <= centre - ordered[left]):
            distance = ordered[right] - centre
            right += 1
        else:
            distance = centre - ordered[left]
            left -= 1
    return distance if n % 2 else 0.5 * (previous + distance)


@njit(nogil=True, cache=True)
def _slide(ordered: Float64Array, n: int, comes: float, goes: float) -> int:
    """Put one value into ordered[:n] and take another out (NaN: none); returns the new count."""
    if not np.isnan(comes):
        at = _place(ordered, n, comes)
        for i in range(n, at, -1):
            ordered[i] = ordered[i - 1]
        ordered[at] = comes
        n += 1
    if not np.isnan(goes):
        at = _place(ordered, n, goes)
        n -= 1
        for i in range(at, n):
            ordered[i] = ordered[i + 1]
    return n


@njit(nogil=True, cache=True)
def percentile(x: Float64Array, window: int, least: int, out: Float64Array) -> None:
    """Mid-rank of the window's last cell among the window."""
    ordered = np.empty(window + 1)
    for j in range(x.shape[0]):
        col = x[j]
        n = 0
        for t in range(col.shape[0]):
            n = _slide(ordered, n, col[t], col[t - window] if t >= window else np.nan)
            out[j, t] = np.nan
            if n >= least and not np.isnan(col[t]):
                below = _place(ordered, n, col[t])
                equal = 0
                while below + equal < n and ordered[below + equal] == col[t]:
                    equal += 1
                out[j, t] = (below + 0.5 * equal) / n


@njit(nogil=True, cache=True)
def median_and_mad(x: Float64Array, window: int, least: int, median: Float64Array, mad: Float64Array) -> None:
    """Median of the window, and the median distance from it."""
    ordered = np.empty(window + 1)
    for j in range(x.shape[0]):
        col = x[j]
        n = 0
        for t in range(col.shape[0]):
            n = _slide(ordered, n, col[t], col[t - window] if t >= window else np.nan)
            enough = n >= least and n > 0
            median[j, t] = _middle(ordered, n) if enough else np.nan
            mad[j, t] = _middle_distance(ordered, n, median[j, t]) if enough else np.nan


@njit(nogil=True, cache=True)
def decayed(x: Float64Array, state: Float64Array, decay: float, start: int, out: Float64Array) -> None:
    """Exponentially weighted mean, begun at the mean of the first `start` valid cells; state (b, 2) is carried on.

    state[:, 0] counts valid cells up to `start`; state[:, 1] is their sum until then, the weighted mean from then on.
    """
    for j in range(x.shape[0]):
        n, level = state[j, 0], state[j, 1]
        for t in range(x.shape[1]):
            v = x[j, t]
            if not np.isnan(v):
                if n >= start:
                    level = decay * level + (1.0 - decay) * v
                else:
                    n += 1.0
                    level += v
                    if n == start:
                        level /= start
            out[j, t] = level if n >= start and not np.isnan(v) else np.nan
        state[j, 0], state[j, 1] = n, level


@njit(nogil=True, cache=True)
def run_length(condition: Float64Array, span: int, out: Float64Array) -> None:
    """Length of the run of true cells (above 0) that ends at t within the last span sessions; NaN cells are skipped."""
    for j in range(condition.shape[0]):
        col = condition[j]
        for t in range(col.shape[0]):
            if np.isnan(col[t]):
                out[j, t] = np.nan
                continue
            run = 0
            for i in range(t, max(t - span, -1), -1):
                if np.isnan(col[i]):
                    continue
                if col[i] <= 0.0:
                    break
                run += 1
            out[j, t] = run


@njit(nogil=True, cache=True)
def previous_valid(x: Float64Array, out: Float64Array) -> None:
    """The newest valid cell before t."""
    for j in range(x.shape[0]):
        last = np.nan
        for t in range(x.shape[1]):
            out[j, t] = last
            if not np.isnan(x[j, t]):
                last = x[j, t]


@njit(nogil=True, cache=True)
def since_gap(valid: Float64Array, gap: int, out: Float64Array) -> None:
    """Sessions since the newest return from a gap of more than `gap` sessions without a valid cell, counting from 1.

    0 where no such return lies in the array; what lies before the array is not known and counts as no gap.
    """
    for j in range(valid.shape[0]):
        missing, since = 0, 0
        for t in range(valid.shape[1]):
            if since > 0:
                since += 1
            if valid[j, t] > 0.0:
                if missing > gap:
                    since = 1
                missing = 0
            else:
                missing += 1
            out[j, t] = since
